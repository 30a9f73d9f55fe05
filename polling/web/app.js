// Step 7 of 7, show: the page: makes polls, votes, and shows results and the leaderboard as they come.
import { Live } from "./live.js";
import { ask, count, element, newKey, numbers } from "./tools.js";

const $ = (id) => document.getElementById(id);
const MAX_OPTIONS = 100;
const NOT_LIVE = "What is shown may be old.";

let poll = null; // what GET /api/polls/{id} said, its results kept new by the socket
let chosen = null; // the option id that this page voted for last
let unsent = null; // {option, key}: a vote of which nobody knows what became; the same key makes it the same vote

const live = new Live({ frame: onFrame, state: onState });

function say(text) {
  $("message").textContent = text ?? "";
  $("message").hidden = !text;
}

function onState(isLive, seconds) {
  $("live").textContent = isLive ? "Live" : `Not live, trying again in ${seconds} s. ${NOT_LIVE}`;
  $("live").classList.toggle("on", isLive);
}

function onFrame(frame) {
  if (frame.type === "results" && frame.poll_id === poll?.id) {
    // An answer by HTTP may have been quicker than the socket.
    if (frame.revision >= poll.revision) showResults(frame);
  } else if (frame.type === "leaderboard") showBoard(frame.entries);
  else if (frame.type === "deleted" && frame.poll_id === poll?.id) {
    closePoll();
    say("This poll was deleted.");
  } else if (frame.type === "error") {
    if (frame.code === "store_unavailable" && frame.poll === poll?.id) setTimeout(() => live.subscribe(frame.poll), 2000);
    say(frame.detail);
  }
}

// Runs what a person asked for; tells them in words what went wrong.
async function attempt(work, button) {
  say();
  if (button) button.disabled = true;
  try {
    await work();
  } catch (error) {
    say(error.message);
  } finally {
    if (button) button.disabled = false;
  }
}

// --- one poll

async function openPoll(id) {
  const found = await ask("GET", `/api/polls/${encodeURIComponent(id)}`);
  poll = found;
  chosen = unsent = null;
  document.title = `${found.question} · Live polls`;
  $("question").textContent = found.question;
  $("link").value = new URL(`/?poll=${encodeURIComponent(found.id)}`, location).href;
  $("voted").textContent = "";
  $("owner").hidden = !ownerToken();
  $("options").replaceChildren(...found.options.map(optionRow));
  $("poll").hidden = false;
  showResults(found);
  live.subscribe(found.id);
}

function closePoll() {
  if (poll) live.unsubscribe(poll.id);
  poll = null;
  $("poll").hidden = true;
}

function optionRow(option) {
  const button = element(
    "button",
    { type: "button", className: "option", onclick: () => attempt(() => vote(option.id)) },
    element("span", { className: "bar" }),
    element(
      "span",
      { className: "words" },
      element("span", { className: "text", textContent: option.text }),
      element("span", { className: "votes" }),
    ),
  );
  button.dataset.option = option.id;
  return element("li", {}, button);
}

function showResults(results) {
  Object.assign(poll, {
    options: results.options,
    total_votes: results.total_votes,
    status: results.status,
    final: results.final,
    revision: results.revision,
  });
  const open = poll.status === "open";
  const state = open ? "open" : poll.final ? "closed, this is the final result" : "closed, the last votes are being counted";
  const once = poll.one_vote_per === "browser" ? " · one vote per browser" : "";
  const vouched = poll.one_vote_per === "voter" ? " · votes come through its maker's own site" : "";
  $("facts").textContent = `${count(poll.total_votes)} · ${state}${once}${vouched}`;
  for (const option of poll.options) {
    const button = $("options").querySelector(`[data-option="${CSS.escape(option.id)}"]`);
    const percent = Math.round(option.share * 100);
    button.querySelector(".bar").style.width = `${option.share * 100}%`;
    button.querySelector(".votes").textContent = `${numbers.format(option.votes)} · ${percent} %`;
    button.disabled = !open || poll.one_vote_per === "voter";
    button.setAttribute("aria-label", `Vote for ${option.text}: ${count(option.votes)}, ${percent} per cent`);
    button.setAttribute("aria-pressed", String(option.id === chosen));
  }
}

