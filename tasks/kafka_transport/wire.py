"""Celery over Kafka: how a kombu message looks as a Kafka record.

    value              the body, byte for byte (no base64, whatever the content type)
    header `kombu`     JSON: {"content-type", "content-encoding", "headers", "properties", "redelivered"?}

A task's body is therefore never encoded a second time: a 700 kB body is a 700 kB record and some hundred bytes.
"""

# kombu's JSON functions are not annotated:
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from kombu.utils.json import dumps, loads

from .errors import MessageUndecodable

#: The name of the record header that carries everything but the body.
ENVELOPE = "kombu"

#: (value, headers) of a Kafka record, as confluent_kafka's `produce` takes them.
Record = tuple[bytes, list[tuple[str, str | bytes | None]]]


def to_record(message: dict[str, Any]) -> Record:
    """Turn kombu's message (what `Channel.prepare_message` made) into a record."""
    body = message["body"]
    value = body.encode() if isinstance(body, str) else bytes(body)
    envelope = {name: part for name, part in message.items() if name != "body"}
    return value, [(ENVELOPE, dumps(envelope).encode())]


def from_record(value: bytes | None, headers: list[tuple[str, Any]] | None, tag: str) -> dict[str, Any]:
    """Turn a record into the message that kombu's `virtual.Message` takes; `tag` becomes its delivery tag.

    Raises MessageUndecodable where the record is none of ours.
    """
    envelope = dict(headers or ()).get(ENVELOPE)
    if envelope is None:
        raise MessageUndecodable(f"no header {ENVELOPE!r}")
    try:
        message = loads(envelope)
        properties = message["properties"]
        info = properties["delivery_info"]
        if not (isinstance(info, dict) and isinstance(message.get("headers", {}), dict)):
            raise MessageUndecodable(f"header {ENVELOPE!r} lacks its delivery info")
    except (ValueError, KeyError, TypeError) as error:
        raise MessageUndecodable(f"header {ENVELOPE!r} is damaged: {error!r}") from error
    message["body"] = value or b""
    properties["delivery_tag"] = tag
    properties["body_encoding"] = None
    if message.get("redelivered"):
        info["redelivered"] = True
    return dict(message)


def as_redelivered(headers: list[tuple[str, Any]] | None) -> list[tuple[str, str | bytes | None]]:
    """The same headers, with the mark that the message was delivered before."""
    envelope = loads(dict(headers or ())[ENVELOPE])
    envelope["redelivered"] = True
    return [(ENVELOPE, dumps(envelope).encode())]
