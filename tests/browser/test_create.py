"""Making a poll: by Enter, by paste, by drag and keys; errors beside their fields; nothing that is typed gets lost."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect
from support.http import Client
from support.polls import create

from browser.conftest import Watched
from browser.seeing import expect_counted, expect_votes, open_poll, tap


def open_create(page: Page) -> None:
    page.goto("/")
    page.wait_for_selector("form[data-ready]")


def texts(page: Page) -> list[str]:
    return [str(one) for one in page.locator("#options input").evaluate_all("all => all.map(one => one.value)")]


def test_create_share_and_vote_on_two_pages(open_page: Callable[..., Watched]) -> None:
    host, guest = open_page().page, open_page().page
    open_create(host)
    host.fill("#question", "Where to?")
    host.locator("#options input").nth(0).fill("North")
    host.locator("#options input").nth(1).fill("South")
    host.click("#make")
    host.wait_for_selector("body[data-ready]")
    expect(host.locator("#question")).to_have_text("Where to?")
    link = host.input_value("#link")
    assert host.input_value("#admin").startswith(f"{link}/admin#")
    assert host.url == f"{link}/share", "the token does not stay in the address"
    assert host.locator("#qr").evaluate("async one => { await one.decode(); return one.naturalWidth; }") > 0
    assert "/embed.js" in host.input_value("#embed")
    with host.expect_download() as download:
        host.click("#qr-load")
    assert download.value.suggested_filename.endswith(".svg")

    open_poll(guest, link)
    open_poll(host, link)
    tap(guest, 1)
    expect_counted(guest)
    for page in (guest, host):
        expect_votes(page, 0, 1)
    tap(host, 0)
    for page in (guest, host):
        expect_votes(page, 1, 1)
    expect(guest.locator("#options .bar").nth(1)).to_have_attribute("aria-pressed", "true")


def test_a_list_is_pasted_and_options_are_moved(page: Page) -> None:
    open_create(page)
    field = page.locator("#options input").first
    field.focus()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.setData("text", "- Red\\n2. Green\\r\\n\\n• Blue\\n  Yellow  ");
            const options = { clipboardData: data, bubbles: true, cancelable: true };
            document.activeElement.dispatchEvent(new ClipboardEvent("paste", options));
        }"""
    )
    assert texts(page) == ["Red", "Green", "Blue", "Yellow"]
    page.locator("#options input").nth(3).press("Alt+ArrowUp")
    assert texts(page) == ["Red", "Green", "Yellow", "Blue"]
    expect(page.locator("#options input").nth(2)).to_be_focused()
    expect(page.locator("#said")).to_have_text("Yellow is now at place 3 of 4.")
    grips = page.locator("#options .grip")
    first, last = grips.nth(0).bounding_box(), grips.nth(3).bounding_box()
    assert first is not None
    assert last is not None
    page.mouse.move(first["x"] + 20, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"] + 20, last["y"] + 30, steps=12)
    page.mouse.up()
    assert texts(page) == ["Green", "Yellow", "Blue", "Red"]
    page.locator("#options input").nth(1).press("Enter")
    page.keyboard.type("Grey")
    assert texts(page) == ["Green", "Yellow", "Grey", "Blue", "Red"]
    page.get_by_role("button", name="Remove option 1").click()
    assert texts(page) == ["Yellow", "Grey", "Blue", "Red"]


def test_errors_stand_beside_their_fields(page: Page) -> None:
    open_create(page)
    for text in ("Yes", "", "Yes", "x" * 201):
        page.locator("#options input").last.fill(text)
        page.click("#more")
    page.click("#make")
    expect(page.locator("#question-wrong")).to_have_text("Please write something here.")
    expect(page.locator("#question")).to_be_focused()
    wrong = page.locator("#options li", has=page.locator(".wrong"))
    expect(wrong).to_have_count(2)
    expect(wrong.nth(0).locator(".wrong")).to_have_text("This is the same as option 1.")
    assert wrong.nth(0).locator("input").input_value() == "Yes"
    expect(wrong.nth(1).locator(".wrong")).to_have_text("This is too long: 200 characters at most.")
    described = wrong.nth(1).locator("input").get_attribute("aria-describedby")
    assert described
    expect(page.locator(f"#{described}")).to_be_visible()
    page.locator("#options input").first.fill("")
    page.click("#settings summary")
    page.check("input[value=at]")
    page.click("#make")
    expect(page.locator("#at-wrong")).to_have_text("Choose a day and a time.")
    page.fill("#at", "2001-01-01T12:00")
    page.click("#make")
    expect(page.locator("#at-wrong")).to_have_text("This time is over: choose a later one.")


def test_a_reload_keeps_the_draft(page: Page) -> None:
    open_create(page)
    page.fill("#question", "Half a question")
    page.locator("#options input").nth(1).fill("second first")
    page.click("#settings summary")
    page.check("input[value=after_close]")
    page.uncheck("#once")
    page.reload()
    page.wait_for_selector("form[data-ready]")
    assert page.input_value("#question") == "Half a question"
    assert texts(page) == ["", "second first"]
    assert page.is_checked("input[value=after_close]")
    assert not page.is_checked("#once")
    expect(page.locator("#kept")).to_be_visible()
    page.click("#forget")
    assert page.input_value("#question") == ""
    page.reload()
    page.wait_for_selector("form[data-ready]")
    assert texts(page) == ["", ""]


def test_links_are_copied(open_page: Callable[..., Watched], client: Client) -> None:
    poll = create(client)
    page = open_page(permissions=["clipboard-read", "clipboard-write"]).page
    open_poll(page, f"/p/{poll.id}/share#{poll.token}")
    for field in ("link", "admin", "embed"):
        page.click(f"[data-copies={field}]")
        expect(page.locator("#toast")).to_have_text("Copied.")
        page.wait_for_function(
            "async text => (await navigator.clipboard.readText()) === text", arg=page.input_value(f"#{field}")
        )
    assert page.input_value("#admin").endswith(f"/p/{poll.id}/admin#{poll.token}")


def test_by_the_keyboard_alone(page: Page, client: Client) -> None:
    """From the empty page to a counted vote, without a mouse."""
    open_create(page)
    page.focus("#question")
    page.keyboard.type("Tea or coffee?")
    page.keyboard.press("Enter")
    page.keyboard.type("Tea")
    page.keyboard.press("Enter")
    page.keyboard.type("Coffee")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#make")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/share")
    page.wait_for_selector("body[data-ready]")
    page.focus("#to-vote")
    page.keyboard.press("Enter")
    page.wait_for_selector("button.bar")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('bar')"):
            break
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect_counted(page)
    expect_votes(page, 0, 1)
    expect(page.locator("#options .bar").nth(1)).to_be_focused()


def test_an_old_address_leads_to_the_poll(page: Page, client: Client) -> None:
    poll = client.post("/api/polls", {"question": "Old?", "options": ["a", "b"]}).expect(201)
    page.goto(f"/?poll={poll['id']}")
    page.wait_for_url(f"**/p/{poll['id']}")
    expect(page.locator("#question")).to_have_text("Old?")
