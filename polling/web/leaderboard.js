// Step 7 of 7, show: the options with the most votes over all open polls; rows move to their new places.
import { ask } from "./api.js";
import { $, calm, colour, element, number, percent, quoted, ready, say, t } from "./core.js";
import { Live } from "./live.js";

const MOVED_FOR = 12_000; // ms that a change of rank is shown
const list = $("ranks");
const rows = new Map(); // `poll option` to {row, rank, moved}
let first = true;
let best = "";

function keyOf(entry) {
  return `${entry.poll_id} ${entry.option.id}`;
}

function rowOf(entry) {
  const fill = element("span", { className: "fill", attributes: { "aria-hidden": "true" } });
  const place = element("span", { className: "place" });
  const move = element("span", { className: "move" });
  const votes = element("span");
  const share = element("small");
  const row = element(
    "li",
    { className: "rank", dataset: { c: colour(Number(entry.option.id) - 1), key: keyOf(entry) } },
    fill,
    element("span", { className: "place" }, place, move),
    element("div", {}, element("bdi", { className: "text", textContent: entry.option.text }), element("br"), element("a", { href: `/p/${encodeURIComponent(entry.poll_id)}`, textContent: entry.question, dir: "auto" })),
    element("span", { className: "figures" }, votes, share),
  );
  return { row, place, move, votes, share, rank: 0, moved: null };
}

function showMove(one) {
  const { move, moved } = one;
  const way = moved && moved.until > Date.now() ? moved.way : "";
  move.dataset.way = way;
  const text = way === "new" ? t("board.new") : way ? t(`board.${way}`, { n: moved.by }) : "";
  if (move.textContent !== text) move.textContent = text;
}

function show(entries) {
  $("empty").hidden = entries.length > 0;
  const tops = new Map([...rows.values()].map((one) => [one, one.row.getBoundingClientRect().top]));
  const most = entries[0]?.votes ?? 1;
  const kept = new Set(entries.map(keyOf));
  for (const [key, one] of rows) {
    if (!kept.has(key)) {
      one.row.remove();
      rows.delete(key);
    }
  }
  entries.forEach((entry, index) => {
    const key = keyOf(entry);
    const one = rows.get(key) ?? rowOf(entry);
    rows.set(key, one);
    if (!first && one.rank !== entry.rank) {
      const way = !one.rank ? "new" : entry.rank < one.rank ? "up" : "down";
      one.moved = { way, by: Math.abs(entry.rank - one.rank), until: Date.now() + MOVED_FOR };
    }
    one.rank = entry.rank;
    one.place.textContent = number(entry.rank);
    one.votes.textContent = number(entry.votes);
    one.share.textContent = t("board.share", { share: percent(entry.share) });
    one.row.style.setProperty("--share", String(entry.votes / most));
    if (list.children[index] !== one.row) list.insertBefore(one.row, list.children[index] ?? null);
    showMove(one);
  });
  if (!calm.matches) {
    for (const [one, top] of tops) {
      const by = top - one.row.getBoundingClientRect().top;
      if (by && one.row.isConnected) one.row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 500, easing: "cubic-bezier(.2,.75,.25,1)" });
    }
  }
  tell(entries[0]);
  first = false;
}

function tell(entry) {
  const key = entry ? keyOf(entry) : "";
  if (!first && entry && key !== best) say(t("board.leads", { option: quoted(entry.option.text), votes: t("count.votes", { n: entry.votes }) }));
  best = key;
}

function onState(live, wait) {
  $("live").className = `pill ${live ? "live" : "off"}`;
  $("live").textContent = live ? t("live.on") : t("live.off", { n: wait });
}

await ready;
new Live({ frame: (frame) => frame.type === "leaderboard" && show(frame.entries), state: onState }, { leaderboard: true });
setInterval(() => rows.forEach(showMove), 1000);
const { data } = await ask("GET", "/api/leaderboard").catch(() => ({ data: null }));
if (data && first) show(data.entries);
document.body.dataset.ready = "";
