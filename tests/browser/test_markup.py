"""Texts of people on the page: whatever they hold is shown as it is, nothing of it runs, the policy is never broken."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from support.http import Client
from support.polls import Made, batch, create, vote

from browser.conftest import Watched
from browser.seeing import open_poll, tap

RUN = "window.ran = true; alert(1)"
HOSTILE = {
    "script": f"<script>{RUN}</script>",
    "image": f'<img src=x onerror="{RUN}">',
    "svg": f"<svg/onload={RUN}>",
    "closing": f'"></title></textarea></script><script>{RUN}</script>',
    "attribute": f'" onmouseover="{RUN}" autofocus onfocus=\'{RUN}\' x="',
    "address": "javascript:window.ran=true;alert(1)",
    "frame": f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    "style": "</style><style>*{display:none}</style><link rel=stylesheet href=//evil.example/x.css>",
    "entities": "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x3C;b>",
    "template": "${window.ran=true} {{constructor.constructor('window.ran=true')()}} `",
    "sql": "'; DROP TABLE polls; --",
    "json": '"}],"status":"closed","x":[{"y":"</script>',
}
INJECTED = (
    "main script, main img:not([id]), main svg:not(.icon, #chart svg), main iframe, main style, main link, "
    "[onerror], [onload], [onmouseover], [onfocus]"
)


def assert_only_text(page: Page) -> None:
    assert page.locator(INJECTED).count() == 0
    assert page.evaluate("window.ran") is None


def test_hostile_options_are_shown_as_text(page: Page, client: Client) -> None:
    """As the poll is opened, as it changes while one looks, and as one votes."""
    texts = list(HOSTILE.values())
    poll = create(client, *texts, question=HOSTILE["script"])
    open_poll(page, f"/p/{poll.id}")
    expect(page.locator("#options .text")).to_have_text(texts)
    for text in texts:
        vote(client, poll, text).expect(202)
    for number, text in enumerate(texts):
        expect(page.locator("#options .votes").nth(number)).to_have_text("1 vote")
        page.locator("#options button").nth(number).click()
        expect(page.locator("#ballot-words")).to_have_text(f"Your vote for \u2068{text}\u2069 is counted.")
        expect(page.locator("#options .votes").nth(number)).to_have_text("2 votes")
    assert_only_text(page)


def test_hostile_questions_are_shown_as_text(page: Page, client: Client) -> None:
    """On every page of the poll, in the list of open polls, and as the window's title."""
    for text in (HOSTILE["script"], HOSTILE["attribute"], HOSTILE["style"]):
        poll = create(client, "a", "b", question=text)
        for view in ("", "/present", "/share", "/embed", f"/admin#{poll.token}"):
            open_poll(page, f"/p/{poll.id}{view}")
            expect(page.locator("#question")).to_have_text(text)
            if view != "/embed":
                assert page.title() == f"{text} · Live polls"
            assert_only_text(page)
        page.goto("/")
        expect(page.locator(f'#open a[href="/p/{poll.id}"] .name')).to_have_text(text)
        expect(page.locator(f'#mine a[href="/p/{poll.id}/admin"] .name')).to_have_text(text)
        assert_only_text(page)


def test_the_leaderboard_shows_text(page: Page, client: Client) -> None:
    text = HOSTILE["image"]
    poll = create(client, text, "other", question=HOSTILE["script"])
    batch(client, poll, [{"option": text}] * 3000).expect(202)
    page.goto("/leaderboard")
    row = page.locator(".rank", has=page.locator(f'a[href="/p/{poll.id}"]'))
    expect(row.locator(".text")).to_have_text(text)
    expect(row.locator("a")).to_have_text(HOSTILE["script"])
    assert_only_text(page)
    client.delete(poll.path, **poll.admin).expect(204)


def test_a_hostile_address_runs_nothing(page: Page) -> None:
    """A link that somebody was sent: the id, the query and the fragment are another one's words."""
    for text in HOSTILE.values():
        hostile = quote(text, safe="")
        page.goto(f"/p/{hostile}?{hostile}={hostile}&lang={hostile}&theme={hostile}#{hostile}")
        expect(page.locator("h1")).to_have_text("There is no such poll")
        assert_only_text(page)
    page.goto(f"/?copy={hostile}&poll=#{hostile}")
    expect(page.locator("#form-wrong")).to_have_text("There is no such poll.")
    page.goto(f"/docs?{hostile}#{hostile}")
    expect(page.locator("h1")).to_be_visible()
    assert_only_text(page)


