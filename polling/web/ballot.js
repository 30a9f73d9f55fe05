// Step 7 of 7, show: one voter's vote, from the tap until it is counted. What is not answered is kept, and sent again
// with the same key, also after a reload or an hour without a net: the same key is the same vote.
import { ask } from "./api.js";
import { known, note } from "./core.js";

const FIRST_WAIT = 1000; // ms before a vote is sent again; doubled each time, and drawn at random up to that
const LONGEST_WAIT = 30_000;
const WAIT = 3; // seconds in which the server tells at once that the vote is counted
const FIRST_LOOK = 500; // ms after which the page asks what became of a logged vote; doubled each time
const LONGEST_LOOK = 8_000;

// An idempotency key: 128 random bits.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Ballot {
  // told(): the state has changed. `state` is null or {step, option, retryAt?, problem?}, its step one of: sending,
  // waiting (not answered, sent again at `retryAt`), logged, counted, rejected, refused.
  constructor(poll, told) {
    this.poll = poll;
    this.told = told;
    const { vote, pending } = known(poll.id);
    this.state = vote ? { step: vote.counted ? "counted" : "logged", option: vote.option } : null;
    this.voteId = vote?.id ?? null;
    this.kept = true; // whether a vote that waits survives the page
    addEventListener("online", () => this.now());
    if (pending) this.send(pending);
    else if (vote) this.follow(vote.id, FIRST_LOOK);
  }

  // Whether nobody knows yet what became of a vote.
  get open() {
    return this.state?.step === "sending" || this.state?.step === "waiting";
  }

  get pending() {
    return this.state?.step === "waiting";
  }

  // Somebody chose. While a vote is under way, another choice waits for its end where a change is allowed.
  cast(option) {
    const pending = { option, key: newKey(), since: Date.now() };
    this.kept = note(this.poll.id, { pending });
    if (this.sending) this.after = pending;
    else this.send(pending);
  }

  // Sends what waits, without waiting longer.
  now() {
    if (this.pending && !this.sending) this.send(known(this.poll.id).pending ?? this.last);
  }

  set(state) {
    this.state = state;
    this.told();
  }

  async send(pending) {
    clearTimeout(this.timer);
    this.last = pending;
    this.sending = true;
    this.set({ step: "sending", option: pending.option });
    try {
      const { status, data } = await ask("POST", `/api/polls/${this.poll.id}/vote`, {
        body: { option: pending.option },
        headers: { "Idempotency-Key": pending.key, Prefer: `wait=${WAIT}` },
      });
      this.attempts = 0;
      this.answered(pending, data.vote_id, status === 200 ? data : { status: "accepted", option: data.option });
    } catch (problem) {
      this.failed(pending, problem);
    } finally {
      this.sending = false;
    }
    const next = this.after;
    this.after = null;
    if (next) await this.send(next);
  }

  // It is answered, and needs no keeping; unless another choice has taken its place there.
  settle(pending) {
    if (known(this.poll.id).pending?.key === pending.key) note(this.poll.id, { pending: null });
  }

  failed(pending, problem) {
    if (problem.unknown) {
      this.attempts = (this.attempts ?? 0) + 1;
      const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.attempts - 1));
      const wait = Math.max(problem.retryAfter * 1000, longest / 2 + (Math.random() * longest) / 2);
      this.timer = setTimeout(() => this.now(), wait);
      return this.set({ step: "waiting", option: pending.option, retryAt: Date.now() + wait, problem });
    }
    this.settle(pending);
    if (problem.code === "already_voted" && problem.voteId) {
      // Which one stands is asked for: this browser may have forgotten it.
      this.voteId = problem.voteId;
      this.set({ step: "refused", option: known(this.poll.id).vote?.option ?? null, problem });
      return this.follow(problem.voteId, 0);
    }
    const before = known(this.poll.id).vote;
    this.set({ step: "refused", option: before?.option ?? null, problem });
  }

  answered(pending, voteId, { status, option, rejected }) {
    this.voteId = voteId;
    this.settle(pending);
    if (status === "rejected") {
      note(this.poll.id, { vote: null });
      return this.set({ step: "rejected", option: null, reason: rejected[0]?.reason });
    }
    const counted = status === "counted";
    note(this.poll.id, { vote: { id: voteId, option: option.id, counted } });
    if (counted && option.id !== pending.option) {
      // An earlier vote of this browser stands.
      return this.set({ step: "refused", option: option.id, problem: { code: rejected[0]?.reason ?? "already_voted" } });
    }
    this.set({ step: counted ? "counted" : "logged", option: option.id });
    if (!counted) this.follow(voteId, FIRST_LOOK);
  }

  // Asks what became of a vote until the count has decided.
  async follow(voteId, wait) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (this.sending || this.voteId !== voteId) return;
    try {
      const { data } = await ask("GET", `/api/polls/${this.poll.id}/votes/${voteId}`);
      if (this.sending || this.voteId !== voteId) return;
      if (data.status !== "accepted") {
        const { problem } = this.state ?? {};
        if (data.status === "rejected") {
          note(this.poll.id, { vote: null });
          return this.set({ step: "rejected", option: null, reason: data.rejected[0]?.reason });
        }
        note(this.poll.id, { vote: { id: voteId, option: data.option.id, counted: true } });
        return this.set({ step: problem ? "refused" : "counted", option: data.option.id, problem });
      }
    } catch (problem) {
      if (!problem.unknown) {
        // The poll is gone, or the vote is not of this system: then this browser remembers something untrue.
        note(this.poll.id, { vote: null });
        return this.set(null);
      }
    }
    return this.follow(voteId, Math.min(LONGEST_LOOK, Math.max(FIRST_LOOK, wait * 2)));
  }
}
