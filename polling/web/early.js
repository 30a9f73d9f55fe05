// Step 7 of 7, show: runs before the first paint: light or dark, language and direction, and the first two requests.
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
  root.lang = lang;
  root.dir = RIGHT_TO_LEFT.includes(lang) ? "rtl" : "ltr";
  // The page is written in English: in another language nothing is seen until its texts are there, or a second has passed.
  if (lang !== "en") root.dataset.waiting = "";

  // What the page's modules need first is asked for while they are still being loaded.
  const get = (path, headers) =>
    fetch(path, { headers }).then(
      async (response) => ({ ok: response.ok, date: response.headers.get("Date"), data: await response.json().catch(() => null) }),
      () => null,
    );

  const old = location.pathname === "/" && query.get("poll");
  if (old) location.replace(`/p/${encodeURIComponent(old)}`);
  const [, pollId, view = ""] = /^\/p\/([^/]+)\/?(\w*)$/.exec(location.pathname) ?? [];
  let poll = null;
  if (pollId) {
    let known = {};
    try {
      known = JSON.parse(kept(`poll:${pollId}`)) ?? {};
    } catch {
      // Somebody else wrote there; the pages write JSON.
    }
    const hosts = view === "present" || view === "admin";
    const token = hosts ? location.hash.slice(1) || known.token : null;
    const vote = !hosts && known.vote?.id ? `?vote=${encodeURIComponent(known.vote.id)}` : "";
    poll = get(`/api/polls/${pollId}${vote}`, token && /^[\w-]+$/.test(token) ? { Authorization: `Bearer ${token}` } : {});
  }
  window.early = { languages: LANGUAGES, lang, paint, pollId, view, poll, sent: Date.now(), texts: get(`/static/locales/${lang}.json`) };
})();
