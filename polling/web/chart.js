// Step 7 of 7, show: votes over time: the stored series first, then what comes live. Loaded only when it is looked at.
import { ask } from "./api.js";
import { colour, letter, locale, now, number, t } from "./core.js";

const NS = "http://www.w3.org/2000/svg";
const LINES = 8; // the options with the most votes
const POINTS = 600; // then every other point is left out
const MARGIN = { top: 12, end: 30, bottom: 26, start: 44 };
const HEIGHT = 224;
const DRAW_EVERY = 400; // ms

export class Chart {
  // place: an element that it fills. who(): {vote} or {admin_token}, as for watching.
  constructor(place, poll, who) {
    this.place = place;
    this.poll = poll;
    this.points = [];
    this.svg = svg("svg", { role: "img", "aria-label": t("chart.title") });
    place.replaceChildren(this.svg);
    new ResizeObserver(() => this.draw()).observe(place);
    this.load(who());
  }

  async load({ vote, admin_token: token }) {
    const query = vote ? `?vote=${encodeURIComponent(vote)}` : "";
    const { data } = await ask("GET", `/api/polls/${this.poll.id}/series${query}`, { token }).catch(() => ({ data: { points: [] } }));
    const stored = data.points.map(({ at, votes }) => ({ at: Date.parse(at), votes }));
    // At its creation a poll has no votes: a line has a beginning also where no series is stored yet.
    if (!stored.length) stored.push({ at: Date.parse(this.poll.created_at), votes: this.poll.options.map(() => 0) });
    const last = stored.at(-1).at;
    this.points = [...stored, ...this.points.filter((point) => point.at > last)];
    this.push(this.poll);
  }

  push(poll) {
    this.poll = poll;
    if (poll.results_hidden) return;
    const votes = poll.options.map((option) => option.votes);
    const at = now();
    this.points.push({ at, votes });
    if (this.points.length > POINTS) this.points = this.points.filter((_, index) => index % 2 === 0 || index === this.points.length - 1);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.draw();
    }, DRAW_EVERY);
  }

  draw() {
    const width = this.place.clientWidth;
    if (!width || this.points.length < 2) return;
    const { options } = this.poll;
    const last = this.points.at(-1);
    const from = this.points[0].at;
    const to = Math.max(last.at, from + 1000);
    const top = nice(Math.max(1, ...last.votes, ...this.points.map((point) => Math.max(...point.votes))));
    const x = (at) => MARGIN.start + ((at - from) / (to - from)) * (width - MARGIN.start - MARGIN.end);
    const y = (votes) => HEIGHT - MARGIN.bottom - (votes / top) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", t("chart.label", { from: clock(from, to), to: clock(to, from), n: this.poll.total_votes }));
    const parts = [];
    for (const votes of top % 2 ? [0, top] : [0, top / 2, top]) {
      parts.push(svg("line", { class: "grid", x1: MARGIN.start, x2: width - MARGIN.end, y1: y(votes), y2: y(votes) }));
      parts.push(svg("text", { x: MARGIN.start - 8, y: y(votes) + 4, "text-anchor": "end" }, number(votes)));
    }
    parts.push(svg("text", { x: MARGIN.start, y: HEIGHT - 6 }, clock(from, to)));
    parts.push(svg("text", { x: width - MARGIN.end, y: HEIGHT - 6, "text-anchor": "end" }, clock(to, from)));
    const order = options.map((_, index) => index).sort((a, b) => last.votes[b] - last.votes[a]).slice(0, LINES);
    let free = -Infinity; // labels at the lines' ends keep their distance, from above
    for (const index of order) {
      const path = this.points.map((point, at) => `${at ? "L" : "M"}${x(point.at).toFixed(1)} ${y(point.votes[index]).toFixed(1)}`).join("");
      const line = svg("path", { class: "line", d: path });
      line.dataset.c = colour(index);
      parts.push(line);
      free = Math.max(y(last.votes[index]) + 4, free + 13);
      parts.push(svg("text", { class: "end", x: width - MARGIN.end + 8, y: free }, letter(index)));
    }
    this.svg.replaceChildren(...parts);
  }
}

function svg(tag, attributes, text) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

// The least of 1, 2, 4, 5, 10, 20, … that is not less.
function nice(value) {
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * ten).find((step) => step >= value);
}

// A time of day, with its date where the other one is of another day; with seconds where the two are close.
function clock(time, other) {
  const [one, two] = [new Date(time), new Date(other)];
  const options = one.toDateString() === two.toDateString() ? { timeStyle: Math.abs(time - other) < 600_000 ? "medium" : "short" } : { dateStyle: "short", timeStyle: "short" };
  return new Intl.DateTimeFormat(locale, options).format(one);
}
