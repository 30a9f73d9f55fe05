"""Step 1 of 7, accept: JSON bodies, decoded into their types; where that fails, all that is wrong is told."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from polling.core.errors import BadRequest, UnsupportedMediaType, ValidationError

T = TypeVar("T", bound=msgspec.Struct)

_MANY = 20  # faults told at once
_NAME = 100  # characters of a name that is no field's
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_PLACE = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_JSON_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "RFC 3339 time"}


class JsonBody(Generic[T]):
    """Reads one type. Made once, for msgspec prepares a decoder."""

    def __init__(self, shape: type[T]) -> None:
        self._shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    def read(self, body: bytes) -> T:
        """The body as its type.

        Raises:
            BadRequest: it is no JSON.
            ValidationError: it is JSON, but not this; with every fault that can be told.
        """
        try:
            return self._decode(body)
        except _NOT_JSON as error:
            self._explain(body, error)
            raise

    def _explain(self, body: bytes, error: Exception) -> None:
        if not body:
            raise BadRequest("The body is empty.") from None
        try:
            value = msgspec.json.decode(body)
        except msgspec.ValidationError as out_of_range:
            raise ValidationError([_fault(str(out_of_range))]) from None
        except RecursionError:
            raise BadRequest("The body is nested too deeply.") from None
        except _NOT_JSON:
            raise BadRequest from None
        faults = self._faults(value) if isinstance(value, dict) else []
        raise ValidationError(faults[:_MANY] or [_fault(str(error))]) from None

    def _faults(self, value: dict[str, Any]) -> list[dict[str, str]]:
        fields = {field.encode_name: field for field in msgspec.structs.fields(self._shape)}
        faults = [
            {"pointer": _pointer(name), "detail": f"There is no field {name[:_NAME]!r} here."}
            for name in value
            if name not in fields
        ]
        for name, field in fields.items():
            if name not in value:
                if field.required:
                    faults.append({"pointer": _pointer(name), "detail": f"The field {name!r} is missing."})
                continue
            try:
                msgspec.convert(value[name], field.type)
            except msgspec.ValidationError as error:
                faults.append(_fault(str(error), _pointer(name)))
        return faults


def require_media_type(header: str | None, wanted: str) -> None:
    """Raises UnsupportedMediaType where a Content-Type is another one, or another charset than UTF-8.

    A missing one is refused as well: a browser sends such a body to a foreign origin without asking first.
    """
    media, *parameters = (header or "").split(";")
    charset = next((p.strip()[8:].strip('"') for p in parameters if p.strip().lower().startswith("charset=")), "utf-8")
    if media.strip().lower() != wanted or charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(wanted)


def _fault(message: str, root: str = "#") -> dict[str, str]:
    """msgspec's sentence, as in ``Expected `str`, got `int` - at `$[1]` ``, as a fault."""
    detail, _, place = message.partition(" - at `")
    steps = "".join(f"/{name or index}" for name, index in _PLACE.findall(place))
    for python, json in _JSON_NAMES.items():
        detail = re.sub(rf"\b{python}\b", json, detail)
    return {"pointer": root + steps, "detail": detail.replace("`", "") + "."}


def _pointer(name: str) -> str:
    """RFC 6901, section 6: a JSON pointer to a member of the root, as a URI fragment."""
    escaped = name[:_NAME].replace("~", "~0").replace("/", "~1")
    return "#/" + "".join(
        c if c.isalnum() or c in "-._~" else "".join(f"%{b:02X}" for b in c.encode()) for c in escaped
    )
