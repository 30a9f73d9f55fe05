"""The texts of the pages: all languages have the same, all that are used are there, and the pages have the English."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest
from playwright.sync_api import Page

WEB = Path(__file__).resolve().parents[2] / "polling" / "web"
LOCALES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(WEB.glob("locales/*.json"))}
FORMS = re.compile(r"\.(zero|one|two|few|many|other)$")
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js") if path.name != "docs.js"}
TARGETS = {"placeholder": "placeholder", "title": "title", "label": "aria-label", "alt": "alt"}
PAGES = [path for path in sorted(WEB.glob("*.html")) if path.name != "docs.html"]


def keys(texts: dict[str, str]) -> set[str]:
    """Without their plural forms."""
    return {FORMS.sub("", key) for key in texts}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_there_are_three_languages_and_the_pages_know_them() -> None:
    assert set(LOCALES) == {"en", "de", "ar"}
    listed = re.search(r"const LANGUAGES = (\[.*?\]);", SCRIPTS["early.js"])
    assert listed is not None
    assert set(json.loads(listed[1])) == set(LOCALES)


@pytest.mark.parametrize("language", [language for language in LOCALES if language != "en"])
def test_every_language_has_the_same_keys(language: str) -> None:
    assert keys(LOCALES[language]) == keys(LOCALES["en"])


@pytest.mark.parametrize("language", LOCALES)
def test_every_text_has_the_fields_of_the_english_one(language: str) -> None:
    english: dict[str, set[str]] = {}
    for key, text in LOCALES["en"].items():
        english.setdefault(FORMS.sub("", key), set()).update(fields(text))
    for key, text in LOCALES[language].items():
        assert text.strip(), key
        base = FORMS.sub("", key)
        # "one vote" may go without its number.
        assert fields(text) == english[base] or (base != key and fields(text) <= english[base]), key
        assert "<" not in text, f"{key}: texts are no markup"


@pytest.mark.parametrize("language", LOCALES)
def test_plural_forms_are_those_of_the_language(page: Page, language: str) -> None:
    page.goto("/docs")
    wanted = set(page.evaluate("of => new Intl.PluralRules(of).resolvedOptions().pluralCategories", language))
    forms: dict[str, set[str]] = {}
    for key in LOCALES[language]:
        if found := FORMS.search(key):
            forms.setdefault(FORMS.sub("", key), set()).add(found[1])
    assert forms
    for key, has in forms.items():
        assert has == wanted, key


def test_every_text_that_is_used_is_there_and_every_one_there_is_used() -> None:
    everything = "\n".join([*SCRIPTS.values(), *(page.read_text(encoding="utf-8") for page in PAGES)])
    there = keys(LOCALES["en"])
    used = set(re.findall(r"""\bt\(\s*"([\w.]+)\"""", everything)) | set(
        re.findall(r'data-t(?:-\w+)?="([\w.]+)"', everything)
    )
    assert used - there == set()
    # What is chosen while running: `hint.${…}`, or one of two in a condition.
    begun = {found for found in re.findall(r"t\(`([\w.]+?\.)\$\{", everything)}
    named = set(re.findall(r'"([a-z]+\.[\w.]+)"', everything))
    assert {key for key in there - used - named if not any(key.startswith(one) for one in begun)} == set()


class Texts(HTMLParser):
    """The keys of a page, and the English that stands there for each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._key: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        for attribute, target in TARGETS.items():
            if key := named.get(f"data-t-{attribute}"):
                self.found.append((key, named.get(target) or ""))
        self._key = named.get("data-t")

    def handle_data(self, data: str) -> None:
        if self._key:
            self.found.append((self._key, data))
        self._key = None


@pytest.mark.parametrize("name", [path.name for path in PAGES])
def test_the_english_of_the_pages_is_that_of_the_file(name: str) -> None:
    """So that in English the first paint needs no file of texts."""
    page = Texts()
    page.feed((WEB / name).read_text(encoding="utf-8"))
    assert len(page.found) > (2 if name == "embed_missing.html" else 3)
    for key, text in page.found:
        assert html.unescape(text) == LOCALES["en"][key], key


@pytest.mark.parametrize("name", [path.name for path in PAGES])
def test_a_page_loads_ahead_just_what_its_scripts_import(name: str) -> None:
    """At once, whether they wait for it or not; what is imported inside a function is loaded when it is called."""
    page = (WEB / name).read_text(encoding="utf-8")
    entry = re.search(r'<script type="module" src="/static/([\w.]+)">', page)
    assert entry is not None
    needed: set[str] = set()
    ahead = [entry[1]]
    while ahead:
        script = SCRIPTS[ahead.pop()]
        found = re.findall(r'^import [^"]*"\./([\w.]+)";', script, re.MULTILINE)
        for line in re.findall(r"^const .*\bimport\(.*$", script, re.MULTILINE):
            found += re.findall(r'\bimport\("\./([\w.]+)"\)', line)
        for one in found:
            if one not in needed:
                needed.add(one)
                ahead.append(one)
    assert set(re.findall(r'rel="modulepreload" href="/static/([\w.]+)"', page)) == needed
