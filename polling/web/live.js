// Step 7 of 7, show: the page's one WebSocket. Comes back for ever, and says when it is not live.

const FIRST_WAIT = 500; // ms before the first new attempt; doubled each time, and drawn at random up to that
const LONGEST_WAIT = 15_000;
const LONGEST_TOLD = 60_000; // ms that the server may ask for
const PING_EVERY = 20_000;
const SILENCE = 45_000; // ms without a word from the server after which the connection counts as dead
const ANSWERED_WITHIN = 5_000; // ms for a pong, where the page was just looked at again

export class Live {
  // on: {frame(frame), state(live, secondsToWait)}. With `leaderboard` false the socket is told to leave it out.
  constructor(on, { leaderboard = false } = {}) {
    this.on = on;
    this.leaderboard = leaderboard;
    this.polls = new Map();
    this.attempts = 0;
    this.connect();
    setInterval(() => this.look(), PING_EVERY);
    addEventListener("online", () => this.again());
    addEventListener("offline", () => this.live && this.drop());
    addEventListener("pageshow", (event) => event.persisted && this.again());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.again());
  }

  get live() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  // more: {viewers, vote, admin_token}, as the API takes them. The same poll again replaces them.
  subscribe(poll, more = {}) {
    this.polls.set(poll, more);
    if (this.live) this.say({ type: "subscribe", poll, ...more });
  }

  unsubscribe(poll) {
    this.polls.delete(poll);
    if (this.live) this.say({ type: "unsubscribe", poll });
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  connect() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`);
    this.socket = socket;
    this.heard = Date.now();
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
      for (const [poll, more] of this.polls) this.say({ type: "subscribe", poll, ...more });
      if (!this.leaderboard) this.say({ type: "unsubscribe", leaderboard: true });
      this.on.state(true, 0);
    }
    this.on.frame(frame);
  }

  // told: ms after which the server wants this socket back, so that not all come at once.
  comeBack(told) {
    this.socket = null;
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempts++);
    const wait = told ?? longest / 2 + (Math.random() * longest) / 2;
    this.timer = setTimeout(() => this.connect(), wait);
    this.on.state(false, Math.ceil(wait / 1000));
  }

  // Somebody looks again, or the net is back.
  again() {
    if (this.live) this.probe();
    else this.connect();
  }

  // A socket that looks open may have died while the page slept.
  probe() {
    if (!this.live) return;
    const asked = Date.now();
    this.say({ type: "ping" });
    setTimeout(() => this.live && this.heard < asked && this.drop(), ANSWERED_WITHIN);
  }

  look() {
    if (!this.live) return;
    if (Date.now() - this.heard > SILENCE) this.drop();
    else this.say({ type: "ping" });
  }

  // close() would wait for the peer's answer, which may never come.
  drop() {
    const dead = this.socket;
    this.comeBack();
    dead.close();
  }
}

// The milliseconds that the reason of a close frame names, if it does. Whatever else it says, the page must come back.
function hint(reason) {
  const found = /"reconnect_after_ms":(\d+)/.exec(reason);
  return found ? Math.min(Number(found[1]), LONGEST_TOLD) : undefined;
}
