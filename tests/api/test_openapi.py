"""The OpenAPI document names what there is, and nothing that there is not."""

from __future__ import annotations

import json
import re
from typing import Any

from polling.api.answers import encode
from polling.api.app import ROUTES
from polling.api.openapi import document
from polling.core.errors import PollingError

DOCUMENT: dict[str, Any] = json.loads(encode(document(ROUTES)))


def family(error: type[PollingError]) -> set[type[PollingError]]:
    return {error}.union(*(family(child) for child in error.__subclasses__()))


def test_every_method_of_every_handler_is_described() -> None:
    for route in ROUTES:
        if not route.path.startswith("/static/"):
            described = {operation.method.upper() for operation in route.operations}
            allowed = set(route.handler.allowed().split(", "))  # type: ignore[attr-defined]
            assert described == allowed - {"HEAD", "OPTIONS"}, route.path


def test_every_reference_leads_somewhere() -> None:
    wanted = set(re.findall(r'"\$ref":"#/components/schemas/(\w+)"', encode(DOCUMENT).decode()))
    assert wanted == set(DOCUMENT["components"]["schemas"])


def test_every_parameter_of_a_path_is_described() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_every_public_code_has_an_anchor_once() -> None:
    told = [problem["code"] for problem in DOCUMENT["x-problems"]]
    core = {error.code for error in family(PollingError) if error.__module__ == PollingError.__module__}
    assert sorted(told) == sorted(core)
    assert all(problem["detail"] for problem in DOCUMENT["x-problems"])
