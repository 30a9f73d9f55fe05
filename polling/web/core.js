// Step 7 of 7, show: what every page does: elements, texts in the reader's language, what the browser keeps, the clock.

const early = window.early;
export const { lang, languages, locale, pollId } = early;
export const $ = (id) => document.getElementById(id);
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function element(tag, properties = {}, ...children) {
  const { dataset, attributes, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// An icon of icons.svg, for the eye alone.
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// A long question is written smaller, a very long one smaller still.
export function showLength(place, text) {
  if (text.length > 110) place.dataset.long = text.length > 280 ? "2" : "1";
  else delete place.dataset.long;
}

// An option's letter and colour, by its place; told apart by the letter where colours are not seen.
export const letter = (index) => (index < 26 ? String.fromCharCode(65 + index) : String(index + 1));
export const colour = (index) => String((index % 8) + 1);

// --- texts

const percents = new Intl.NumberFormat(locale, { style: "percent" });
const plurals = new Intl.PluralRules(locale);
let texts = {};

export const number = (value) => early.numbers.format(value);
export const percent = (share) => percents.format(share);
// Somebody's words inside a sentence of ours: their direction of writing ends with them.
export const quoted = (text) => `\u2068${text}\u2069`;

// The text of a key. `{name}` stands for a value; with a number `n` the key's plural form is chosen.
export function t(key, values = {}) {
  const found = (typeof values.n === "number" ? texts[`${key}.${plurals.select(values.n)}`] ?? texts[`${key}.other`] : undefined) ?? texts[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

const PLACES = { t: "textContent", tPlaceholder: "placeholder", tTitle: "title", tAlt: "alt" };

export function translate(root = document) {
  for (const one of root.querySelectorAll("[data-t], [data-t-placeholder], [data-t-title], [data-t-label], [data-t-alt]")) {
    for (const [name, property] of Object.entries(PLACES)) {
      if (one.dataset[name]) one[property] = t(one.dataset[name]);
    }
    if (one.dataset.tLabel) one.setAttribute("aria-label", t(one.dataset.tLabel));
  }
}

// Resolves when texts can be shown. Pages wait for it before they write anything of their own.
export const ready = early.texts.then(async (answer) => {
  let found = answer?.ok ? answer.data : null;
  for (let attempt = 0; !found && attempt < 5; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 300 * 2 ** attempt));
    found = await fetch(`/static/locales/${lang}.json`).then((response) => response.json()).catch(() => null);
  }
  texts = found ?? {};
  if (found && lang !== "en") translate();
  delete document.documentElement.dataset.waiting;
});

// --- what the browser keeps

export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

// null forgets. False where this browser keeps nothing.
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

// Of a poll: {token, question, made} where this browser made or runs it, {vote: {id, option, state}} where it voted,
// {pending: {option, key, since}} where nobody knows yet what became of a vote.
export const known = (id) => recall(`poll:${id}`) ?? {};

// False where this browser keeps nothing.
export function note(id, changes) {
  const next = { ...known(id), ...changes };
  for (const [name, value] of Object.entries(next)) if (value === null) delete next[name];
  return keep(`poll:${id}`, Object.keys(next).length ? next : null);
}

// The polls that this browser made or runs, newest first.
export function mine() {
  const found = [];
  try {
    for (let index = 0; index < localStorage.length; index++) {
      const name = localStorage.key(index);
      if (name.startsWith("poll:")) found.push({ id: name.slice(5), ...recall(name) });
    }
  } catch {
    return [];
  }
  return found.filter((one) => one.token && one.question).sort((a, b) => (b.made ?? 0) - (a.made ?? 0));
}

// --- the server's clock

let ahead = 0; // ms by which the server's clock is ahead of this one

export const now = () => Date.now() + ahead;

export function hearDate(header, sent, heard = Date.now()) {
  const there = Date.parse(header ?? "");
  if (Number.isNaN(there)) return;
  const differs = there + 500 - (sent + heard) / 2; // the header has whole seconds
  ahead = Math.abs(differs) > 1500 ? differs : 0;
}

// `4:05`, `1:02:03`, or in days where it is longer.
export function span(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  if (seconds >= 172_800) return t("time.days", { n: Math.floor(seconds / 86_400) });
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export const moment = (time) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));

// --- what is said

const QUIET = 4000; // ms between two announcements
let toSay = null;
let sayTimer = 0;
let saidAt = 0;

// To screen readers, politely; the newest wins, at most one in four seconds.
export function say(text) {
  toSay = text;
  if (sayTimer) return;
  sayTimer = setTimeout(() => {
    sayTimer = 0;
    saidAt = Date.now();
    const place = $("said");
    if (place && place.textContent !== toSay) place.textContent = toSay;
  }, Math.max(50, saidAt + QUIET - Date.now()));
}

let toastTimer = 0;

// To everybody: a short note at the window's lower edge. `kind`: "good" or "bad".
export function toast(text, kind = "good") {
  const place = $("toast");
  place.replaceChildren(icon(kind === "good" ? "check" : "alert"), text);
  place.dataset.kind = kind;
  place.classList.add("on");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.classList.remove("on"), kind === "good" ? 3500 : 7000);
  say(text);
}

// --- the switches that every page has

function showSwitches() {
  const place = $("language");
  if (place) {
    const names = languages.map((code) => element("option", { value: code, lang: code, textContent: new Intl.DisplayNames(code, { type: "language" }).of(code) }));
    place.replaceChildren(...names);
    place.value = lang;
    place.onchange = () => {
      try {
        localStorage.setItem("lang", place.value);
      } catch {
        // Then the address alone carries it.
      }
      const there = new URL(location);
      there.searchParams.set("lang", place.value);
      location.replace(there);
    };
  }
  const button = $("theme");
  if (button) button.onclick = () => toggleTheme();
}
ready.then(() => setTimeout(showSwitches)); // after the page's own first picture

export function toggleTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", next);
  } catch {
    // Then it lasts as long as the page.
  }
  document.documentElement.dataset.theme = next;
  return next;
}
