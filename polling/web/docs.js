// Step 1 of 7, accept: shows /openapi.json, and sends the requests that a reader tries.

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

const resolve = (spec, schema) => {
  const name = schema?.$ref?.split("/").pop();
  return name ? { name, ...spec.components.schemas[name] } : schema ?? {};
};

// A schema in one line, as in `array of OptionResult or null`.
const typeOf = (schema) => {
  if (!schema) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  const union = schema.anyOf ?? schema.oneOf;
  if (union) return union.map(typeOf).join(" or ");
  if (schema.type === "array") return `array of ${typeOf(schema.items)}`;
  return schema.format ? `${schema.type} (${schema.format})` : (schema.type ?? "any");
};

const fieldsOf = (spec, schema) => {
  const found = resolve(spec, schema);
  if (!found.properties) return [];
  const rows = Object.entries(found.properties).map(([name, field]) =>
    make("tr", {}, make("td", {}, make("code", { textContent: name })), make("td", { textContent: typeOf(field) }),
      make("td", { textContent: found.required?.includes(name) ? "required" : "" })));
  return [make("p", { textContent: `${found.title ?? found.name}: ${found.description ?? ""}` }), make("table", {}, ...rows)];
};

const send = async (path, method, operation, inputs, body, output) => {
  const headers = {};
  const query = new URLSearchParams();
  let address = path;
  for (const [parameter, input] of inputs) {
    if (!input.value) continue;
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const token = document.getElementById("token").value.trim();
  if (token && operation.security) headers.Authorization = `Bearer ${token}`;
  const request = { method: method.toUpperCase(), headers };
  if (body) {
    headers["Content-Type"] = Object.keys(operation.requestBody.content)[0];
    request.body = body.value;
  }
  if (query.size) address += `?${query}`;
  output.textContent = "…";
  try {
    const answer = await fetch(address, request);
    const text = await answer.text();
    const shown = ["location", "etag", "retry-after", "preference-applied", "allow"]
      .filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}\n`).join("");
    output.textContent = `${answer.status} ${answer.statusText}\n${shown}\n${pretty(text)}`;
  } catch (error) {
    output.textContent = `No answer: ${error.message}`;
  }
};

const pretty = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text.length > 20000 ? `${text.slice(0, 20000)}…` : text;
  }
};

const showOperation = (spec, path, method, operation) => {
  const inputs = (operation.parameters ?? []).map((parameter) => [
    parameter, make("input", { placeholder: parameter.schema?.default ?? "", autocomplete: "off", spellcheck: false }),
  ]);
  const [media, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const example = content?.example ?? "";
  const body = media && make("textarea", {
    rows: 5, spellcheck: false,
    value: typeof example === "string" ? example : JSON.stringify(example, null, 2),
  });
  const output = make("pre", { textContent: "Not sent yet." });
  output.setAttribute("role", "status");
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const schema = Object.values(answer.content ?? {})[0]?.schema;
    return make("tr", {}, make("td", { textContent: status }), make("td", { textContent: answer.description }),
      make("td", {}, schema?.$ref ? make("code", { textContent: typeOf(schema) }) : ""));
  });
  const form = make("form", {},
    ...inputs.map(([parameter, input]) =>
      make("label", {}, make("code", { textContent: parameter.name }), ` (${parameter.in}) ${parameter.description}`, input)),
    ...(body ? [make("label", {}, `Body, ${media}`, body)] : []),
    make("p", {}, make("button", { textContent: "Send" })), output);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(path, method, operation, inputs, body, output);
  });
  return make("details", { id: operation.operationId },
    make("summary", {}, make("span", { className: "method", textContent: method }),
      make("span", { className: "path", textContent: path }), ` ${operation.summary}`),
    ...(operation.description ? [make("p", { textContent: operation.description })] : []),
    ...(content ? fieldsOf(spec, content.schema) : []),
    make("table", {}, ...answers), form);
};

const show = (spec) => {
  document.getElementById("about").textContent = `${spec.info.description} Version ${spec.info.version}.`;
  const sections = new Map();
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? "";
      if (!sections.has(tag)) sections.set(tag, make("section", {}, make("h2", { textContent: tag })));
      sections.get(tag).append(showOperation(spec, path, method, operation));
    }
  }
  document.getElementById("operations").replaceChildren(...sections.values());
  document.getElementById("problems").replaceChildren(...spec["x-problems"].flatMap((problem) => [
    make("dt", { id: problem.code, textContent: `${problem.status} ${problem.code}` }),
    make("dd", { textContent: `${problem.title}. ${problem.detail}` }),
  ]));
  // The anchor of an error's `type` exists only now.
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) {
    target.closest("details")?.setAttribute("open", "");
    location.replace(location.hash);
    target.scrollIntoView();
  }
};

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  show(await answer.json());
} catch (error) {
  document.getElementById("operations").replaceChildren(make("p", { textContent: `openapi.json could not be read: ${error.message}` }));
}
