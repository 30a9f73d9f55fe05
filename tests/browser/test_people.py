"""The pages for everybody: axe-core finds nothing, in light and dark; other languages, right to left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.http import Client
from support.polls import Made, batch, counted, create

from browser.conftest import Watched
from browser.seeing import expect_live, expect_votes, open_poll, tap

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")


def faults(page: Page) -> list[str]:
    """What axe-core finds wrong with a page as it is now, in words."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]} {node['failureSummary']}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


@pytest.fixture
def poll(client: Client) -> Made:
    made = create(client, "Tea", "Coffee", "Water", question="What shall it be?", one_vote_per="browser")
    client.post(f"{made.path}/vote", {"option": "Tea"}).expect(202)
    counted(client, made, 1, 0, 0)
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Callable[..., Watched], client: Client, poll: Made, scheme: str) -> None:
    page = open_page(color_scheme=scheme, reduced_motion="reduce").page
    busy = create(client, "One", "Two")
    batch(client, busy, [{"option": "One"}] * 50).expect(202)

    def expect_no_faults(path: str, *clicks: str, ready: str = "[data-ready]") -> None:
        page.goto(path)
        page.wait_for_selector(ready, state="attached")
        for one in clicks:
            page.click(one)
        page.wait_for_timeout(100)
        assert faults(page) == [], path
        assert page.evaluate("document.documentElement.dataset.theme") == scheme

    expect_no_faults("/", "#settings summary", "#make")
    expect_no_faults(f"/p/{poll.id}", ".bar >> nth=1", "#over-time summary", ready="button.bar")
    expect_no_faults(f"/p/{poll.id}/share")
    expect_no_faults(f"/p/{poll.id}/present#{poll.token}", "[data-does=help]", ready="#options .bar")
    expect_no_faults(f"/p/{poll.id}/present", "[data-does=hide]", ready="#options .bar")
    expect_no_faults(f"/p/{poll.id}/admin", "#delete")
    expect_no_faults(f"/p/{busy.id}/admin")
    expect_no_faults("/leaderboard", ready=".rank")
    expect_no_faults(f"/p/{poll.id}/embed", ready="button.bar")
    expect_no_faults("/p/nothing", ready="#language option:nth-child(2)")
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    expect_no_faults(f"/p/{poll.id}", ready="#options .bar")


def test_axe_would_find_something(page: Page, poll: Made) -> None:
    open_poll(page, f"/p/{poll.id}")
    page.evaluate("() => { document.querySelector('main').append(document.createElement('button')); }")
    assert any(fault.startswith("button-name") for fault in faults(page))


def test_results_are_text_and_are_said_now_and_then(page: Page, client: Client, poll: Made) -> None:
    open_poll(page, f"/p/{poll.id}")
    expect_live(page)
    names = page.get_by_role("list", name="The options").get_by_role("button")
    expect(names).to_have_count(3)
    expect(names.nth(0)).to_have_accessible_name("Tea 100% 1 vote")
    said = page.locator("[role=status], [aria-live]")
    expect(said).to_have_count(1)
    for _ in range(3):
        client.post(f"{poll.path}/vote", {"option": "Coffee"}).expect(202)
    expect(said).to_have_text("4 votes. In front: Coffee, 75%.")


def test_german(open_page: Callable[..., Watched], poll: Made) -> None:
    """By the browser's own language; and by the switch, which is remembered."""
    page = open_page(locale="de-CH").page
    open_poll(page, f"/p/{poll.id}")
    expect(page.locator("#total")).to_have_text("1 Stimme")
    expect(page.locator("#hint")).to_have_text("Tippe auf eine Antwort, um abzustimmen.")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    tap(page, 0)
    expect(page.locator("#total")).to_have_text("2 Stimmen")
    page.select_option("#language", "en")
    page.wait_for_url("**lang=en")
    expect(page.locator("#total")).to_have_text("2 votes")
    page.goto("/")
    expect(page.locator("h1")).to_have_text("Ask the room")
    page.goto("/?lang=de")
    expect(page.locator("h1")).to_have_text("Frag den Raum")


def test_right_to_left(open_page: Callable[..., Watched], client: Client) -> None:
    """Everything is mirrored, the bars grow from the right, and nothing is wider than the window."""
    poll = create(client, "شاي", "Coffee", question="ماذا تشرب؟")
    batch(client, poll, [{"option": "1"}] * 3 + [{"option": "2"}]).expect(202)
    counted(client, poll, 3, 1)
    page = open_page(locale="ar", viewport={"width": 390, "height": 844}, reduced_motion="reduce").page
    for view in ("", "/present", "/share", f"/admin#{poll.token}", "/embed"):
        open_poll(page, f"/p/{poll.id}{view}")
        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, view
    open_poll(page, f"/p/{poll.id}")
    expect(page.locator("#hint")).to_have_text("المس خيارًا لتصوّت.")
    page.wait_for_timeout(100)
    sides = page.locator(".bar").first.evaluate(
        """bar => {
            const whole = bar.getBoundingClientRect(), fill = bar.querySelector(".fill").getBoundingClientRect();
            return [fill.left - whole.left, fill.right - whole.right];
        }"""
    )
    assert sides[0] > 50, "the bar of 75 % leaves a quarter free at the left"
    assert sides[1] > 50, "its other end is beyond the right edge, where it grows from"
    assert faults(page) == []


def test_dark_and_light_by_the_switch(page: Page, poll: Made) -> None:
    open_poll(page, f"/p/{poll.id}")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.add_init_script(
        """new MutationObserver(() => {
            if (document.body) window.first ??= getComputedStyle(document.body).backgroundColor;
        }).observe(document, { childList: true, subtree: true });"""
    )
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("window.first") == dark, "it was dark from the first moment"
    expect_votes(page, 1, 0, 0)
