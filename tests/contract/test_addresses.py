"""The contract's tests: the addresses of the pages, and what a browser may do with each."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from support.http import Client
from support.polls import Made

PAGES_OF_A_POLL = ["", "/present", "/share", "/admin", "/embed"]


@pytest.mark.parametrize("page", PAGES_OF_A_POLL)
def test_a_poll_has_its_pages(client: Client, poll: Made, page: str) -> None:
    answer = client.get(f"/p/{poll.id}{page}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert client.get(f"/p/{poll.id}{page}", If_None_Match=answer.headers["ETag"]).status == 304
    head = client.request("HEAD", f"/p/{poll.id}{page}")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("page", PAGES_OF_A_POLL)
def test_an_unknown_polls_page_says_so_in_plain_words(client: Client, poll: Made, page: str) -> None:
    client.delete(poll.path, **poll.admin).expect(204)
    known = client.get("/").headers["ETag"]
    for poll_id in ("nothing", poll.id, "%00", "%FF", "x" * 300):
        for headers in ({}, {"If_None_Match": "*"}, {"If_None_Match": known}):
            answer = client.get(f"/p/{poll_id}{page}", **headers)
            assert answer.status == 404
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "no such poll" in answer.body.decode().lower()


def test_the_pages_of_a_poll_give_the_browser_its_voter(browser: Client, poll: Made) -> None:
    assert browser.get(f"/p/{poll.id}").headers["Set-Cookie"].startswith("voter=")
    assert browser.get(f"/p/{poll.id}/embed").headers["Set-Cookie"] is None


@pytest.mark.parametrize("page", ["/", "/leaderboard", "/p/{id}", "/p/{id}/present", "/p/{id}/share", "/p/{id}/admin"])
def test_nobody_may_frame_a_page(client: Client, poll: Made, page: str) -> None:
    answer = client.get(page.format(id=poll.id))
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Content-Security-Policy"].endswith("; frame-ancestors 'none'")


def test_but_for_the_page_that_is_made_for_it(client: Client, strict: Client, poll: Made) -> None:
    answer = client.get(f"/p/{poll.id}/embed")
    assert answer.headers["X-Frame-Options"] is None
    page = client.get(f"/p/{poll.id}").headers["Content-Security-Policy"]
    assert answer.headers["Content-Security-Policy"] == page.replace("frame-ancestors 'none'", "frame-ancestors *")
    missing = client.get("/p/nothing/embed")
    assert (missing.status, missing.headers["X-Frame-Options"]) == (404, None)
    named = strict.get(f"/p/{poll.id}/embed").headers["Content-Security-Policy"]
    assert named.endswith("; frame-ancestors https://example.org https://*.example.net")


def test_the_script_of_the_element_is_for_all_origins(client: Client) -> None:
    answer = client.get("/embed.js", Origin="https://example.com")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Credentials"] is None
    assert client.get("/embed.js", If_None_Match=answer.headers["ETag"]).status == 304


def test_no_file_but_the_pages_own_is_served(client: Client) -> None:
    for path in (
        "/static/__init__.py",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/%2e%2e/%2e%2e/README.md",
        "/static/..%2fapi%2fapp.py",
        "/static//etc/hostname.html",
        "/static/nothing/nothing.js",
        "/static/",
    ):
        assert client.get(path).status == 404, path


def test_the_qr_code_leads_to_the_poll(client: Client, poll: Made) -> None:
    answer = client.get(f"/p/{poll.id}/qr.svg")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.headers["Content-Disposition"] is None
    picture = ElementTree.fromstring(answer.body)
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    # Version v has 17 + 4v modules a side; beside it stands a quiet zone of four.
    assert width == height
    assert (width - 8 - 17) % 4 == 0
    drawn = answer.body.decode()
    assert "#fff" in drawn
    assert "#000" in drawn
    assert not re.search(r"style=|<script|<style", drawn)
    elsewhere = client.get(f"/p/{poll.id}/qr.svg", Host="polls.example.org")
    assert elsewhere.body != answer.body, "the address is that by which the server was asked"


def test_the_qr_code_may_be_kept(client: Client, poll: Made) -> None:
    answer = client.get(f"/p/{poll.id}/qr.svg?download=1")
    assert answer.status == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="poll-{poll.id}.svg"'


def test_a_qr_code_needs_a_poll_and_a_name_that_fits(client: Client, poll: Made) -> None:
    assert client.get("/p/nothing/qr.svg").code == "poll_not_found"
    too_long = client.get(f"/p/{poll.id}/qr.svg", Host=f"{'a' * 60}." * 50 + "org")
    assert too_long.status == 422
    assert too_long.code == "validation_error"


def test_a_poll_carries_the_servers_clock(client: Client, poll: Made) -> None:
    assert client.get(poll.path).headers["Date"]
