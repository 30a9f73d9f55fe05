"""A vote's way from the tap to the count, told honestly; what is not answered is kept, and sent again as the same."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect
from support.http import Client
from support.polls import batch, counted, create, results, vote

from browser.conftest import Watched
from browser.seeing import expect_counted, expect_live, expect_votes, extents, open_poll, tap

FRAMES = """() => {
    window.frames = [];
    let last = performance.now();
    (function frame(now) { window.frames.push(now - last); last = now; requestAnimationFrame(frame); })(last);
}"""


def test_a_vote_is_changed(page: Page, client: Client) -> None:
    poll = create(client, "Tea", "Coffee", one_vote_per="browser")
    open_poll(page, f"/p/{poll.id}")
    expect(page.locator("#hint")).to_have_text("Tap an option to vote.")
    tap(page, 0)
    expect_counted(page)
    expect_votes(page, 1, 0)
    tap(page, 1)
    expect_votes(page, 0, 1)
    expect(page.locator(".bar.mine .text")).to_have_text("Coffee")
    page.reload()
    expect(page.locator(".bar.mine .text")).to_have_text("Coffee")
    expect_counted(page)
    counted(client, poll, 0, 1)


def test_the_first_picture_waits_for_no_second_answer(page: Page, client: Client) -> None:
    """The poll and the texts come with the page: options are there to be tapped while every other answer is held back;
    a tap is shown at once, and sent when it can be."""
    poll = create(client, "Tea", "Coffee", one_vote_per="browser")
    held: list[Route] = []
    asked: list[str] = []
    holding = True

    def hold(route: Route) -> None:
        if holding:
            held.append(route)
        else:
            route.continue_()

    page.route("**/static/ballot.js", hold)
    page.route("**/static/watch.js", hold)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/p/{poll.id}", wait_until="commit")
    expect(page.locator("#hint")).to_have_text("Tap an option to vote.")
    expect(page.locator("button.bar .votes").nth(1)).to_have_text("0 votes")
    tap(page, 1)
    expect(page.locator("#ballot-words")).to_contain_text("Coffee")
    expect(page.locator("#steps li.doing")).to_have_count(1)
    assert [url for url in asked if "/api/" in url or "/locales/" in url] == []
    holding = False
    for route in held:
        route.continue_()
    expect_counted(page)
    expect_votes(page, 0, 1)


def test_a_second_vote_is_refused_in_plain_words(page: Page, client: Client) -> None:
    """Also where the browser has forgotten all but its cookie: the server knows which vote stands."""
    poll = create(client, "Tea", "Coffee", one_vote_per="browser", allow_change=False)
    open_poll(page, f"/p/{poll.id}")
    tap(page, 0)
    expect_counted(page)
    expect(page.locator("#hint")).to_have_text("Your vote stands: this poll takes one, and no change.")
    expect(page.locator("button.bar")).to_have_count(0)
    page.evaluate("localStorage.clear()")
    open_poll(page, f"/p/{poll.id}")
    tap(page, 1)
    expect(page.locator("#ballot-words")).to_contain_text("You have already voted for \u2068Tea\u2069")
    expect(page.locator(".bar.mine .text")).to_have_text("Tea")
    expect_votes(page, 1, 0)


def test_a_poll_closes_while_one_looks(page: Page, client: Client) -> None:
    poll = create(client, "Tea", "Coffee")
    vote(client, poll, "Coffee").expect(202)
    open_poll(page, f"/p/{poll.id}")
    expect_votes(page, 0, 1)
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    expect(page.locator("#left")).to_have_text("Closed, final result")
    expect(page.locator("button.bar")).to_have_count(0)
    best = page.locator(".bar").filter(has=page.locator(".tag:visible", has_text="Most votes"))
    expect(best.locator(".text")).to_have_text("Coffee")
    client.delete(poll.path, **poll.admin).expect(204)
    expect(page.locator("#gone")).to_be_visible()


def test_a_vote_survives_the_loss_of_the_net_and_a_reload(watched: Watched, client: Client) -> None:
    """The answer is lost on its way, then the net; the page is loaded anew; in the end one vote is counted."""
    page = watched.page
    poll = create(client, "Tea", "Coffee")
    keys: list[str] = []
    lossy = True

    def pass_on(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if lossy:
            # It arrives, and nobody hears of it.
            vote(client, poll, "Coffee", Idempotency_Key=keys[-1])
            route.abort()
        else:
            route.continue_()

    open_poll(page, f"/p/{poll.id}")
    page.route("**/vote", pass_on)
    tap(page, 1)
    expect(page.locator("#ballot-words")).to_contain_text("is not through yet")
    expect(page.locator("#steps li").first).to_have_class("failed")
    expect(page.locator(".bar.mine .tag.doing")).to_be_visible()
    page.context.set_offline(True)
    page.click("#send-now")
    expect(page.locator("#ballot-words")).to_contain_text("The server cannot be reached.")
    page.context.set_offline(False)
    page.reload()
    expect(page.locator("#ballot-words")).to_contain_text("is not through yet")
    sent = len(keys)
    lossy = False
    expect_counted(page)
    assert len(keys) > sent > 1
    assert len(set(keys)) == 1, "it is the same vote each time"
    counted(client, poll, 0, 1)
    expect_votes(page, 0, 1)
    assert page.evaluate("id => JSON.parse(localStorage.getItem(`poll:${id}`)).pending", poll.id) is None


def test_a_vote_that_waits_is_sent_when_the_net_is_back(page: Page, client: Client) -> None:
    poll = create(client, "Tea", "Coffee", one_vote_per="browser")
    open_poll(page, f"/p/{poll.id}")
    page.context.set_offline(True)
    tap(page, 0)
    expect(page.locator("#ballot-words")).to_contain_text("is not through yet")
    expect(page.locator("#live")).to_contain_text("Not live, trying again")
    # Where votes can be changed, so can one that waits.
    tap(page, 1)
    expect(page.locator("#ballot-words")).to_contain_text("\u2068Coffee\u2069 is not through yet")
    page.context.set_offline(False)
    expect_counted(page)
    expect_live(page)
    counted(client, poll, 0, 1)


def test_results_move_and_frames_are_kept_while_a_thousand_votes_come(page: Page, client: Client) -> None:
    poll = create(client, "Tea", "Coffee", "Water")
    open_poll(page, f"/p/{poll.id}")
    expect_live(page)
    page.evaluate(FRAMES)
    for _ in range(40):
        lines = [{"option": text} for text, number in (("Tea", 15), ("Coffee", 8), ("Water", 2)) for _ in range(number)]
        batch(client, poll, lines).expect(202)
        page.wait_for_timeout(20)
    counted(client, poll, 600, 320, 80)
    expect_votes(page, 600, 320, 80)
    frames = page.evaluate("window.frames")
    slow = sum(1 for frame in frames if frame > 50)
    assert len(frames) > 20
    assert slow < len(frames) / 2, f"{slow} of {len(frames)} frames took over 50 ms"
    page.wait_for_function(
        "() => document.getAnimations().every(one => !(one instanceof CSSTransition) || one.playState === 'finished')"
    )
    for drawn, share in zip(extents(page), (0.6, 0.32, 0.08), strict=True):
        assert abs(drawn - share) < 0.02
    moved = page.locator("#options .fill").first.evaluate("one => getComputedStyle(one).transitionProperty")
    assert moved == "transform"


def test_a_page_says_when_it_is_not_live_and_comes_back(watched: Watched, client: Client) -> None:
    page = watched.page
    poll = create(client, "Tea", "Coffee")
    open_poll(page, f"/p/{poll.id}")
    expect_live(page)
    page.context.set_offline(True)
    expect(page.locator("#live")).to_contain_text("Not live, trying again")
    vote(client, poll, "Tea").expect(202)
    page.context.set_offline(False)
    expect_live(page)
    expect_votes(page, 1, 0)


def test_votes_over_time_are_drawn(page: Page, client: Client) -> None:
    poll = create(client, "Tea", "Coffee")
    batch(client, poll, [{"option": "Tea"}] * 20).expect(202)
    counted(client, poll, 20, 0)
    open_poll(page, f"/p/{poll.id}")
    loaded = page.evaluate("() => performance.getEntriesByType('resource').map(one => one.name)")
    assert not any(name.endswith("chart.js") for name in loaded)
    page.click("#over-time summary")
    page.wait_for_selector("#chart .line", state="attached")
    assert page.locator("#chart .line").count() == 2
    batch(client, poll, [{"option": "Coffee"}] * 5).expect(202)
    page.wait_for_function("() => document.querySelector('#chart svg').getAttribute('aria-label').includes('25')")


def test_the_page_is_light(page: Page, client: Client) -> None:
    """All that a voter's browser loads, as it comes over the net."""
    poll = create(client, "Tea", "Coffee")
    assert results(client, poll)["total_votes"] == 0
    open_poll(page, f"/p/{poll.id}")
    expect_live(page)
    sizes = page.evaluate(
        """() => Object.fromEntries(["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
            .map(one => [new URL(one.name).pathname, one.transferSize]))"""
    )
    assert sum(sizes.values()) > 10_000
    assert sum(sizes.values()) < 60_000, sizes
