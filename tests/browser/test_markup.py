"""Texts of people on the page: whatever they hold is shown as it is, nothing of it runs, the policy is never broken."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from support.http import Client
from support.polls import Made, create, vote

from browser.conftest import Watched

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
    "main script, main img, main svg, main iframe, main style, main link, [onerror], [onload], [onmouseover], [onfocus]"
)


def assert_only_text(page: Page) -> None:
    assert page.locator(INJECTED).count() == 0
    assert page.evaluate("window.ran") is None
    expect(page.locator("header h1")).to_be_visible()


def test_hostile_options_are_shown_as_text(page: Page, client: Client) -> None:
    """As the poll is opened, as it changes while one looks, and as one votes."""
    texts = list(HOSTILE.values())
    poll = create(client, *texts, question=HOSTILE["script"])
    page.goto(f"/?poll={poll.id}")
    expect(page.locator("#options .text")).to_have_text(texts)
    for text in texts:
        vote(client, poll, text).expect(202)
    for number, text in enumerate(texts):
        expect(page.locator("#options .votes").nth(number)).to_contain_text("1 ·")
        page.locator("#options button").nth(number).click()
        expect(page.locator("#voted")).to_have_text(f"Your vote for “{text}” was accepted.")
        expect(page.locator("#options .votes").nth(number)).to_contain_text("2 ·")
    assert_only_text(page)


def test_hostile_questions_are_shown_as_text(page: Page, client: Client) -> None:
    """In the list of the newest, as the poll that is opened, and as the window's title."""
    for text in HOSTILE.values():
        poll = create(client, "a", "b", question=text)
        page.goto(f"/?poll={poll.id}")
        expect(page.locator("#question")).to_have_text(text)
        expect(page.locator(f'#newest a[href="/?poll={poll.id}"]')).to_have_text(text)
        assert page.title() == f"{text} · Live polls"
        assert_only_text(page)


def test_the_leaderboard_shows_text(page: Page, client: Client) -> None:
    text = HOSTILE["image"]
    poll = create(client, text, "other", question=HOSTILE["script"])
    lines = [{"option": text}] * 3000
    client.request(
        "POST",
        f"{poll.path}/votes/batch",
        body="\n".join(map(json.dumps, lines)).encode(),
        headers={"Content-Type": "application/x-ndjson"},
    ).expect(202)
    page.goto("/")
    row = page.locator("#board tbody tr", has=page.locator(f'a[href="/?poll={poll.id}"]'))
    expect(row.locator("td").nth(1)).to_have_text(text)
    expect(row.locator("a")).to_have_text(HOSTILE["script"])
    assert_only_text(page)
    client.delete(poll.path, **poll.admin).expect(204)


def test_a_hostile_address_runs_nothing(page: Page) -> None:
    """A link that somebody was sent: the id, the query and the fragment are another one's words."""
    for text in HOSTILE.values():
        hostile = quote(text)
        page.goto(f"/?poll={hostile}&{hostile}={hostile}#{hostile}")
        expect(page.locator("#message")).to_have_text(re.compile("There is no"))
        assert_only_text(page)
        page.goto(f"/docs?{hostile}#{hostile}")
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("window.ran") is None


def test_a_poll_made_on_the_page_is_text_too(page: Page) -> None:
    page.goto("/")
    page.fill("#new-question", HOSTILE["script"])
    page.locator("#new-options input").nth(0).fill(HOSTILE["image"])
    page.locator("#new-options input").nth(1).fill("\u202egnp.exe")
    page.click("#create button[type=submit]")
    expect(page.locator("#question")).to_have_text(HOSTILE["script"])
    expect(page.locator("#options .text").first).to_have_text(HOSTILE["image"])
    page.reload()
    expect(page.locator("#question")).to_have_text(HOSTILE["script"])
    assert_only_text(page)


def test_texts_that_turn_the_direction_turn_no_words_beside_them(page: Page, client: Client) -> None:
    poll = create(client, "\u202eevil", "\u05d0\u05d1\u05d2", question="\u202e\u2067turned")
    page.goto(f"/?poll={poll.id}")
    places = ("#question", "#options .text", f'#newest a[href="/?poll={poll.id}"]')
    for place in places:
        shown = page.locator(place).first
        expect(shown).to_be_visible()
        assert shown.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate", place


def test_no_error_of_the_server_becomes_markup(page: Page, client: Client, poll: Made) -> None:
    """What the server says of a poll that is gone while one looks, and of a vote that it refuses."""
    page.goto(f"/?poll={poll.id}")
    expect(page.locator("#question")).to_have_text("Which one?")
    client.delete(poll.path, **poll.admin).expect(204)
    expect(page.locator("#message")).to_have_text("This poll was deleted.")
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
