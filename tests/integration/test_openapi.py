"""/openapi.json is the API: its paths are the routes, and what it promises is what comes back."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.inspect

from nebula.api.openapi import description

# The router's own names for what a path template of OpenAPI cannot say.
SAME = {"/api/v1/files/by-name/{name:path}": "/api/v1/files/by-name/{name}"}


def _routes(app: falcon.App[Any, Any]) -> set[tuple[str, str]]:
    return {
        (SAME.get(route.path, route.path), method.method.lower())
        for route in falcon.inspect.inspect_routes(app)
        for method in route.methods
        if not method.internal
    }


def test_described_operations_are_the_routes(app: falcon.App[Any, Any]) -> None:
    described = {(path, method) for path, methods in description()["paths"].items() for method in methods}
    assert described == _routes(app)
