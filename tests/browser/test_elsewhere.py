"""Where the pages are not alone: in a frame of another site's page, and while the API is killed and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect
from support.http import Client
from support.polls import counted, create, vote
from support.system import System

from browser.conftest import Watched
from browser.seeing import expect_counted, expect_live, expect_votes, open_poll, tap


class Site:
    """Another site: one page, on a name of its own (localhost is another site than 127.0.0.1)."""

    def __init__(self) -> None:
        self.page = ""
        site = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(site.page.encode())

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.url = f"http://localhost:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def elsewhere(chromium: Browser, site: Site) -> Iterator[Page]:
    context = chromium.new_context(locale="en-GB")
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def embedding(system: System, poll: str, more: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><title>Elsewhere</title><h1>Elsewhere</h1>'
        f'<script src="{system.url}/embed.js" async></script><live-poll poll="{poll}" theme="dark"></live-poll>{more}'
    )


def test_a_poll_in_another_sites_page(elsewhere: Page, site: Site, system: System, client: Client) -> None:
    poll = create(client, "Tea", "Coffee", "Water", question="In a frame?")
    site.page = embedding(system, poll.id)
    elsewhere.goto(site.url)
    frame = elsewhere.frame_locator("live-poll iframe")
    expect(frame.locator("#question")).to_have_text("In a frame?")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    frame.locator(".bar").nth(1).click()
    expect(frame.locator("#ballot-words")).to_contain_text("is counted")
    expect(frame.locator(".votes").nth(1)).to_have_text("1 vote")
    counted(client, poll, 0, 1, 0)
    elsewhere.wait_for_function(
        """() => {
            const frame = document.querySelector("live-poll iframe");
            return frame.style.height !== "320px" && parseFloat(frame.style.height) > 200;
        }"""
    )
    high = frame.locator("main").evaluate("main => main.offsetHeight")
    elsewhere.wait_for_function(f"() => parseFloat(document.querySelector('live-poll iframe').style.height) >= {high}")
    assert elsewhere.evaluate("document.querySelector('live-poll iframe').contentDocument") is None


def test_a_poll_that_is_not_there_says_so_in_the_frame(elsewhere: Page, site: Site, system: System) -> None:
    """In as little room as that takes, and with no link that would lead the frame where no frame may go."""
    site.page = embedding(system, "nothing")
    elsewhere.goto(site.url)
    frame = elsewhere.frame_locator("live-poll iframe")
    expect(frame.locator("h1")).to_have_text("There is no such poll")
    expect(frame.locator("a:not([target=_blank])")).to_have_count(0)
    elsewhere.wait_for_function("() => parseInt(document.querySelector('iframe').style.height) < 320")


def test_nobody_else_sets_the_height(elsewhere: Page, site: Site, system: System, client: Client) -> None:
    """Neither the page itself nor another frame, though it be of the same origin."""
    poll = create(client, "Tea", "Coffee")
    site.page = embedding(system, poll.id, f'<iframe id="other" src="{system.url}/p/{poll.id}/embed"></iframe>')
    elsewhere.goto(site.url)
    expect(elsewhere.frame_locator("live-poll iframe").locator(".votes").first).to_be_visible()
    expect(elsewhere.frame_locator("#other").locator(".votes").first).to_be_visible()
    elsewhere.evaluate("() => postMessage({ type: 'live-poll', height: 5555 }, '*')")
    other = next(
        frame for frame in elsewhere.frames if frame.parent_frame and frame.frame_element().get_attribute("id")
    )
    other.evaluate("() => parent.postMessage({ type: 'live-poll', height: 5556 }, '*')")
    elsewhere.evaluate("() => new Promise(done => setTimeout(done, 200))")
    height = elsewhere.evaluate("document.querySelector('live-poll iframe').style.height")
    assert height not in ("5555px", "5556px")


def test_one_vote_per_browser_is_cast_on_the_polls_own_page(
    elsewhere: Page, site: Site, system: System, client: Client
) -> None:
    """A browser keeps our cookie back in a frame of another site, and without it every vote would be a new voter's."""
    poll = create(client, "Tea", "Coffee", one_vote_per="browser")
    site.page = embedding(system, poll.id)
    elsewhere.goto(site.url)
    frame = elsewhere.frame_locator("live-poll iframe")
    expect(frame.locator("#hint")).to_have_text("This poll takes one vote per browser: vote on its own page.")
    expect(frame.locator("button.bar")).to_have_count(0)
    with elsewhere.expect_popup() as popup:
        frame.locator("#own-page").click()
    tap(popup.value, 0)
    expect_counted(popup.value)
    expect(frame.locator(".votes").first).to_have_text("1 vote")


def test_other_pages_are_not_framed(elsewhere: Page, site: Site, system: System, client: Client) -> None:
    poll = create(client, "Tea", "Coffee")
    site.page = f'<!doctype html><title>x</title><iframe src="{system.url}/p/{poll.id}"></iframe>'
    elsewhere.goto(site.url)
    elsewhere.wait_for_timeout(300)
    assert all("/p/" not in frame.url for frame in elsewhere.frames)


def test_the_api_is_killed_and_comes_back(chromium: Browser, system: System, client: Client) -> None:
    """A second API process of the system, so that the first one stays for the others. A vote that is cast while it is
    dead is counted when it is back, once; so are those that others cast meanwhile, and the page is live again."""
    system.spawn("api", under="api-mortal")
    system.until_ready(["api-mortal"])
    watched = Watched(chromium, system.url_of("api-mortal"))
    page = watched.page
    try:
        poll = create(client, "Tea", "Coffee", one_vote_per="browser")
        open_poll(page, f"/p/{poll.id}")
        expect_live(page)
        system.kill("api-mortal")
        expect(page.locator("#live")).to_contain_text("Not live, trying again")
        tap(page, 1)
        expect(page.locator("#ballot-words")).to_contain_text("is not through yet")
        vote(client, poll, "Tea").expect(202)
        system.spawn("api", under="api-mortal")
        expect_counted(page)
        expect_live(page)
        expect_votes(page, 1, 1)
        assert page.evaluate("window.violations") == []
    finally:
        watched.close()
        system.end("api-mortal")
