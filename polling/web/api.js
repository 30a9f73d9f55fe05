// Step 7 of 7, show: requests to the API, and its problem documents in the reader's words.
import { hearDate, now, t } from "./core.js";

// What the server refused, or did not answer: then `status` is 0.
export class Problem extends Error {
  constructor(status, document, retryAfter) {
    super(words(status, document));
    this.status = status;
    this.code = document?.code ?? "";
    this.errors = document?.errors ?? [];
    this.voteId = document?.vote_id;
    this.retryAfter = retryAfter;
  }

  // Nobody knows what came of it, or it may come to something later: the same again is right.
  get unknown() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

function words(status, document) {
  if (status === 0) return t("error.unreachable");
  const key = `error.${document?.code}`;
  const own = t(key);
  return own === key ? document?.detail ?? t("error.status", { status: String(status) }) : own;
}

// {status, data}; throws a Problem. `within`: ms until it counts as not answered.
export async function ask(method, path, { body, token, headers = {}, within = 20_000 } = {}) {
  const sent = Date.now();
  const all = { ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  if (token) all.Authorization = `Bearer ${token}`;
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), within);
  try {
    const response = await fetch(path, { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), signal: giveUp.signal });
    hearDate(response.headers.get("Date"), sent);
    const data = response.status === 204 ? null : await response.json().catch(() => null);
    if (!response.ok) throw new Problem(response.status, data, Number(response.headers.get("Retry-After")) || 0);
    return { status: response.status, data };
  } catch (error) {
    throw error instanceof Problem ? error : new Problem(0, null, 0);
  } finally {
    clearTimeout(timer);
  }
}

// The poll that the page came with or that early.js has asked for, or asked for again where that came to nothing.
export async function firstPoll(token) {
  const answer = await window.early.poll;
  if (answer?.date) hearDate(answer.date, answer.sent, answer.heard);
  if (answer?.ok) return answer.data;
  return (await ask("GET", `/api/polls/${window.early.pollId}`, { token })).data;
}

// ms until a poll closes by itself; null where it does not.
export const left = (poll) => (poll.closes_at ? Date.parse(poll.closes_at) - now() : null);

// What the server said of fields, in the reader's words: pairs of pointer and text.
const SAID = [
  [/may not be empty/, "field.empty"],
  [/has (\d+) characters at most/, "field.long"],
  [/same as option (\d+)/, "field.same"],
  [/has (\d+) to (\d+) options/, "field.count"],
  [/closes in the future|in the future/, "field.past"],
];

export function fieldErrors(problem) {
  return problem.errors.map(({ pointer, detail }) => {
    for (const [pattern, key] of SAID) {
      const found = pattern.exec(detail);
      if (found) return [pointer, t(key, { a: Number(found[1]), b: Number(found[2]) })];
    }
    return [pointer, detail];
  });
}
