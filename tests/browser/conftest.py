"""A real browser: Chromium from the system's packages, driven by Playwright; and an eye on what goes wrong in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright
from support.http import Client
from support.system import System

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALLED_WITHIN = 900.0
PATIENCE = 60_000
"""Milliseconds that a page may take for a step, on a busy machine."""

expect.set_options(timeout=PATIENCE)

_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


class Watched:
    """A page of a new browser, and what may not happen on it. `errors` has all of it, in words.

    `options` are those of a browser's context, as Playwright names them: `locale`, `color_scheme`, `viewport`.
    """

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self._context = browser.new_context(**{"base_url": url, "locale": "en-GB", **options})
        self._context.set_default_timeout(PATIENCE)
        self._context.add_init_script(_WATCH)
        self.page: Page = self._context.new_page()
        self.errors: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", self._on_request)
        self.page.on("popup", lambda popup: self.errors.append(f"a window was opened: {popup.url}"))

    def fails(self) -> list[str]:
        """All that went wrong so far, what the page's policy forbade too."""
        return self.errors + [f"the policy forbade {one}" for one in self.page.evaluate("window.violations")]

    def close(self) -> None:
        self._context.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        # That an answer was an error is told to people by the page itself.
        said = message.type in ("error", "warning") and not message.text.startswith("Failed to load resource")
        # Only where a test takes the net away does the browser say that it is gone.
        if said and "ERR_INTERNET_DISCONNECTED" not in message.text:
            self.errors.append(f"console: {message.text}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.errors.append(f"asked for {request.url}")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Chromium's path; installed by apt where it is missing and we may. Fails, and says how to get it, where not."""
    lock = Path(tempfile.gettempdir()) / "live-polling-chromium.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = _chromium()
        if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
            said = _install()
            found = _chromium()
            if found is None:
                pytest.fail(f"Chromium could not be installed: {said}")
    if found is None:
        pytest.fail(
            "Chromium is missing: `sudo apt-get install chromium` (Debian, Ubuntu), or set CHROMIUM to its path."
        )
    return found


def _chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def _install() -> str:
    """Some 100 s on a new machine. Returns the end of what apt said."""
    variables = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
        done = subprocess.run(
            ["apt-get", *words],
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALLED_WITHIN,
            check=False,
        )
        said = (done.stdout + done.stderr)[-1000:]
        if done.returncode:
            break
    return said


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """One a module, and not one a session: while it runs its loop is the thread's, and no other may run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path,
            args=["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            timeout=PATIENCE * 2,
        )
        yield browser
        browser.close()


@pytest.fixture
def watched(chromium: Browser, system: System) -> Iterator[Watched]:
    """A page of the running system, in a browser of its own. The test says whether anything may go wrong on it."""
    opened = Watched(chromium, system.url)
    yield opened
    opened.close()


@pytest.fixture
def page(watched: Watched) -> Iterator[Page]:
    """The same; nothing may go wrong on it."""
    yield watched.page
    assert watched.fails() == []


@pytest.fixture
def open_page(chromium: Browser, system: System) -> Iterator[Callable[..., Watched]]:
    """Opens pages, each in a browser of its own; nothing may go wrong on any of them."""
    opened: list[Watched] = []

    def open_page(**options: Any) -> Watched:
        opened.append(Watched(chromium, options.pop("url", system.url), **options))
        return opened[-1]

    yield open_page
    fails = [fail for one in opened for fail in one.fails()]
    for one in opened:
        one.close()
    assert fails == []


@pytest.fixture
def client(system: System) -> Client:
    return system.client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may have to install a browser."""
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.timeout(INSTALLED_WITHIN + 600))
