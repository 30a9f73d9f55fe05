// Step 7 of 7, show: the page's one WebSocket. Comes back for ever, says when it is not live, gives each vote its answer.

const FIRST_WAIT = 500; // ms before the first new attempt; doubled each time, and drawn at random up to that
const LONGEST_WAIT = 15_000;
const LONGEST_TOLD = 60_000; // ms that the server may ask for
const PING_EVERY = 20_000;
const SILENCE = 45_000; // ms without a word from the server after which the connection counts as dead
const ANSWER_WITHIN = 8_000; // ms for a vote; the server gives up after 5 s

export class Live {
  // on: {frame(frame), state(live, secondsToWait)}
  constructor(on) {
    this.on = on;
    this.polls = new Set();
    this.waiting = new Map();
    this.attempts = 0;
    this.refs = 0;
    this.connect();
    setInterval(() => this.look(), PING_EVERY);
    addEventListener("online", () => this.connect());
  }

  get live() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  subscribe(poll) {
    this.polls.add(poll);
    if (this.live) this.say({ type: "subscribe", poll });
  }

  unsubscribe(poll) {
    this.polls.delete(poll);
    if (this.live) this.say({ type: "unsubscribe", poll });
  }

  // The answer's frame; rejects where none came in time or the connection broke: then it is unknown what became of it.
  vote(poll, option, key) {
    return new Promise((resolve, reject) => {
      if (!this.live) return reject(new Error("not live"));
      const ref = ++this.refs;
      const timer = setTimeout(() => this.settle(ref)?.reject(new Error("no answer")), ANSWER_WITHIN);
      this.waiting.set(ref, { resolve, reject, timer });
      this.say({ type: "vote", poll, option, ref, idempotency_key: key });
    });
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  settle(ref) {
    const vote = this.waiting.get(ref);
    if (vote) clearTimeout(vote.timer);
    this.waiting.delete(ref);
    return vote;
  }

  connect() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`);
    this.socket = socket;
    this.heard = Date.now();
    socket.onopen = () => this.on.state(true, 0);
    socket.onmessage = (event) => {
      if (socket === this.socket) this.take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.comeBack(hint(event.reason));
    };
  }

  take(frame) {
    this.heard = Date.now();
    if (frame.type === "welcome") {
      this.attempts = 0;
      for (const poll of this.polls) this.say({ type: "subscribe", poll });
    }
    const vote = "ref" in frame ? this.settle(frame.ref) : undefined;
    if (vote) vote.resolve(frame);
    else this.on.frame(frame);
  }

  // told: ms after which the server wants this socket back, so that not all come at once.
  comeBack(told) {
    this.socket = null;
    for (const ref of [...this.waiting.keys()]) this.settle(ref).reject(new Error("connection lost"));
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempts++);
    const wait = told ?? longest / 2 + (Math.random() * longest) / 2;
    this.timer = setTimeout(() => this.connect(), wait);
    this.on.state(false, Math.ceil(wait / 1000));
  }

  look() {
    if (!this.live) return;
    if (Date.now() - this.heard > SILENCE) {
      // close() would wait for the peer's answer, which may never come.
      const dead = this.socket;
      this.comeBack();
      dead.close();
    } else {
      this.say({ type: "ping" });
    }
  }
}

// The milliseconds that the reason of a close frame names, if it does. Whatever else it says, the page must come back.
function hint(reason) {
  const found = /"reconnect_after_ms":(\d+)/.exec(reason);
  return found ? Math.min(Number(found[1]), LONGEST_TOLD) : undefined;
}
