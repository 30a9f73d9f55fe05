"""The contract's tests: a poll's page comes with the poll as anybody may see it, and with the reader's texts."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, accepted, batch, counted, create, results

LOCALES = Path(__file__).resolve().parents[2] / "polling" / "web" / "locales"
PAGES = ["", "/embed"]


def given(page: str) -> Any:
    """What stands in the page's block of data, as a browser finds its end."""
    found = re.search(r'<script id="given" type="application/json">(.*?)</script', page, re.DOTALL | re.IGNORECASE)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_comes_with_the_poll_as_the_api_answers_it(client: Client, poll: Made, page: str) -> None:
    batch(client, poll, [{"option": "1"}] * 3)
    counted(client, poll, 3, 0)
    answer = client.get(f"/p/{poll.id}{page}")
    assert given(answer.body.decode())["poll"] == results(client, poll)
    assert "date" not in given(answer.body.decode())
    assert answer.headers["Cache-Control"] == "no-store"
    packed = client.get(f"/p/{poll.id}{page}", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == answer.body
    assert packed.headers["ETag"] != answer.headers["ETag"]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("visible", ["after_vote", "after_close"])
def test_hidden_results_are_not_in_the_page(client: Client, page: str, visible: str) -> None:
    """Whatever the address or the request says: who has voted, or made the poll, asks the API for more."""
    poll = create(client, "Tea", "Coffee", results_visible=visible)
    vote_id = accepted(client, poll)
    for asked in (f"/p/{poll.id}{page}", f"/p/{poll.id}{page}?vote={vote_id}"):
        shown = given(client.get(asked, **poll.admin).body.decode())["poll"]
        assert shown["results_hidden"] is True
        assert [(one["votes"], one["share"]) for one in shown["options"]] == [(None, None)] * 2
    client.post(f"{poll.path}/close", **poll.admin).expect(200)
    shown = given(client.get(f"/p/{poll.id}{page}").body.decode())["poll"]
    assert shown["status"] == "closed"
    assert None not in [one["votes"] for one in shown["options"]]


HOSTILE = ["</script><script>alert(1)</script>", "<!--<script>", "]]\u2028>&lt;\"'\\u003c"]


@pytest.mark.parametrize("page", PAGES)
def test_no_text_ends_the_block_it_stands_in(client: Client, page: str) -> None:
    poll = create(client, *HOSTILE[1:], question=HOSTILE[0])
    html = client.get(f"/p/{poll.id}{page}").body.decode()
    shown = given(html)["poll"]
    assert [shown["question"], *(one["text"] for one in shown["options"])] == HOSTILE
    assert html.count("alert(1)") == 1
    assert "<!--<" not in html
    assert "<script>" not in html


@pytest.mark.parametrize(
    ("query", "accepts", "language"),
    [
        ("", None, "en"),
        ("", "de-CH,de;q=0.9,en;q=0.8", "de"),
        ("", "xx, AR ;q=0.5", "ar"),
        ("", "../en,*", "en"),
        ("?lang=de", "ar", "de"),
        ("?lang=xx", "ar", "ar"),
        ("?lang=%FF", "", "en"),
        ("?lang=../../packing", "", "en"),
    ],
)
def test_texts_come_in_the_readers_language(
    client: Client, poll: Made, query: str, accepts: str | None, language: str
) -> None:
    answer = client.get(f"/p/{poll.id}{query}", **({} if accepts is None else {"Accept_Language": accepts}))
    assert answer.status == 200
    found = given(answer.body.decode())
    assert found["lang"] == language
    assert found["texts"] == json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))


def test_a_poll_that_closes_by_itself_comes_with_the_servers_time(client: Client) -> None:
    """The reader's clock may be wrong, and what is left must not be."""
    closes_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    poll = create(client, closes_at=closes_at)
    answer = client.get(f"/p/{poll.id}")
    told = parsedate_to_datetime(given(answer.body.decode())["date"])
    assert abs(told - parsedate_to_datetime(answer.headers["Date"])) <= timedelta(seconds=5)


def test_the_other_pages_of_a_poll_carry_none_of_it(client: Client, poll: Made) -> None:
    """Their reader may be the poll's maker, whose token the server does not get with a page."""
    for page in ("/present", "/share", "/admin"):
        assert "application/json" not in client.get(f"/p/{poll.id}{page}").body.decode()
