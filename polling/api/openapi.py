"""Step 1 of 7, accept: the OpenAPI 3.1 document, made from what the routes declare and the bodies' own types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from polling.api.answers import Problem
from polling.api.routes import Operation, Route
from polling.core.errors import PollingError

_REF = "#/components/schemas/{name}"
_ABOUT_PROBLEMS = {
    "method_not_allowed": "This address takes other methods; `Allow` lists them.",
    "body_too_large": "The body is larger than `limit`, in the unit that `detail` names (bytes or lines).",
    "unsupported_media_type": "The body is not of the type that `detail` names.",
    "validation_error": "The request is not what it must be; `errors` says where, by JSON pointers, and why.",
}
"""Of errors whose own sentence depends on the case."""

_ABOUT = (
    "Polls whose votes are counted exactly once. A vote answered 202 is never lost. "
    "Results are pushed over a WebSocket at the root path `/`. Errors are `application/problem+json` (RFC 9457)."
)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document, ready to be encoded."""
    routes = list(routes)
    types = {shape for route in routes for operation in route.operations for shape in _types(operation)} | {Problem}
    ordered = sorted(types, key=lambda shape: str(shape.__name__))
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    named = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for operation in route.operations:
            paths.setdefault(route.path, {})[operation.method] = _operation(route, operation, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Polling", "version": version("live-polling"), "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"admin_token": {"type": "http", "scheme": "bearer"}},
        },
        "x-problems": [_problem(error) for error in _family(PollingError) if _is_public(error)],
    }


def _operation(route: Route, operation: Operation, named: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    words = re.findall(r"\w+", route.path)
    found: dict[str, Any] = {
        "operationId": "_".join([operation.method, *words]),
        "summary": operation.summary,
        "tags": [words[1] if words[:1] == ["api"] else "system"],
        "responses": {
            **{str(status): _answer(operation, about, shape, named) for status, (about, shape) in _sorted(operation)},
            **_errors(operation, named[Problem]),
        },
    }
    if operation.description:
        found["description"] = operation.description
    parameters = [
        {
            "name": p.name,
            "in": p.where,
            "required": p.where == "path",
            "description": p.description,
            "schema": p.schema if p.example is None else {**p.schema, "default": p.example},
        }
        for p in operation.parameters
        if p.name != "Authorization"  # OpenAPI has it as a security scheme
    ]
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": named[operation.body]}
        if operation.example is not None:
            content["example"] = operation.example
        found["requestBody"] = {"required": operation.body_required, "content": {operation.body_media: content}}
    if any(p.name == "Authorization" for p in operation.parameters):
        found["security"] = [{"admin_token": []}] if operation.admin else [{}, {"admin_token": []}]
    return found


def _answer(operation: Operation, about: str, shape: Any, named: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    if shape is None:
        return {"description": about}
    schema = {"type": "string"} if shape is str else named[shape]
    content = {operation.answer_media: {"schema": schema}}
    content |= {media: {"schema": {"type": "string"}} for media in operation.other_media}
    return {"description": about, "content": content}


def _errors(operation: Operation, problem: dict[str, Any]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for error in operation.errors:
        by_status.setdefault(error.status, []).append(error.code)
    return {
        str(status): {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}",
            "content": {"application/problem+json": {"schema": problem}},
        }
        for status, codes in sorted(by_status.items())
    }


def _sorted(operation: Operation) -> list[tuple[int, tuple[str, Any]]]:
    return sorted(operation.answers.items())


def _types(operation: Operation) -> set[Any]:
    shapes = {shape for _, shape in operation.answers.values() if shape not in (None, str)}
    return shapes | ({operation.body} if operation.body is not None else set())


def _family(error: type[PollingError]) -> list[type[PollingError]]:
    return [error, *(member for child in error.__subclasses__() for member in _family(child))]


def _is_public(error: type[PollingError]) -> bool:
    return "code" in vars(error) and error.__module__ == PollingError.__module__


def _problem(error: type[PollingError]) -> dict[str, Any]:
    about = _ABOUT_PROBLEMS.get(error.code, error.sentence)
    return {"code": error.code, "status": error.status, "title": error.title, "detail": about}
