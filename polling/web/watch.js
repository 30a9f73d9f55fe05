// Step 7 of 7, show: one poll as it is now: read once, kept new by the socket, read again where that is not enough.
import { ask, left } from "./api.js";
import { $, icon, span, t } from "./core.js";
import { Live } from "./live.js";

const SPREAD = 3_000; // ms over which all who watch read a changed poll again, so that not all come at once
const SETTLED = 1_200; // ms after which every API process knows of a change
const HIDDEN_SPREAD = 20_000; // the same where a mere change of votes looks no different

export class Watch {
  // poll: as the API answered. who(): {vote} or {admin_token}, by which this reader may see hidden results.
  // changed(): the poll, or what is known of it, has changed. `second()` is called every second.
  constructor(poll, { who = () => ({}), changed, second = () => undefined }) {
    this.poll = poll;
    this.who = who;
    this.changed = changed;
    this.gone = false;
    this.isLive = null; // null: not known yet
    this.wait = 0;
    this.viewers = 0;
    this.plain = false; // the socket has refused who this reader says to be
    this.socket = new Live({ frame: (frame) => this.take(frame), state: (live, wait) => this.onState(live, wait) });
    this.subscribe();
    setInterval(() => {
      if (this.isLive === false && this.wait > 0) this.wait--;
      second();
    }, 1000);
  }

  // Again, where `who` is another now.
  subscribe() {
    this.plain = false;
    this.socket.subscribe(this.poll.id, { viewers: true, ...this.who() });
  }

  onState(live, wait) {
    this.isLive = live;
    this.wait = wait;
    // Where the socket stays away, HTTP may still answer.
    if (!live && wait > 1) setTimeout(() => this.refresh(), Math.random() * wait * 1000);
    this.changed();
  }

  take(frame) {
    const ours = frame.poll_id === this.poll.id;
    if (frame.type === "results" && ours) {
      if (frame.revision < this.poll.revision) return;
      const blind = frame.results_hidden && this.poll.results_hidden;
      const other = this.isOtherwise(frame);
      this.merge({ ...frame, results_hidden: frame.results_hidden ?? false });
      if (other) this.readLater(blind ? HIDDEN_SPREAD : SPREAD);
    } else if (frame.type === "viewers" && ours) {
      this.viewers = frame.viewers;
      this.changed();
    } else if (frame.type === "deleted" && ours) {
      this.gone = true;
      this.socket.unsubscribe(this.poll.id);
      this.changed();
    } else if (frame.type === "error" && frame.code === "store_unavailable" && frame.poll === this.poll.id) {
      setTimeout(() => this.subscribe(), 2000);
    } else if (frame.type === "error" && frame.code === "validation_error" && !this.plain) {
      // A vote that this browser remembers is none of this poll's: then it is shown what everybody sees.
      this.plain = true;
      this.socket.subscribe(this.poll.id);
    }
  }

  // Whether more than votes has changed: it was opened again, or its texts, its end or who sees what were changed.
  isOtherwise(frame) {
    const { poll } = this;
    if (frame.status !== "open") return false;
    if (Boolean(frame.results_hidden) !== Boolean(poll.results_hidden)) return true;
    if (frame.revision === poll.revision) return false;
    return poll.status !== "open" || frame.options.every((option, index) => option.votes === poll.options[index].votes);
  }

  readLater(spread) {
    this.reading ??= setTimeout(() => {
      this.reading = undefined;
      this.refresh();
    }, SETTLED + Math.random() * spread);
  }

  merge({ type: _type, poll_id: _id, ...news }) {
    Object.assign(this.poll, news);
    this.changed();
  }

  // Reads the poll by HTTP. Failing is no news: the socket's state tells of it.
  async refresh() {
    const { vote, admin_token: token } = this.who();
    const query = vote ? `?vote=${encodeURIComponent(vote)}` : "";
    try {
      const { data } = await ask("GET", `/api/polls/${this.poll.id}${query}`, { token });
      if (data.revision >= this.poll.revision) this.merge({ results_hidden: false, results_visible: undefined, ...data });
    } catch (problem) {
      if (problem.code === "poll_not_found") {
        this.gone = true;
        this.changed();
      }
    }
  }
}

// The line of facts: live or not, votes, who watches, time left. Texts change only where they differ.
export function showFacts({ poll, isLive, wait, viewers, gone }) {
  const open = poll.status === "open" && !gone;
  const time = open ? left(poll) : null;
  const pill = $("live");
  pill.className = `pill ${isLive ? "live" : isLive === false ? "off" : ""}`;
  set(pill, isLive === null ? t("live.connecting") : isLive ? t("live.on") : t("live.off", { n: wait }));
  set($("total"), t("count.votes", { n: poll.total_votes }));
  fact($("viewers"), "people", isLive && viewers > 0 ? t("count.viewers", { n: viewers }) : "");
  const due = time !== null && time <= 0;
  fact($("left"), "clock", time === null ? (open ? "" : t(poll.final ? "status.final" : "status.closed")) : due ? t("status.closing") : t("status.left", { time: span(time) }));
}

function fact(place, name, text) {
  place.hidden = !text;
  if (!place.firstChild) place.append(icon(name), document.createTextNode(""));
  if (place.lastChild.data !== text) place.lastChild.data = text;
}

function set(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

