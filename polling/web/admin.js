// Step 7 of 7, show: a poll for who made it: close, extend, reopen, hide, mend, export, copy, delete.
import { ask, fieldErrors, firstPoll } from "./api.js";
import { Bars } from "./bars.js";
import { $, element, icon, known, letter, moment, note, now, pollId, ready, say, showLength, t, toast } from "./core.js";
import { showFacts, Watch } from "./watch.js";

const given = location.hash.slice(1);
if (/^[\w-]{20,}$/.test(given)) {
  note(pollId, { token: given });
  history.replaceState(null, "", location.pathname + location.search);
}
const { token } = known(pollId);
const path = `/api/polls/${pollId}`;
let watch;
let bars;
let edited = false; // somebody is typing new texts: then the fields are left alone
let asked = 0; // changes under way: until they are answered a choice stays as it was just made

function show() {
  const { poll, gone } = watch;
  const open = poll.status === "open";
  $("question").textContent = poll.question;
  showLength($("question"), poll.question);
  document.title = `${poll.question} · ${t("brand")}`;
  showFacts(watch);
  bars.show({ poll, votable: false, concealed: false });
  $("gone").hidden = !gone;
  $("run").hidden = $("mend").hidden = gone;
  $("close").hidden = !open;
  $("reopen").hidden = open || poll.final;
  $("final").hidden = !poll.final;
  $("ends").hidden = !open;
  $("ends-when").textContent = poll.closes_at ? t("admin.endsAt", { time: moment(poll.closes_at) }) : t("admin.endsNever");
  $("never").hidden = !poll.closes_at;
  if (!asked) document.querySelector(`input[name=results][value=${poll.results_visible ?? "always"}]`).checked = true;
  const mendable = poll.total_votes === 0;
  $("mend-form").hidden = !mendable;
  $("mend-late").hidden = mendable;
  if (mendable && !edited) showTexts(poll);
}

function showTexts(poll) {
  const texts = [poll.question, ...poll.options.map((option) => option.text)].join("\n");
  if ($("mend-form").dataset.texts === texts) return;
  $("mend-form").dataset.texts = texts;
  $("new-question").value = poll.question;
  $("new-options").replaceChildren(
    ...poll.options.map((option, index) => {
      const field = element("input", { type: "text", className: "field", value: option.text, dir: "auto", attributes: { "aria-label": t("create.option", { n: index + 1 }) } });
      return element("li", { className: "edit" }, element("span", { className: "round", textContent: letter(index), attributes: { "aria-hidden": "true" } }), field);
    }),
  );
}

async function run(work, done) {
  for (const button of document.querySelectorAll("#run button")) button.disabled = true;
  asked += 1;
  try {
    const { data } = await work();
    if (data) watch.merge({ results_visible: undefined, ...data });
    toast(done);
    return true;
  } catch (problem) {
    toast(problem.message, "bad");
    if (problem.status === 409) watch.refresh();
    return false;
  } finally {
    asked -= 1;
    for (const button of document.querySelectorAll("#run button")) button.disabled = false;
    show();
  }
}

const patch = (body) => () => ask("PATCH", path, { token, body });

function later(minutes) {
  const from = Math.max(now(), watch.poll.closes_at ? Date.parse(watch.poll.closes_at) : 0);
  return run(patch({ closes_at: new Date(from + minutes * 60_000).toISOString() }), t("admin.extended"));
}

async function save(event) {
  event.preventDefault();
  const fields = [...$("new-options").querySelectorAll("input")];
  for (const one of [$("new-question"), ...fields]) one.removeAttribute("aria-invalid");
  for (const one of $("mend-form").querySelectorAll(".wrong")) one.remove();
  try {
    const { data } = await ask("PATCH", path, { token, body: { question: $("new-question").value, options: fields.map((field) => field.value) } });
    edited = false;
    watch.merge(data);
    toast(t("admin.saved"));
  } catch (problem) {
    const errors = fieldErrors(problem);
    if (!errors.length) return toast(problem.message, "bad");
    for (const [pointer, text] of errors) {
      const [, index] = /^#\/options\/(\d+)$/.exec(pointer) ?? [];
      const field = index === undefined ? $("new-question") : fields[index];
      field.setAttribute("aria-invalid", "true");
      field.after(element("p", { className: "wrong" }, icon("alert"), text));
    }
    $("mend-form").querySelector("[aria-invalid=true]").focus();
    say(errors.map(([, text]) => text).join(" "));
  }
}

// An export needs the token in a header, which no link can send.
async function load(query, name) {
  try {
    const response = await fetch(`${path}/export?${query}`, { headers: { Authorization: `Bearer ${token}` } });
    if (!response.ok) throw new Error(t("error.status", { status: String(response.status) }));
    const address = URL.createObjectURL(await response.blob());
    element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (problem) {
    toast(problem instanceof TypeError ? t("error.unreachable") : problem.message, "bad");
  }
}

async function remove() {
  $("sure").close();
  const done = await run(() => ask("DELETE", path, { token }), t("admin.deleted"));
  if (!done) return;
  note(pollId, { token: null, question: null, made: null });
  watch.gone = true;
  show();
}

function wire() {
  $("close").onclick = () => run(() => ask("POST", `${path}/close`, { token }), t("present.closed"));
  $("reopen").onclick = () => run(() => ask("POST", `${path}/reopen`, { token, body: {} }), t("present.reopened"));
  $("more-5").onclick = () => later(5);
  $("more-60").onclick = () => later(60);
  $("never").onclick = () => run(patch({ closes_at: null }), t("admin.extended"));
  for (const radio of document.querySelectorAll("input[name=results]")) radio.onchange = () => run(patch({ results_visible: radio.value }), t("admin.saved"));
  $("mend-form").oninput = () => (edited = true);
  $("mend-form").onsubmit = save;
  $("csv").onclick = () => load("format=csv", `poll-${pollId}.csv`);
  $("json").onclick = () => load("format=json", `poll-${pollId}.json`);
  $("ballots").onclick = () => load("format=csv&of=ballots", `poll-${pollId}-ballots.csv`);
  $("copy").href = `/?copy=${pollId}`;
  $("delete").onclick = () => $("sure").showModal();
  $("delete-no").onclick = () => $("sure").close();
  $("delete-yes").onclick = remove;
  $("to-vote").href = `/p/${pollId}`;
  $("to-share").href = `/p/${pollId}/share`;
  $("to-present").href = `/p/${pollId}/present`;
}

await ready;
if (!token) $("no-token").hidden = false;
else {
  try {
    const poll = await firstPoll(token);
    watch = new Watch(poll, { who: () => ({ admin_token: token }), changed: () => bars && show(), second: () => showFacts(watch) });
    bars = new Bars($("options"));
    note(pollId, { question: poll.question });
    wire();
    show();
    $("all").hidden = false;
  } catch (problem) {
    toast(problem.message, "bad");
  }
}
document.body.dataset.ready = "";
