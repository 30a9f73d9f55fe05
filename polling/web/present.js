// Step 7 of 7, show: a poll on a wall: huge, with its QR code, and run by single keys.
import { ask, firstPoll } from "./api.js";
import { Bars } from "./bars.js";
import { $, element, known, note, pollId, ready, say, showLength, t, toast, toggleTheme } from "./core.js";
import { showFacts, Watch } from "./watch.js";

const given = location.hash.slice(1);
if (/^[\w-]{20,}$/.test(given)) {
  note(pollId, { token: given });
  history.replaceState(null, "", location.pathname + location.search); // not for a projector to show
}
const { token } = known(pollId);
const who = () => (token ? { admin_token: token } : {});
let watch;
let bars;
let concealed = false;

function show() {
  const { poll } = watch;
  $("question").textContent = poll.question;
  showLength($("question"), poll.question);
  document.title = `${poll.question} · ${t("brand")}`;
  const many = poll.options.length;
  const columns = many < 10 ? 1 : many < 25 ? 2 : many < 61 ? 3 : 4;
  if (columns > 1) $("options").dataset.columns = String(columns);
  $("options").style.setProperty("--rows", String(Math.ceil(many / columns)));
  bars.show({ poll, votable: false, concealed });
  showFacts(watch);
  $("hide").setAttribute("aria-pressed", String(concealed));
  for (const id of ["close", "reopen"]) $(id).hidden = !token || (id === "close") !== (poll.status === "open");
  $("gone").hidden = !watch.gone;
}

// What the manager asks for; told in words where it is refused.
async function run(path, body, done) {
  if (!token) return toast(t("present.noToken"), "bad");
  try {
    const { data } = await ask("POST", `/api/polls/${pollId}/${path}`, { token, body });
    watch.merge({ closes_at: null, ...data });
    toast(done);
  } catch (problem) {
    toast(problem.message, "bad");
  }
}

const actions = {
  help: () => toggle($("keys")),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen().catch(() => toast(t("present.noFull"), "bad"))),
  hide() {
    concealed = !concealed;
    show();
    say(t(concealed ? "present.hidden" : "present.shown"));
  },
  close: () => watch.poll.status === "open" && run("close", undefined, t("present.closed")),
  reopen: () => watch.poll.status === "closed" && run("reopen", {}, t("present.reopened")),
  dark: toggleTheme,
  code: () => toggle($("big-qr")),
};

function toggle(dialog) {
  const open = dialog.open;
  for (const one of document.querySelectorAll("dialog[open]")) one.close();
  if (!open) dialog.showModal();
}

const KEYS = { "?": "help", f: "full", h: "hide", c: "close", o: "reopen", d: "dark", q: "code" };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || !watch) return;
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  actions[action]();
});

await ready;
try {
  const poll = await firstPoll(token);
  // What voters do not see yet is not for the wall either, until somebody reveals it.
  concealed = Boolean(poll.results_visible) && poll.status === "open";
  let { status } = poll;
  watch = new Watch(poll, {
    who,
    changed() {
      show();
      if (poll.status !== status) say(t(poll.status === "open" ? "present.reopened" : "status.closed"));
      status = poll.status;
    },
    second: () => showFacts(watch),
  });
  bars = new Bars($("options"));
  for (const id of ["address", "big-address"]) $(id).replaceChildren(location.host, element("wbr"), `/p/${pollId}`);
  for (const id of ["qr", "qr-big"]) $(id).src = `/p/${pollId}/qr.svg`;
  for (const button of document.querySelectorAll("[data-does]")) button.onclick = () => actions[button.dataset.does]();
  for (const dialog of document.querySelectorAll("dialog")) dialog.onclick = () => dialog.close();
  if (token) note(pollId, { question: poll.question });
  show();
  document.body.dataset.ready = "";
} catch (problem) {
  toast(problem.message, "bad");
  setTimeout(() => location.reload(), 4000 + Math.random() * 4000);
}
