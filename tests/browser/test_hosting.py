"""What a host does: present by keys, manage, watch the leaderboard."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from support.http import Client
from support.polls import Made, batch, counted, create, vote

from browser.conftest import Watched
from browser.seeing import expect_counted, expect_live, expect_votes, open_poll, tap


@pytest.fixture
def poll(client: Client) -> Made:
    return create(client, "Tea", "Coffee", question="What shall it be?")


CLIPPED = """() => [...document.querySelectorAll("#options .bar")].filter(bar => {
    const outer = bar.getBoundingClientRect(), bars = document.querySelector("#options").getBoundingClientRect();
    const inside = (one, of) => one.top >= of.top - 1 && one.bottom <= of.bottom + 1;
    return !inside(outer, bars) || ![...bar.querySelectorAll(".text, .mark, .share")].every(
        one => one.getBoundingClientRect().height >= 8 && inside(one.getBoundingClientRect(), outer));
}).length"""
"""How many options a wall shows cut off, or not at all."""


@pytest.mark.parametrize(("options", "question"), [(2, 20), (9, 500), (24, 60), (100, 20)])
def test_every_option_is_whole_on_the_wall(
    open_page: Callable[..., Watched], client: Client, options: int, question: int
) -> None:
    texts = [f"{number}: {'words ' * 8}" for number in range(options)]
    poll = create(client, *texts, question=("long words " * 50)[:question].strip())
    page = open_page(viewport={"width": 1920, "height": 1080}).page
    open_poll(page, f"/p/{poll.id}/present")
    expect(page.locator("#options .bar")).to_have_count(options)
    assert page.evaluate(CLIPPED) == 0


def test_presenting_by_keys(page: Page, client: Client, poll: Made) -> None:
    vote(client, poll, "Coffee").expect(202)
    open_poll(page, f"/p/{poll.id}/present#{poll.token}")
    assert poll.token not in page.url, "the token is not for the wall"
    expect_votes(page, 0, 1)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("h")
    expect(page.locator("#options .votes").first).to_be_hidden()
    expect(page.locator("#options .text").first).to_have_text("Tea")
    page.keyboard.press("h")
    expect(page.locator("#options .votes").first).to_be_visible()
    page.keyboard.press("q")
    expect(page.locator("#qr-big")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#qr-big")).to_be_hidden()
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement === null")
    page.keyboard.press("c")
    expect(page.locator("#left")).to_contain_text("Closed")
    assert client.get(poll.path).expect(200)["status"] == "closed"


def test_who_does_not_manage_a_poll_cannot_close_it(page: Page, client: Client, poll: Made) -> None:
    open_poll(page, f"/p/{poll.id}/present")
    page.keyboard.press("c")
    expect(page.locator("#toast")).to_contain_text("does not manage this poll")
    expect(page.locator("#close")).to_be_hidden()
    page.goto(f"/p/{poll.id}/admin")
    expect(page.locator("#no-token")).to_be_visible()
    assert client.get(poll.path).expect(200)["status"] == "open"


def test_closing_is_undone_in_time(page: Page, client: Client, poll: Made) -> None:
    """The poll's end is put off as long as the test needs: it is final some seconds after closing, and not sooner."""
    open_poll(page, f"/p/{poll.id}/admin#{poll.token}")
    for _ in range(8):
        page.click("#close")
        page.wait_for_selector("#reopen:visible, #final:visible")
        if page.locator("#reopen").is_visible():
            page.click("#reopen")
            page.wait_for_selector("#close:visible, #final:visible")
        if page.locator("#close").is_visible():
            break
        poll = create(client, "Tea", "Coffee", question="What shall it be?")
        open_poll(page, f"/p/{poll.id}/admin#{poll.token}")
    expect(page.locator("#close")).to_be_visible()
    vote(client, poll, "Tea").expect(202)
    expect_votes(page, 1, 0)


def test_texts_are_mended_before_the_first_vote(open_page: Callable[..., Watched], client: Client, poll: Made) -> None:
    host, guest = open_page().page, open_page().page
    open_poll(host, f"/p/{poll.id}/admin#{poll.token}")
    open_poll(guest, f"/p/{poll.id}")
    expect_live(guest)
    host.fill("#new-question", "What shall it be today?")
    host.locator("#new-options input").nth(1).fill("Tea")
    host.click("#mend-form button")
    expect(host.locator("#mend-form .wrong")).to_have_text("This is the same as option 1.")
    host.locator("#new-options input").nth(1).fill("Cocoa")
    host.click("#mend-form button")
    expect(host.locator("#question")).to_have_text("What shall it be today?")
    expect(guest.locator("#question")).to_have_text("What shall it be today?")
    expect(guest.locator("#options .text").nth(1)).to_have_text("Cocoa")
    tap(guest, 1)
    expect_votes(host, 0, 1)
    expect(host.locator("#mend-late")).to_be_visible()