def test_a_poll_made_on_the_page_is_text_too(page: Page) -> None:
    page.goto("/")
    page.wait_for_selector("form[data-ready]")
    page.fill("#question", HOSTILE["script"])
    page.locator("#options input").nth(0).fill(HOSTILE["image"])
    page.locator("#options input").nth(1).fill("\u202egnp.exe")
    page.click("#make")
    page.wait_for_url("**/share")
    expect(page.locator("#question")).to_have_text(HOSTILE["script"])
    page.click("#to-vote")
    expect(page.locator("#options .text").first).to_have_text(HOSTILE["image"])
    assert_only_text(page)


def test_texts_that_turn_the_direction_turn_no_words_beside_them(page: Page, client: Client) -> None:
    poll = create(client, "\u202eevil", "\u05d0\u05d1\u05d2", question="\u202e\u2067turned")
    page.goto("/")
    expect(page.locator(f'#open a[href="/p/{poll.id}"] .name')).to_be_visible()
    assert isolated(page, f'#open a[href="/p/{poll.id}"] .name')
    open_poll(page, f"/p/{poll.id}")
    assert isolated(page, "#options .text")
    assert page.locator("#question").get_attribute("dir") == "auto"
    tap(page, 0)
    expect(page.locator("#ballot-words")).to_contain_text("\u2068\u202eevil\u2069")


def isolated(page: Page, place: str) -> bool:
    return str(page.locator(place).first.evaluate("one => getComputedStyle(one).unicodeBidi")).startswith("isolate")


def test_no_error_of_the_server_becomes_markup(page: Page, client: Client, poll: Made) -> None:
    """What the server says of a poll that is gone while one looks, and of a vote that it refuses."""
    open_poll(page, f"/p/{poll.id}")
    expect(page.locator("#question")).to_have_text("Which one?")
    client.delete(poll.path, **poll.admin).expect(204)
    expect(page.locator("#gone")).to_have_text("This poll was deleted.")
    assert_only_text(page)


@pytest.fixture
def poll(client: Client) -> Made:
    return create(client)


def test_the_policy_would_stop_what_got_through(watched: Watched, client: Client) -> None:
    """Were a text ever set as markup: neither an attribute nor an inline script nor a foreign file runs. (This is also
    how we know that the other tests would see it.)"""
    page = watched.page
    page.goto("/")
    page.evaluate(
        """() => {
            const main = document.querySelector("main");
            main.insertAdjacentHTML("beforeend", "<img src=x onerror='window.ran = true'>");
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            main.append(script);
            const foreign = document.createElement("script");
            foreign.src = "http://127.0.0.1:9/evil.js";
            main.append(foreign);
        }"""
    )
    page.wait_for_function("window.violations.length >= 3")
    assert page.evaluate("window.ran") is None
    forbidden = " ".join(watched.fails())
    assert "script-src-attr" in forbidden
    assert "script-src-elem" in forbidden
    assert "127.0.0.1:9" in forbidden


def test_another_sites_page_gets_nowhere(watched: Watched, client: Client, poll: Made) -> None:
    """A real browser with this system's cookie, on a page of another origin: a form, a request, a socket, a frame."""
    page = watched.page
    page.goto("/")
    cookies = watched.page.context.cookies()
    assert [(one["name"], one["httpOnly"], one["sameSite"]) for one in cookies] == [("voter", True, "Lax")]
    assert page.evaluate("document.cookie") == ""
    other = watched.url.replace("127.0.0.1", "localhost")
    page.goto(f"{other}/livez")
    answers = page.evaluate(
        """async ([url, path]) => {
            const tried = {};
            const send = async (name, more) => {
                try {
                    const answer = await fetch(url + path, {method: "POST", credentials: "include", ...more});
                    tried[name] = answer.type === "opaque" ? "sent blindly" : answer.status;
                } catch (error) { tried[name] = "forbidden"; }
            };
            const body = JSON.stringify({option: "1"});
            await send("json", {body, headers: {"Content-Type": "application/json"}});
            await send("text", {body, headers: {"Content-Type": "text/plain"}});
            await send("blind", {body, mode: "no-cors"});
            await send("beacon", {body: new Blob([body], {type: "application/json"}), mode: "no-cors"});
            return tried;
        }""",
        [watched.url, f"{poll.path}/vote"],
    )
    assert answers["json"] == "forbidden"
    assert answers["text"] == "forbidden"
    assert client.get(poll.path).json["total_votes"] == 0
