"""Pictures of every page of a real system, to be looked at: light, dark, on a phone, on a projector.

`PYTHONPATH=tests .venv/bin/python -P -m browser.shots FOLDER [NAME…]`: all pages, or those whose names begin so.
`docs` are the four that the README shows.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support.http import Client
from support.polls import Made, batch, counted, create
from support.system import System

from polling.local.servers import Servers

SIZES = {"": (1280, 900), "phone": (390, 844), "projector": (1920, 1080), "wall": (1440, 810)}
LANGUAGES = {"Python": 412, "JavaScript": 287, "Rust": 158, "Go": 94, "Java": 71}
PLACES = {"The harbour": 64, "A hut in the mountains": 51, "The old cinema": 23}
TALKS = ("a long talk about logs and their many offsets", "Kafka", "PostgreSQL's plans", "ZooKeeper")
LUNCH = {"Soup": 18, "Flammkuchen": 44, "Nothing, thanks": 7}


class Stage:
    """A running system with polls in it, and a browser."""

    def __init__(self, system: System, browser: Browser, folder: Path) -> None:
        self.system, self.browser, self.folder = system, browser, folder
        client = system.client
        self.poll = filled(client, "What is your favorite programming language?", LANGUAGES, one_vote_per="browser")
        self.place = filled(client, "Where shall we meet next summer?", PLACES, one_vote_per="browser")
        self.lunch = filled(client, "What is for lunch?", LUNCH)
        self.fresh = create(client, "Monday", "Tuesday", "Wednesday", question="Which day suits you?")
        self.closed = filled(client, "Tabs or spaces?", {"Tabs": 211, "Spaces": 208})
        asked = "Which of the many things that we talked about all day would you like to hear more of in the last hour?"
        texts = [f"{place}: {what}" for place in ("Hall", "Room", "Foyer") for what in TALKS]
        votes = {text: 3 + number * 5 % 17 for number, text in enumerate(texts)}
        soon = (datetime.now(UTC) + timedelta(minutes=12)).isoformat()
        self.crowded = filled(client, asked, votes, closes_at=soon)
        client.post(f"{self.closed.path}/close", **self.closed.admin).expect(200)

    @contextmanager
    def page(self, size: str = "", *, dark: bool = False, locale: str = "en-GB") -> Iterator[Page]:
        width, height = SIZES[size]
        context: BrowserContext = self.browser.new_context(
            base_url=self.system.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale=locale,
            reduced_motion="reduce",
            device_scale_factor=2 if size == "phone" else 1,
        )
        try:
            yield context.new_page()
        finally:
            context.close()

    def take(self, page: Page, name: str) -> None:
        page.wait_for_timeout(700)
        page.screenshot(path=self.folder / f"{name}.png")
        print(name, flush=True)


def filled(client: Client, question: str, votes: dict[str, int], **fields: object) -> Made:
    """A poll with so many votes: one that takes one a browser gets them from as many browsers."""
    poll = create(client, *votes, question=question, **fields)
    if "one_vote_per" in fields:
        for text, number in votes.items():
            for _ in range(number):
                client.post(f"{poll.path}/vote", {"option": text}).expect(202)
    else:
        batch(client, poll, [{"option": text} for text, number in votes.items() for _ in range(number)]).expect(202)
    counted(client, poll, *votes.values())
    return poll


def shot_create(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto("/")
        page.fill("#question", "What is your favorite programming language?")
        page.locator("#options input").nth(0).fill("Python")
        page.locator("#options input").nth(1).fill("JavaScript")
        page.locator("#options input").nth(1).press("Enter")
        page.keyboard.type("Rust")
        page.keyboard.press("Enter")
        if size != "phone":
            page.click("#settings summary")
        page.evaluate("scrollTo(0, 0)")
        stage.take(page, name)
        page.click("#make")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name.replace("create", "share"))


def shot_vote(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto(f"/p/{stage.poll.id}")
        page.click(".bar >> nth=0")
        expect(page.locator("#steps li.done")).to_have_count(3)
        if size != "phone":
            page.set_viewport_size({"width": SIZES[size][0], "height": 1060})
            page.click("#over-time summary")
            page.wait_for_selector("#chart path", state="attached")
            page.evaluate("scrollTo(0, 0)")
        stage.take(page, name)


def shot_fresh(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto(f"/p/{stage.fresh.id}")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name)


def shot_closed(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto(f"/p/{stage.closed.id}")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name)


def shot_offline(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto(f"/p/{stage.place.id}")
        page.wait_for_selector("[data-ready]")
        page.context.set_offline(True)
        page.click(".bar >> nth=1")
        page.wait_for_selector("#send-now:visible")
        stage.take(page, name)


def shot_rtl(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark, locale="ar") as page:
        page.goto(f"/p/{stage.place.id}")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name)


def shot_present(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size or "projector", dark=dark) as page:
        page.goto(f"/p/{stage.poll.id}/present#{stage.poll.token}")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name)
        page.keyboard.press("?")
        stage.take(page, f"{name}-keys")


def shot_crowded(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size or "projector", dark=dark) as page:
        page.goto(f"/p/{stage.crowded.id}/present#{stage.crowded.token}")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name)


def shot_settings(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto("/")
        page.wait_for_selector("form[data-ready]")
        page.click("#settings summary")
        page.check("input[value=at]")
        page.click("#make")
        page.set_viewport_size({"width": SIZES[size][0], "height": 1700})
        stage.take(page, name)


def shot_leaderboard(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto("/leaderboard")
        page.wait_for_selector(".rank")
        stage.take(page, name)


def shot_admin(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto(f"/p/{stage.place.id}/admin#{stage.place.token}")
        page.wait_for_selector("[data-ready]")
        page.set_viewport_size({"width": SIZES[size][0], "height": 1500})
        stage.take(page, name)


def shot_embed(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto(f"/p/{stage.lunch.id}/embed")
        page.wait_for_selector("[data-ready]")
        stage.take(page, name)


def shot_missing(stage: Stage, name: str, size: str, dark: bool) -> None:
    with stage.page(size, dark=dark) as page:
        page.goto("/p/nothing")
        stage.take(page, name)


def shots_of_docs(stage: Stage) -> None:
    """The pictures of the README, small enough for it."""
    shot_present(stage, "present", "wall", dark=True)
    shot_vote(stage, "vote", "", dark=False)
    shot_create(stage, "create", "", dark=False)
    with stage.page("phone", dark=True) as page:
        page.goto(f"/p/{stage.place.id}")
        page.click(".bar >> nth=0")
        expect(page.locator("#steps li.done")).to_have_count(3)
        stage.take(page, "phone")


SHOTS: dict[str, Callable[[Stage, str, str, bool], None]] = {
    name.removeprefix("shot_"): made for name, made in list(globals().items()) if name.startswith("shot_")
}


def main(folder: Path, names: list[str]) -> None:
    """Takes the pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as temporary, Servers(Path(temporary) / "servers") as servers:
        system = System(servers, Path(temporary))
        try:
            system.start()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
                )
                stage = Stage(system, browser, folder)
                if names == ["docs"]:
                    shots_of_docs(stage)
                    return
                for name, shot in SHOTS.items():
                    for size, dark in (("", False), ("", True), ("phone", False), ("phone", True)):
                        full = "-".join([name, *([size] if size else []), "dark" if dark else "light"])
                        if not names or any(full.startswith(one) for one in names):
                            shot(stage, full, size, dark)
                browser.close()
        finally:
            system.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
