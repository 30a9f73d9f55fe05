"""Generated requests, from the system's own description of its API, and generated frames."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
from hypothesis import strategies as st
from support.http import Answer
from support.polls import Made, create
from support.system import System
from support.wire import BINARY, CLOSE, PING, PONG, TEXT, Server, frame, say

from websocket import close_codes

Json = dict[str, Any]

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=60)
    | st.sampled_from(["", "\0", "\u202e", "null", "-1", "9" * 400, "2030-01-01T00:00:00Z", "'; --", "%00", "../.."]),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=8,
)
EXAMPLES = 40


@pytest.fixture(scope="module")
def description(system: System) -> Json:
    found = system.client.get("/openapi.json").expect(200)
    assert isinstance(found, dict)
    return found


def resolved(description: Json, schema: Json) -> Json:
    """Without `$ref`, one step."""
    while "$ref" in schema:
        found: Any = description
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def values(description: Json, schema: Json) -> st.SearchStrategy[Any]:
    """What fits a schema."""
    schema = resolved(description, schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([values(description, one) for one in schema["anyOf"]])
    match schema.get("type"):
        case "object":
            fields = {name: values(description, one) for name, one in schema.get("properties", {}).items()}
            needed = set(schema.get("required", ()))
            return st.fixed_dictionaries(
                {name: one for name, one in fields.items() if name in needed},
                optional={name: one for name, one in fields.items() if name not in needed},
            )
        case "array":
            return st.lists(values(description, schema["items"]), max_size=6)
        case "string" if schema.get("format") == "date-time":
            return st.datetimes().map(lambda moment: moment.isoformat() + "Z")
        case "string":
            return st.text(max_size=40)
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise AssertionError(f"a schema of an unknown kind: {schema}")


def misfits(description: Json, schema: Json, value: Any, where: str = "#") -> list[str]:
    """Where a value does not fit a schema: those words of JSON Schema that the description uses."""
    schema = resolved(description, schema)
    if "anyOf" in schema:
        return (
            [] if any(not misfits(description, one, value) for one in schema["anyOf"]) else [f"{where}: none of anyOf"]
        )
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{where}: {value!r} is not in {schema['enum']}"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    kind = schema.get("type")
    if kind is None:
        return []
    if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{where}: {value!r} is no {kind}"]
    found: list[str] = []
    if kind == "object":
        known = schema.get("properties", {})
        found += [f"{where}/{name} is missing" for name in schema.get("required", ()) if name not in value]
        found += [f"{where}/{name} is not described" for name in value if known and name not in known]
        for name, one in known.items():
            if name in value:
                found += misfits(description, one, value[name], f"{where}/{name}")
    if kind == "array":
        for number, one in enumerate(value):
            found += misfits(description, schema["items"], one, f"{where}/{number}")
    return found


def operations(description: Json) -> list[tuple[str, str, Json]]:
    return [(path, method, one) for path, methods in description["paths"].items() for method, one in methods.items()]


def assert_described(description: Json, operation: Json, answer: Answer) -> None:
    """The status is one that the operation has, the body is what it says of it, and nothing is a fault of ours."""
    assert answer.status < 500, answer
    described = operation["responses"].get(str(answer.status))
    if described is None:
        # What any address may answer: to what is no request for it.
        assert answer.status in (400, 404, 405, 413, 415, 422), answer
        described = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    if not described.get("content"):
        assert answer.body == b""
        return
    kind = answer.headers.get_content_type()
    assert kind in described["content"], f"{kind} is not described: {answer}"
    if kind.endswith("json") and answer.body:
        assert answer.headers["Content-Type"].endswith("; charset=utf-8")
        assert misfits(description, described["content"][kind]["schema"], answer.json) == []
        if kind == "application/problem+json":
            assert answer.json["status"] == answer.status
            assert re.fullmatch(r"[a-z_]+", answer.json["code"])


HEADER = st.text("".join(map(chr, range(32, 127))) + "\t", max_size=40)


@hypothesis.settings(max_examples=EXAMPLES * 6)
@hypothesis.given(data=st.data())
def test_any_request_gets_an_answer_that_is_described(
    description: Json, system: System, a_poll: Made, data: st.DataObject
) -> None:
    """Paths, queries, headers and bodies that fit the description, or nearly, or not at all."""
    path, method, operation = data.draw(st.sampled_from(operations(description)), label="operation")
    given = {"id": st.sampled_from([a_poll.id, "none"]) | st.text(max_size=30), "vote_id": st.text(max_size=40)}
    query: list[str] = []
    headers: dict[str, str | bytes] = {}
    for parameter in operation.get("parameters", ()):
        name, place = parameter["name"], parameter["in"]
        if place == "path":
            drawn = data.draw(given[name].filter(lambda text: text not in ("", ".", "..")), label=name)
            path = path.replace(f"{{{name}}}", quote(drawn, safe="", errors="surrogatepass"))
        elif data.draw(st.booleans(), label=f"with {name}"):
            fitting = values(description, parameter["schema"]) | JUNK.map(str)
            if place == "query":
                query.append(f"{name}={quote(str(data.draw(fitting, label=name)), safe='', errors='surrogatepass')}")
            else:
                offered = HEADER | st.sampled_from([f"Bearer {a_poll.token}x", "wait=0", 'W/"1", *', "return=minimal"])
                headers[name] = data.draw(offered, label=name).encode()
    body = None
    if "requestBody" in operation:
        [(media, content)] = operation["requestBody"]["content"].items()
        valid = values(description, content["schema"])
        shape = valid | valid.flatmap(_spoiled) | JUNK
        body = data.draw(shape.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200), label="body")
        kinds = [media, "application/json", "text/plain", "application/json; charset=utf-16", "multipart/form-data"]
        headers["Content-Type"] = data.draw(st.sampled_from([media, media, *kinds]), label="media type")
    if (path, method) == (f"/api/polls/{a_poll.id}", "delete"):
        headers.pop("Authorization", None)
    answer = system.client.request(
        method.upper(), path + "?" * bool(query) + "&".join(query), body=body, headers=headers
    )
    assert_described(description, operation, answer)


def _spoiled(value: Any) -> st.SearchStrategy[Any]:
    """A value with one thing in it that does not belong there."""
    if not isinstance(value, dict):
        return JUNK
    return st.tuples(st.sampled_from([*value, "more"]), JUNK).map(lambda pair: {**value, pair[0]: pair[1]})


@pytest.fixture(scope="module")
def a_poll(system: System) -> Made:
    return create(system.client)


@hypothesis.settings(max_examples=EXAMPLES * 2)
@hypothesis.given(
    target=st.binary(max_size=60),
    fields=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=60)), max_size=6),
    body=st.binary(max_size=100),
)
def test_any_bytes_get_an_answer_or_an_end(
    server: Server, target: bytes, fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Requests with anything in their places; at the end of each the connection is given up by the server."""
    head = b"POST /" + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    with server.wire() as wire:
        wire.send(head + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        # A length of the attacker's own may have it wait for more; no more comes.
        wire.finish()
        answer = wire.rest()
    assert answer == b"" or re.match(rb"HTTP/1\.1 [1-4]\d\d ", answer), answer
    assert b" 50" not in answer.split(b"\r\n")[0]


REQUESTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["subscribe", "unsubscribe", "vote", "ping", "welcome", "results"]) | st.text(max_size=9)},
    optional={
        "poll": st.text(max_size=70) | JUNK,
        "vote": st.text(max_size=40) | JUNK,
        "admin_token": st.text(max_size=40) | JUNK,
        "viewers": st.booleans() | JUNK,
        "leaderboard": st.booleans() | JUNK,
        "option": st.text(max_size=20) | JUNK,
        "ref": JUNK,
        "idempotency_key": st.text(max_size=300) | JUNK,
        "more": JUNK,
    },
)
PAYLOADS = st.binary(max_size=200) | (REQUESTS | JUNK).map(lambda one: json.dumps(one).encode())
CLOSES = [b"", b"\x03", b"\x03\xe9", b"\x03\xf3bye", b"\x0b\xb8", b"\x03\xee", b"\0\0", b"\x03\xe8\xff"]
OPCODES = [opcode for opcode in range(16) if opcode != CLOSE]
FRAMES = st.one_of(
    PAYLOADS.map(lambda data: frame(TEXT, data)),
    PAYLOADS.map(lambda data: frame(BINARY, data)),
    st.binary(max_size=125).map(lambda data: frame(PING, data)),
    st.binary(max_size=125).map(lambda data: frame(PONG, data)),
    PAYLOADS.map(lambda data: frame(TEXT, data[:9], final=False) + frame(PING) + frame(0, data[9:])),
    st.tuples(st.sampled_from(OPCODES), st.binary(max_size=130), st.booleans(), st.integers(0, 7)).map(
        lambda four: frame(four[0], four[1], final=four[2], reserved=four[3])
    ),
)
ANSWERS = {"welcome", "leaderboard", "results", "error", "vote", "pong", "unsubscribed", "deleted"}
DOCUMENTED = {one.code for one in close_codes.ALL}
OWN = {1001, 1011, 3000}


@hypothesis.settings(max_examples=EXAMPLES * 4)
@hypothesis.given(sent=st.lists(FRAMES, max_size=12), end=st.sampled_from(CLOSES))
def test_any_frames_get_answers_or_a_documented_close(server: Server, sent: list[bytes], end: bytes) -> None:
    """Each frame that comes back is one of ours; and the socket lives, or was closed for a reason that is told."""
    with server.socket() as wire:
        wire.send(b"".join([*sent, say(type="ping"), frame(CLOSE, end)]))
        code = None
        while (found := wire.next_frame()) is not None:
            opcode, payload = found
            if opcode == TEXT:
                message = json.loads(payload)
                assert message["type"] in ANSWERS
                if message["type"] == "error":
                    assert re.fullmatch(r"[a-z_]+", message["code"])
                    assert message["code"] not in ("internal_error", "store_unavailable", "log_unavailable")
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2]) if payload else 1005
                break
            else:
                assert opcode in (PING, PONG)
        # A close of the client's own is answered with its own code.
        assert code in DOCUMENTED | OWN | {1000, 1005}, f"closed with {code}"
    server.lives()
