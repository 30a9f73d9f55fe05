// Step 7 of 7, show: runs before the first paint: light or dark, language and direction, and what the modules need first.
"use strict";
(() => {
  const LANGUAGES = ["en", "de", "ar"]; // each has a file in locales/
  const RIGHT_TO_LEFT = ["ar"];
  const root = document.documentElement;
  const query = new URLSearchParams(location.search);

  function kept(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // a browser that keeps nothing, such as a frame of a foreign page
    }
  }

  const system = matchMedia("(prefers-color-scheme: dark)");
  function paint() {
    const wish = query.get("theme") ?? kept("theme");
    root.dataset.theme = wish === "dark" || wish === "light" ? wish : system.matches ? "dark" : "light";
  }
  paint();
  system.addEventListener("change", paint);

  const wishes = [query.get("lang"), kept("lang"), ...(navigator.languages ?? [navigator.language])];
  const lang = wishes.map((wish) => String(wish ?? "").toLowerCase().split("-")[0]).find((one) => LANGUAGES.includes(one)) ?? "en";
  // With its country, where the browser names one for this language: 16:05 in one is 4:05 PM in the other.
  const locale = navigator.languages?.find((one) => one.toLowerCase().split("-")[0] === lang) ?? lang;
  root.lang = lang;
  root.dir = RIGHT_TO_LEFT.includes(lang) ? "rtl" : "ltr";
  // The page is written in English: in another language nothing is seen until its texts are there, or a second has passed.
  if (lang !== "en") root.dataset.waiting = "";

  // What the page's modules need first came with the page, or is asked for while they are still being loaded.
  const given = JSON.parse(document.getElementById("given")?.textContent || "{}");
  function get(path, headers) {
    const sent = Date.now();
    return fetch(path, { headers }).then(
      async (response) => ({ ok: response.ok, date: response.headers.get("Date"), sent, heard: Date.now(), data: await response.json().catch(() => null) }),
      () => null,
    );
  }

  function came() {
    const { requestStart, responseStart } = performance.getEntriesByType("navigation")[0];
    const began = Date.now() - performance.now();
    return Promise.resolve({ ok: true, date: given.date, sent: began + requestStart, heard: began + responseStart, data: given.poll });
  }

  const old = location.pathname === "/" && query.get("poll");
  if (old) location.replace(`/p/${encodeURIComponent(old)}`);
  const [, pollId, view = ""] = /^\/p\/([^/]+)\/?(\w*)$/.exec(location.pathname) ?? [];
  let poll = null;
  if (pollId && !("missing" in root.dataset)) {
    let known = {};
    try {
      known = JSON.parse(kept(`poll:${pollId}`)) ?? {};
    } catch {
      // Somebody else wrote there; the pages write JSON.
    }
    const hosts = view === "present" || view === "admin";
    const token = hosts ? location.hash.slice(1) || known.token : null;
    const vote = !hosts && known.vote?.id ? `?vote=${encodeURIComponent(known.vote.id)}` : "";
    // A voter may see more than what the page came with, which is what everybody sees.
    if (given.poll && !(vote && given.poll.results_hidden)) poll = came();
    else poll = get(`/api/polls/${pollId}${vote}`, token && /^[\w-]+$/.test(token) ? { Authorization: `Bearer ${token}` } : {});
  }
  const texts = given.lang === lang ? Promise.resolve({ ok: true, data: given.texts }) : get(`/static/locales/${lang}.json`);
  // The first of these takes a slow phone 40 ms: here they pass while the style sheet is still on its way.
  const numbers = new Intl.NumberFormat(locale);
  window.early = { languages: LANGUAGES, lang, locale, numbers, paint, pollId, view, poll, texts };
})();
