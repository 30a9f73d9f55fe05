"""The contract's tests: health, metrics, the OpenAPI document, and the pages."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.http import Client
from support.polls import Made, accepted, batch, counted, create, vote
from support.system import System
from support.waiting import until


def test_livez(client: Client) -> None:
    answer = client.get("/livez")
    assert answer.expect(200) == {"alive": True}


def test_readyz(client: Client) -> None:
    until(lambda: client.get("/readyz").status == 200, "the door is ready")
    assert client.get("/readyz").json == {"ready": True, "away": []}


@pytest.mark.parametrize("part", ["bridge", "worker", "beat"])
def test_the_other_parts_tell_how_they_are(system: System, part: str) -> None:
    with system.client_of(part) as client:
        assert client.get("/livez").status == 200
        until(lambda: client.get("/readyz").status == 200, f"{part} is ready")
        assert client.get("/nothing").status == 404
        assert "polling_" in client.get("/metrics").body.decode()


def metric(client: Client, name: str) -> float:
    """The sum of all series of this name."""
    answer = client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", answer.body.decode(), re.MULTILINE)
    assert found, f"no metric {name}"
    return sum(map(float, found))


def test_votes_can_be_followed_through_the_metrics(client: Client, poll: Made, system: System) -> None:
    accepted(client, create(client))
    shown = b"polling_votes_accepted_total{"
    until(lambda: shown in client.get("/metrics").body, "the first vote of all is told")
    with system.client_of("worker") as worker, system.client_of("bridge") as bridge:
        accepted_before = metric(client, "polling_votes_accepted_total")
        counted_before = metric(worker, "polling_votes_counted_total")
        batches_before = metric(bridge, "polling_batches_dispatched_total")
        vote(client, poll)
        batch(client, poll, [{"option": "1"}] * 9)
        counted(client, poll, 10, 0)
        until(
            lambda: metric(client, "polling_votes_accepted_total") >= accepted_before + 10,
            "the door has told of its votes",
        )
        until(lambda: metric(worker, "polling_votes_counted_total") >= counted_before + 10, "the workers have")
        assert metric(bridge, "polling_batches_dispatched_total") > batches_before
        until(lambda: metric(bridge, "polling_log_lag") == 0, "the lag is gone")
        assert metric(worker, "polling_accept_to_counted_seconds_count") > 0
        assert metric(worker, "polling_batch_votes_count") > 0


def test_what_happened_shows_in_the_metrics(client: Client, strict: Client, poll: Made) -> None:
    refused = metric(client, "polling_votes_refused_total") if b"votes_refused" in client.get("/metrics").body else 0
    created = metric(client, "polling_polls_created_total")
    vote(client, poll, "Maybe")
    create(client)
    assert metric(client, "polling_polls_created_total") == created + 1
    until(lambda: metric(client, "polling_votes_refused_total") == refused + 1, "the refusal is told")
    assert 'code="unknown_option"' in client.get("/metrics").body.decode()
    assert metric(client, "polling_http_requests_total") > 0
    for _ in range(5):
        vote(strict, poll, X_Forwarded_For="203.0.113.50")
    assert metric(strict, "polling_rate_limited_total") > 0


def test_every_metric_is_explained(client: Client) -> None:
    text = client.get("/metrics").body.decode()
    names = set(re.findall(r"^(polling_\w+?)(?:_total|_bucket|_sum|_count)?(?:{.*})? ", text, re.MULTILINE))
    assert {"polling_sockets", "polling_frames_sent", "polling_frames_conflated", "polling_polls_created"} <= names
    for name in names:
        assert re.search(rf"^# HELP {name}(_total)? \S+", text, re.MULTILINE), name
        assert re.search(rf"^# TYPE {name}(_total)? (counter|gauge|histogram)$", text, re.MULTILINE), name


@pytest.fixture
def openapi(client: Client) -> Any:
    answer = client.get("/openapi.json")
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.expect(200)


ROUTES = {
    "/api/polls": {"get", "post"},
    "/api/polls/{id}": {"get", "patch", "delete"},
    "/api/polls/{id}/vote": {"post"},
    "/api/polls/{id}/votes/{vote_id}": {"get"},
    "/api/polls/{id}/votes/batch": {"post"},
    "/api/polls/{id}/close": {"post"},
    "/api/polls/{id}/reopen": {"post"},
    "/api/polls/{id}/series": {"get"},
    "/api/polls/{id}/export": {"get"},
    "/api/leaderboard": {"get"},
    "/livez": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
    "/openapi.json": {"get"},
    "/docs": {"get"},
    "/": {"get"},
    "/leaderboard": {"get"},
    "/p/{id}": {"get"},
    "/p/{id}/present": {"get"},
    "/p/{id}/share": {"get"},
    "/p/{id}/admin": {"get"},
    "/p/{id}/embed": {"get"},
    "/p/{id}/qr.svg": {"get"},
    "/embed.js": {"get"},
}


def test_the_document_has_every_route(openapi: Any) -> None:
    assert openapi["openapi"] == "3.1.0"
    assert openapi["info"]["title"]
    assert openapi["info"]["version"]
    assert {path: set(item) for path, item in openapi["paths"].items()} == ROUTES


def operations(openapi: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in openapi["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_operation_is_whole(openapi: Any) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(openapi)]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations(openapi):
        assert operation["summary"]
        wanted = set(re.findall(r"{(\w+)}", path))
        named = {p["name"]: p for p in operation.get("parameters", [])}
        assert {name for name, p in named.items() if p["in"] == "path"} == wanted
        for parameter in named.values():
            assert parameter["in"] in ("path", "query", "header", "cookie")
            assert parameter["required"] is (parameter["in"] == "path")
            assert parameter["schema"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert response["description"]
            for media, content in response.get("content", {}).items():
                is_page = path == "/readyz" or "text/html" in response["content"]
                assert (media == "application/problem+json") is (int(status) >= 400 and not is_page)
                assert content["schema"]
        if method in ("get", "delete"):
            assert "requestBody" not in operation
        elif not path.endswith("close"):
            assert operation["requestBody"]["required"] is not path.endswith("reopen")
            assert operation["requestBody"]["content"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def test_every_reference_leads_somewhere(openapi: Any) -> None:
    found = set(references(openapi))
    assert found
    for reference in found:
        node = openapi
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert node
    named = {f"#/components/schemas/{name}" for name in openapi["components"]["schemas"]}
    assert named == found, "a schema that nobody uses"


def test_the_document_knows_the_rules_of_the_bodies(openapi: Any) -> None:
    schemas = openapi["components"]["schemas"]
    assert set(schemas["CreatePoll"]["required"]) == {"question", "options"}
    assert schemas["CreatePoll"]["additionalProperties"] is False
    assert set(schemas["Vote"]["properties"]) == {"option", "voter"}
    assert set(schemas["BatchLine"]["properties"]) == {"option", "voter", "idempotency_key"}


def test_every_error_that_happens_is_foretold(client: Client, openapi: Any, poll: Made) -> None:
    """Each answer's status stands in the document, and a problem's code in its description."""
    votes = openapi["paths"]["/api/polls/{id}/vote"]["post"]["responses"]
    for answer in (
        vote(client, poll),
        vote(client, poll, Prefer="wait=10"),
        vote(client, poll, "x"),
        vote(client, poll._replace(id="x")),
        client.post(f"{poll.path}/vote"),
        client.request("POST", f"{poll.path}/vote", body=b"{}"),
    ):
        described = votes[str(answer.status)]
        if answer.status >= 400:
            assert f"`{answer.code}`" in described["description"]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_need_nothing_from_elsewhere(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    page = answer.body.decode()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<title>" in page
    used = re.findall(r"""<(?:script|link|img)\b[^>]*?(?:src|href)=["']([^"']+)["']""", page)
    assert any(one.endswith(".js") for one in used)
    for one in used:
        if one.startswith("data:"):
            continue
        assert not one.startswith(("http:", "https:", "//")), one
        file = client.get(one if one.startswith("/") else f"/{one}")
        assert file.status == 200, one
        text = file.body.decode()
        assert not re.search(r"""(?:import|from|fetch\(|url\()\s*["'(]*(?:https?:)?//""", text), one
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page), "the policy would not run a script inside the page"
    assert not re.search(r"\son\w+=", page), "nor such attributes"


def test_the_pages_are_asked_for_again_by_their_etag(client: Client) -> None:
    first = client.get("/")
    again = client.get("/", If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/leaderboard", "/static/core.js", "/static/app.css", "/static/locales/de.json"])
def test_texts_come_compressed_to_who_takes_that(client: Client, path: str) -> None:
    """The same file, with an ETag of its own for each form, so that no cache mixes the two."""
    plain = client.get(path)
    packed = client.get(path, Accept_Encoding="gzip, br")
    assert (plain.headers["Content-Encoding"], packed.headers["Content-Encoding"]) == (None, "gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]
    again = client.get(path, Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", packed.headers["ETag"])
    other = client.get(path, If_None_Match=packed.headers["ETag"])
    assert (other.status, other.body) == (200, plain.body)
    head = client.request("HEAD", path, headers={"Accept-Encoding": "gzip"})
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(packed.body))


def test_the_page_gives_the_browser_its_voter(browser: Client, poll: Made) -> None:
    assert browser.get("/").headers["Set-Cookie"].startswith("voter=")
    assert vote(browser, poll).headers["Set-Cookie"] is None


def test_results_trail_the_count_by_little(client: Client, poll: Made) -> None:
    """After the count has answered, a reader who looks again and again sees it at the latest with the cache's next
    turn; the time itself is not measured here, only that nobody has to ask twice after it."""
    client.get(poll.path).expect(200)
    revision = vote(client, poll, Prefer="wait=10").expect(200)["revision"]
    time.sleep(0.2)
    assert client.get(poll.path).expect(200)["revision"] >= revision


def test_the_flower_page_shows_the_worker(system: System) -> None:
    with system.client_of("flower") as flower:
        until(lambda: list(flower.get("/api/workers?refresh=1").json) == ["worker@tests"], "Flower knows the worker")


def test_flower_listens_on_loopback_alone(system: System) -> None:
    listening = Path("/proc/net/tcp").read_text()
    port = f"{system.ports['flower']:04X}"
    assert f"0100007F:{port} " in listening
    assert f"00000000:{port} " not in listening


def test_a_vote_by_each_way_is_told_apart(client: Client, poll: Made) -> None:
    accepted(client, poll)
    batch(client, poll, [{"option": "1"}])
    counted(client, poll, 2, 0)
    text = until(
        lambda: (read := client.get("/metrics").body.decode()) and 'way="http"' in read and read, "the way is named"
    )
    assert 'way="batch"' in str(text)
