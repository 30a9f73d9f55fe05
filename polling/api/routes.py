"""Step 1 of 7, accept: what a handler's file says of its own addresses, for the router and for the OpenAPI page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tornado.routing import URLSpec
from tornado.web import RequestHandler

from polling.core.errors import PollingError


@dataclass(frozen=True)
class Parameter:
    """A parameter in the path, the query or a header. `schema` is JSON Schema."""

    name: str
    where: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: Any = None


@dataclass(frozen=True)
class Operation:
    """One method of an address. `answers`: for each status what it means and the body's type (None for no body), which
    comes as `answer_media`, or as text of `other_media`.
    """

    method: str
    summary: str
    answers: dict[int, tuple[str, Any]]
    description: str = ""
    body: Any = None
    body_media: str = "application/json"
    body_required: bool = True
    answer_media: str = "application/json"
    other_media: tuple[str, ...] = ()
    example: Any = None
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[type[PollingError], ...] = ()
    admin: bool = False


@dataclass(frozen=True)
class Route:
    """An address, and the handler that answers there. `{name}` is a part that varies, `{name+}` all that follows."""

    path: str
    handler: type[RequestHandler]
    operations: tuple[Operation, ...] = ()

    def spec(self, **kwargs: Any) -> URLSpec:
        """As Tornado's router wants it."""
        parts = re.split(r"(\{\w+\+?\})", self.path)
        pattern = "".join("(.+)" if p[-2:] == "+}" else "([^/]+)" if p[-1:] == "}" else re.escape(p) for p in parts)
        return URLSpec(pattern, self.handler, kwargs)


POLL_ID = Parameter("id", "path", "The poll's id.")
ADMIN = Parameter("Authorization", "header", "`Bearer <admin_token>`, the poll's admin token.")