def test_time_and_sight_are_changed(open_page: Callable[..., Watched], client: Client, poll: Made) -> None:
    host, guest = open_page().page, open_page().page
    open_poll(host, f"/p/{poll.id}/admin#{poll.token}")
    open_poll(guest, f"/p/{poll.id}")
    expect_live(guest)
    host.click("#more-5")
    expect(guest.locator("#left")).to_contain_text("left")
    host.click("#never")
    expect(guest.locator("#left")).to_be_hidden()
    host.check("input[value=after_vote]")
    expect(guest.locator("#hint")).to_have_text("The results show once you have voted.")
    expect(guest.locator("#options .votes").first).to_be_hidden()
    expect(host.locator("#options .votes").first).to_be_visible()
    tap(guest, 0)
    expect_counted(guest)
    expect_votes(guest, 1, 0)


def test_exports_and_a_copy(page: Page, client: Client, poll: Made) -> None:
    batch(client, poll, [{"option": "Coffee"}] * 3).expect(202)
    counted(client, poll, 0, 3)
    open_poll(page, f"/p/{poll.id}/admin#{poll.token}")
    texts = {}
    for button in ("csv", "json", "ballots"):
        with page.expect_download() as download:
            page.click(f"#{button}")
        texts[button] = download.value.path().read_text(encoding="utf-8-sig")
    assert any("Coffee" in row for row in csv.reader(io.StringIO(texts["csv"])))
    assert json.loads(texts["json"])["poll"]["options"][1]["votes"] == 3
    assert len(texts["ballots"].splitlines()) == 4
    page.click("#copy")
    page.wait_for_selector("form[data-ready]")
    assert page.input_value("#question") == "What shall it be?"
    page.click("#make")
    page.wait_for_url("**/share")
    assert poll.id not in page.url


def test_a_poll_is_deleted_after_a_question(page: Page, client: Client, poll: Made) -> None:
    open_poll(page, f"/p/{poll.id}/admin#{poll.token}")
    page.click("#delete")
    page.click("#delete-no")
    assert client.get(poll.path).status == 200
    page.click("#delete")
    page.click("#delete-yes")
    expect(page.locator("#gone")).to_be_visible()
    assert client.get(poll.path).status == 404


def test_the_number_of_viewers_is_shown(open_page: Callable[..., Watched], poll: Made) -> None:
    host = open_page().page
    open_poll(host, f"/p/{poll.id}/present")
    expect(host.locator("#viewers")).to_have_text("1 watching")
    guest = open_page()
    open_poll(guest.page, f"/p/{poll.id}")
    expect(host.locator("#viewers")).to_have_text("2 watching")
    guest.page.goto("/leaderboard")
    expect(host.locator("#viewers")).to_have_text("1 watching")


def test_rows_of_the_leaderboard_move(page: Page, client: Client) -> None:
    first, second = (create(client, name, "Other", question=f"{name}?") for name in ("Amber", "Birch"))
    batch(client, first, [{"option": "Amber"}] * 4000).expect(202)
    page.goto("/leaderboard")
    row = page.locator(".rank", has=page.locator(".text", has_text="Birch"))
    expect(page.locator(".rank .text", has_text="Amber")).to_be_visible()
    batch(client, second, [{"option": "Birch"}] * 3900).expect(202)
    expect(row.locator(".figures")).to_contain_text("3,900")
    page.evaluate(
        """() => {
            window.moved = [];
            const animate = Element.prototype.animate;
            Element.prototype.animate = function (...words) {
                window.moved.push(this.querySelector(".text").textContent);
                return animate.apply(this, words);
            };
        }"""
    )
    batch(client, second, [{"option": "Birch"}] * 300).expect(202)
    expect(row.locator(".figures")).to_contain_text("4,200")
    expect(row.locator(".move")).to_have_text("▲ up 1")
    assert {"Amber", "Birch"} <= set(page.evaluate("window.moved"))
    texts = page.locator(".rank .text").all_text_contents()
    assert texts.index("Birch") < texts.index("Amber")
    for made in (first, second):
        client.delete(made.path, **made.admin).expect(204)
    expect(row).to_have_count(0)
