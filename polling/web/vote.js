// Step 7 of 7, show: a poll's page: one tap votes, and the results move as they come.
import { firstPoll, left, Problem } from "./api.js";
import { Bars, spoken } from "./bars.js";
import { $, element, icon, known, pollId, quoted, ready, say, showLength, t } from "./core.js";

// The first picture needs neither: a browser has six files on their way at once, and these would be the seventh and more.
const rest = Promise.all([import("./ballot.js"), import("./watch.js")]).catch(() => null);

const STEPS = ["sending", "logged", "counted"];
let watch; // until watch.js is here {poll} alone
let ballot;
let bars;
let chart;
let showFacts = () => undefined;
let told = ""; // what was last said of the vote

function who() {
  const vote = ballot.voteId ?? known(pollId).vote?.id;
  return vote ? { vote } : {};
}

// In a frame of another site browsers keep our cookie back: then one vote per browser cannot be had there.
const elsewhere = (poll) => "framed" in document.body.dataset && once(poll) && !keepsCookies();

function keepsCookies() {
  document.cookie = "probe=1; SameSite=Lax; Max-Age=60; Path=/p/";
  return document.cookie.includes("probe=1");
}

const isOpen = (poll) => poll.status === "open" && !watch.gone && !(left(poll) !== null && left(poll) <= 0);
const once = (poll) => poll.one_vote_per === "browser";
const textOf = (option) => quoted(watch.poll.options.find((one) => one.id === option)?.text ?? "");

// May this browser vote now? Where every tap is another vote, an unanswered one must be answered first.
function votable(poll) {
  if (!isOpen(poll) || poll.one_vote_per === "voter" || elsewhere(poll)) return false;
  if (once(poll)) return poll.allow_change || !ballot.state?.option;
  return true;
}

function show() {
  const { poll } = watch;
  if ($("question").textContent !== poll.question) {
    $("question").textContent = poll.question;
    showLength($("question"), poll.question);
    document.title = `${poll.question} · ${t("brand")}`;
  }
  showFacts(watch);
  bars.show({ poll, chosen: ballot.state?.option ?? null, sure: !ballot.open, votable: votable(poll), busy: !once(poll) && ballot.open, concealed: false });
  $("hint").textContent = hint(poll);
  $("gone").hidden = !watch.gone;
  if ($("over-time")) $("over-time").hidden = Boolean(poll.results_hidden);
  showBallot();
  chart?.push(poll);
}

function hint(poll) {
  if (watch.gone) return "";
  if (!isOpen(poll)) return t(poll.final ? "hint.final" : "hint.closed");
  if (poll.one_vote_per === "voter") return t("hint.voter");
  if (elsewhere(poll)) return t("hint.elsewhere");
  if (poll.results_hidden) return t(`hint.${poll.results_visible ?? "tap"}`);
  if (!ballot.state?.option) return t("hint.tap");
  if (once(poll)) return t(poll.allow_change ? "hint.change" : "hint.once");
  return t("hint.more");
}

function showBallot() {
  const { state } = ballot;
  $("ballot").hidden = !state;
  if (!state) return;
  const words = sentence(state);
  if ($("ballot-words").textContent !== words) $("ballot-words").textContent = words;
  $("send-now").hidden = state.step !== "waiting";
  const reached = { waiting: 0, sending: 0, logged: 1, counted: 2 }[state.step];
  $("steps").hidden = reached === undefined;
  STEPS.forEach((step, index) => {
    const row = $("steps").children[index];
    const done = state.step === "counted" || index < (reached ?? 0) || (state.step === "logged" && index === 1);
    const doing = state.step === "logged" ? index === 2 : index === reached;
    row.className = done ? "done" : !doing ? "" : state.step === "waiting" ? "failed" : "doing";
    const name = t(`step.${step}.${done ? "done" : "open"}`);
    if (row.textContent !== name) row.textContent = name;
  });
  const key = `${state.step}${state.option}`;
  if (told !== key && told !== null) say(words);
  told = key;
}

function sentence(state) {
  const option = state.option ? textOf(state.option) : "";
  switch (state.step) {
    case "sending":
      return t("vote.sending", { option });
    case "waiting":
      return t(ballot.kept ? "vote.waiting" : "vote.waitingHere", { option, why: state.problem.message, n: Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000)) });
    case "logged":
      return t("vote.logged", { option });
    case "counted":
      return t("vote.counted", { option });
    case "rejected":
      return t(state.reason === "poll_closed" ? "vote.late" : state.reason === "poll_deleted" ? "vote.deleted" : "vote.rejected");
    default:
      if (state.problem.code === "already_voted") return option ? t("vote.alreadyFor", { option }) : t("vote.already");
      return state.problem.message ?? t(`error.${state.problem.code}`);
  }
}

function onBallot() {
  const hiddenNow = watch.poll.results_hidden && watch.poll.results_visible === "after_vote";
  if (hiddenNow && who().vote) {
    watch.subscribe();
    watch.refresh();
  }
  show();
}

function showHost() {
  $("own-page")?.setAttribute("href", `/p/${pollId}`);
  const { token } = known(pollId);
  if (!$("host")) return;
  $("host").hidden = !token;
  $("to-share").href = `/p/${pollId}/share`;
  $("to-present").href = `/p/${pollId}/present`;
  $("to-admin").href = `/p/${pollId}/admin`;
}

async function openChart() {
  if (!$("over-time").open || chart) return;
  const { Chart } = await import("./chart.js");
  chart = new Chart($("chart"), watch.poll, who);
}

// Stands in for the ballot until ballot.js is here: a tap is shown at once, and kept for it.
const firstTap = {
  state: null,
  open: false,
  cast(option) {
    firstTap.state = { step: "sending", option };
    firstTap.open = true;
    show();
  },
};

// The options, to be tapped; who has voted before sees them with the vote.
function showFirst(poll) {
  watch = { poll };
  ballot = firstTap;
  bars = new Bars($("options"), { vote: (option) => ballot.cast(option) });
  const { vote, pending } = known(pollId);
  if (!vote && !pending) show();
}

function begin(poll, { Ballot }, watching) {
  let spokenTotal = poll.total_votes;
  showFacts = watching.showFacts;
  watch = new watching.Watch(poll, {
    who,
    changed: () => {
      show();
      if (poll.total_votes !== spokenTotal && !ballot.open) say(spoken(poll));
      spokenTotal = poll.total_votes;
    },
    second: () => {
      showFacts(watch);
      if (ballot.pending) showBallot();
      if (left(poll) !== null && left(poll) < 1000) show();
    },
  });
  ballot = new Ballot(poll, onBallot);
  if (firstTap.state) ballot.cast(firstTap.state.option);
  $("send-now").onclick = () => ballot.now();
  if ($("over-time")) $("over-time").ontoggle = openChart;
  showHost();
  show();
}

await ready;
try {
  const poll = await firstPoll();
  showFirst(poll);
  const found = await rest;
  if (!found) throw new Problem(0);
  begin(poll, ...found);
  document.body.dataset.ready = "";
} catch (problem) {
  $("options").replaceChildren();
  $("hint").replaceChildren(element("span", { className: "notice" }, icon("alert"), problem.message ?? String(problem)));
  if (problem.unknown) setTimeout(() => location.reload(), 4000 + Math.random() * 4000);
}
