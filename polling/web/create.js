// Step 7 of 7, show: makes a poll. Nothing typed is lost: the draft is kept until the poll is made.
import { ask, fieldErrors } from "./api.js";
import { $, element, icon, keep, mine, note, now, number, ready, recall, say, t } from "./core.js";
import { Rows } from "./rows.js";

const COPY = new URLSearchParams(location.search).get("copy"); // the poll whose copy this is to be
const DRAFT = COPY ? `draft:${COPY}` : "draft";
const form = $("create");
const question = $("question");

const rows = new Rows($("options"), { changed: keepDraft, done: () => $("make").focus() });

const chosen = (name) => form.elements[name].value;
const settings = () => ({
  closes: chosen("closes"),
  at: $("at").value,
  results: chosen("results"),
  once: $("once").checked,
  change: $("change").checked,
  listed: $("listed").checked,
});

function keepDraft() {
  keep(DRAFT, { question: question.value, options: rows.texts, settings: settings() });
}

function show({ question: asked = "", options = [], settings: set = {} }) {
  question.value = asked;
  rows.texts = options;
  for (const name of ["closes", "results"]) if (set[name]) form.elements[name].value = set[name];
  if (set.at) $("at").value = set.at;
  for (const name of ["once", "change", "listed"]) if (name in set) $(name).checked = set[name];
  fit();
  fitSettings();
}

// The question's field is as high as its text.
function fit() {
  question.style.blockSize = "auto";
  question.style.blockSize = `${question.scrollHeight + 3}px`;
}

function fitSettings() {
  $("at-row").hidden = chosen("closes") !== "at";
  $("change-row").hidden = !$("once").checked;
}

function closesAt() {
  const minutes = Number(chosen("closes"));
  if (minutes) return new Date(now() + minutes * 60_000).toISOString();
  if (chosen("closes") !== "at") return null;
  const time = new Date($("at").value);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

// --- what is wrong, beside the field

function wrong(place, text) {
  place.replaceChildren(...(text ? [icon("alert"), text] : []));
  place.hidden = !text;
}

function clearWrong() {
  for (const id of ["question-wrong", "options-wrong", "at-wrong", "form-wrong"]) wrong($(id), "");
  question.removeAttribute("aria-invalid");
  $("at").removeAttribute("aria-invalid");
  for (const row of rows.all) rows.wrong(row, "");
}

// `sent` are the rows that were sent, in their order: empty ones were left out.
function showProblem(problem, sent) {
  const errors = fieldErrors(problem);
  if (!errors.length) {
    wrong($("form-wrong"), problem.message);
    return say(problem.message);
  }
  for (const [pointer, text] of errors) {
    const [, index] = /^#\/options\/(\d+)$/.exec(pointer) ?? [];
    if (index !== undefined && sent[index]) rows.wrong(sent[index], text);
    else if (pointer === "#/question") {
      wrong($("question-wrong"), text);
      question.setAttribute("aria-invalid", "true");
    } else if (pointer === "#/options") wrong($("options-wrong"), text);
    else if (pointer === "#/closes_at") {
      wrong($("at-wrong"), text);
      $("settings").open = true;
      $("at").setAttribute("aria-invalid", "true");
    } else wrong($("form-wrong"), text);
  }
  (form.querySelector("[aria-invalid=true]") ?? rows.list.querySelector("input")).focus();
  say(errors.map(([, text]) => text).join(" "));
}

form.onsubmit = async (event) => {
  event.preventDefault();
  clearWrong();
  const closes = closesAt();
  if (closes === undefined) return showProblem({ errors: [{ pointer: "#/closes_at", detail: t("field.time") }] }, []);
  const sent = rows.all.filter((row) => row.querySelector("input").value.trim());
  const body = {
    question: question.value,
    options: sent.map((row) => row.querySelector("input").value),
    one_vote_per: $("once").checked ? "browser" : null,
    allow_change: $("change").checked,
    listed: $("listed").checked,
  };
  if (closes) body.closes_at = closes;
  if (chosen("results") !== "always") body.results_visible = chosen("results");
  $("make").setAttribute("aria-busy", "true");
  $("make").disabled = true;
  try {
    const { data } = await ask("POST", "/api/polls", { body });
    note(data.id, { token: data.admin_token, question: data.question, made: Date.now() });
    keep(DRAFT, null);
    location.assign(`/p/${data.id}/share#${data.admin_token}`);
  } catch (problem) {
    showProblem(problem, sent);
    $("make").disabled = false;
    $("make").removeAttribute("aria-busy");
  }
};

// --- the lists below

function line(href, name, ...rest) {
  return element("li", {}, element("a", { href }, element("bdi", { className: "name", textContent: name }), ...rest));
}

function showMine() {
  const polls = mine().slice(0, 8);
  $("mine").hidden = !polls.length;
  $("mine-list").replaceChildren(...polls.map((poll) => line(`/p/${poll.id}/admin`, poll.question, element("span", { className: "quiet", textContent: t("create.manage") }))));
}

async function showOpen() {
  const { data } = await ask("GET", "/api/polls?status=open&limit=6").catch(() => ({ data: { data: [] } }));
  $("open").hidden = !data.data.length;
  const votes = (poll) => element("span", { className: "quiet", textContent: t("count.votes", { n: poll.total_votes }) });
  $("open-list").replaceChildren(...data.data.map((poll) => line(`/p/${poll.id}`, poll.question, votes(poll))));
}

async function copyOf(id) {
  const { data } = await ask("GET", `/api/polls/${encodeURIComponent(id)}`);
  const set = { once: data.one_vote_per === "browser", change: data.allow_change, listed: data.listed, results: data.results_visible ?? "always" };
  return { question: data.question, options: data.options.map((option) => option.text), settings: set };
}

await ready;
$("more").onclick = () => rows.add()?.focus();
form.addEventListener("input", () => {
  fit();
  fitSettings();
  keepDraft();
});
question.oninput = () => wrong($("question-wrong"), "");
question.onkeydown = (event) => {
  if (event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  rows.list.querySelector("input").focus();
};
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
const kept = recall(DRAFT);
show(kept ?? {});
// A copy comes from the server once; from then on it is a draft as any other.
if (COPY && !kept) await copyOf(COPY).then(show, (problem) => wrong($("form-wrong"), problem.message));
if (kept && (kept.question || kept.options.some(Boolean))) $("kept").hidden = false;
$("forget").onclick = () => {
  keep(DRAFT, null);
  $("kept").hidden = true;
  show({});
  question.focus();
};
$("limit").textContent = t("create.limit", { n: number(100) });
form.dataset.ready = "";
showMine();
showOpen();
