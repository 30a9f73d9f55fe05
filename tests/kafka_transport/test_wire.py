"""A kombu message as a Kafka record, there and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.kafka_transport import MessageUndecodable
from tasks.kafka_transport.wire import as_redelivered, from_record, to_record


def message(body: str | bytes, **headers: Any) -> dict[str, Any]:
    return {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {"delivery_info": {"exchange": "e", "routing_key": "r"}, "delivery_tag": None},
    }


@given(st.binary(max_size=200) | st.text(max_size=200), st.dictionaries(st.text(), st.integers() | st.text()))
def test_there_and_back(body: str | bytes, headers: dict[str, Any]) -> None:
    value, record_headers = to_record(message(body, **headers))
    assert value == (body.encode() if isinstance(body, str) else body), "the body goes as it is"
    back = from_record(value, record_headers, "tag")
    assert back["body"] == value
    assert back["headers"] == headers
    assert back["properties"]["delivery_tag"] == "tag"
    assert back["properties"]["delivery_info"] == {"exchange": "e", "routing_key": "r"}


def test_redelivered_is_told() -> None:
    value, headers = to_record(message("x"))
    back = from_record(value, as_redelivered(headers), "tag")
    assert back["properties"]["delivery_info"]["redelivered"] is True


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("other", b"{}")],
        [("kombu", b"not json")],
        [("kombu", b"\xff")],
        [("kombu", None)],
        [("kombu", b"[]")],
        [("kombu", b"{}")],
        [("kombu", b'{"properties": []}')],
        [("kombu", b'{"properties": {"delivery_info": 1}}')],
        [("kombu", b'{"properties": {"delivery_info": {}}, "headers": 3}')],
    ],
)
def test_what_is_not_ours_is_undecodable(headers: Any) -> None:
    with pytest.raises(MessageUndecodable):
        from_record(b"value", headers, "tag")
