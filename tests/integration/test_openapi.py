"""/openapi.json is the API: its paths are the routes, and what it promises is what comes back."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.inspect
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import content_type_conformance, not_a_server_error, response_schema_conformance
from schemathesis.generation import GenerationMode

from nebula.api.openapi import OPERATIONS, description
from tests.people import People
from tests.shelf import Shelf

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


# What ends the session that asks, or slows the suite by argon2 and the sign-in throttle, is tested by name elsewhere.
LEFT_OUT = (
    "/openapi.json",
    "/auth/login",
    "/auth/refresh",
    "/auth/logout",
    "/auth/password",
    "/auth/sessions/{session_id}",
)
CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance]
EXAMPLES = 10

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


def test_no_request_of_the_description_makes_a_server_error_or_another_shape(
    people: People, app: falcon.App[Any, Any], shelf: Shelf
) -> None:
    """Schemathesis makes requests from the description, right and wrong ones, and holds the answers against it."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    tried = set()
    for operation in (found.ok() for found in schema.get_all_operations()):
        if operation.path.endswith(LEFT_OUT):
            continue
        file = shelf.put(people.owner.account_id, "film.mkv", b"bytes")
        _exercise(operation, people.owner.headers, {})
        _exercise(operation, people.owner.headers, {"file_id": file.id} if "{file_id}" in operation.path else {})
        tried.add((operation.method.lower(), operation.path))
    assert tried == {(one.method, one.path) for one in OPERATIONS if not one.path.endswith(LEFT_OUT)}


def _exercise(operation: Any, headers: dict[str, str], ids: dict[str, str]) -> None:
    right = operation.as_strategy(path_parameters=ids or None)
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=right if ids else right | wrong)
    def exercise(case: Any) -> None:
        case.validate_response(case.call(headers=headers), checks=CHECKS)

    exercise()