async function vote(option) {
  const of = poll;
  const key = unsent?.option === option ? unsent.key : newKey();
  unsent = { option, key };
  const answer = await cast(of.id, option, key);
  unsent = null;
  if (answer?.type === "error") throw new Error(answer.detail);
  if (of !== poll) return;
  chosen = option;
  const text = poll.options.find((one) => one.id === option).text;
  $("voted").replaceChildren("Your vote for “", element("bdi", { textContent: text }), "” was accepted.");
  showResults(poll);
}

// By the socket, or where it is not live by HTTP: with the same key it is the same vote.
async function cast(id, option, key) {
  try {
    const answer = await live.vote(id, option, key);
    if (answer.code === "log_unavailable") throw new Error(answer.detail);
    return answer;
  } catch {
    return castByHttp(id, option, key);
  }
}

async function castByHttp(id, option, key) {
  const response = await fetch(`/api/polls/${encodeURIComponent(id)}/vote`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify({ option }),
  }).catch(() => null);
  if (!response) throw new Error("Nobody knows whether your vote was taken. Choose the same option to send it again.");
  const answer = await response.json().catch(() => ({}));
  if (response.status >= 500) throw new Error(answer.detail ?? `The server answered ${response.status}.`);
  return response.ok ? answer : { type: "error", detail: answer.detail ?? `The server answered ${response.status}.` };
}

// --- its maker

function ownerToken() {
  return poll && localStorage.getItem(`admin:${poll.id}`);
}

$("close").onclick = (event) =>
  attempt(async () => showResults(await ask("POST", `/api/polls/${poll.id}/close`, { token: ownerToken() })), event.target);

$("delete").onclick = (event) => {
  if (!confirm("Delete this poll and its results for good?")) return;
  attempt(async () => {
    const { id } = poll;
    await ask("DELETE", `/api/polls/${id}`, { token: ownerToken() });
    localStorage.removeItem(`admin:${id}`);
    location.assign("/");
  }, event.target);
};

$("copy").onclick = () =>
  attempt(async () => {
    $("link").select();
    await navigator.clipboard.writeText($("link").value);
    $("voted").textContent = "The link was copied.";
  });

// --- a new one

function addOption() {
  const number = $("new-options").children.length + 1;
  const input = element("input", { type: "text", maxLength: 200, required: number <= 2, autocomplete: "off" });
  input.setAttribute("aria-label", `Option ${number}`);
  input.placeholder = `Option ${number}`;
  $("new-options").append(input);
  $("more").disabled = number >= MAX_OPTIONS;
  return input;
}

addOption();
addOption();
$("more").onclick = () => addOption().focus();

$("create").onsubmit = (event) => {
  event.preventDefault();
  attempt(async () => {
    const inputs = [...$("new-options").children];
    const made = await ask("POST", "/api/polls", {
      body: {
        question: $("new-question").value,
        options: inputs.map((input) => input.value).filter((text) => text.trim()),
        one_vote_per: $("once").checked ? "browser" : null,
      },
    });
    localStorage.setItem(`admin:${made.id}`, made.admin_token);
    closePoll();
    history.pushState(null, "", `/?poll=${made.id}`);
    await openPoll(made.id);
    $("create").reset();
    $("question").focus();
    await showNewest();
  }, event.submitter);
};

// --- all of them

function pollLink(id, text) {
  return element("a", { href: `/?poll=${encodeURIComponent(id)}`, textContent: text });
}

function showBoard(entries) {
  $("board").hidden = !entries.length;
  $("board-empty").hidden = entries.length > 0;
  const rows = entries.map((entry) =>
    element(
      "tr",
      {},
      element("td", { textContent: entry.rank }),
      element("td", { textContent: entry.option.text }),
      element("td", {}, pollLink(entry.poll_id, entry.question)),
      element("td", { textContent: `${numbers.format(entry.votes)} · ${Math.round(entry.share * 100)} %` }),
    ),
  );
  $("board").tBodies[0].replaceChildren(...rows);
}

async function showNewest() {
  const { data } = await ask("GET", "/api/polls?limit=10");
  const rows = data.map((one) => element("li", {}, pollLink(one.id, one.question), ` · ${count(one.total_votes)}, ${one.status}`));
  $("newest").replaceChildren(...rows);
}

function showAddress() {
  closePoll();
  const id = new URLSearchParams(location.search).get("poll");
  attempt(() => Promise.all([id && openPoll(id), showNewest()]));
}

addEventListener("popstate", showAddress);
showAddress();
