"""Every route but those of design refuses a stranger, and what is the owner's alone refuses a member.

The routes are the gateway's own: one that is added later is covered, or fails here.
"""

from __future__ import annotations

import re
from typing import Any

import falcon.inspect
from falcon import testing

from nebula.api.app import Gateway
from tests.people import People

AUTH = "/api/v1/auth"
PUBLIC = {
    *("/ping", "/healthz", "/readyz", "/metrics", "/openapi.json"),
    *(f"{AUTH}/login", f"{AUTH}/refresh"),
    *("/s/{token}", "/s/{token}/{name}"),
}
NO_ID = "00000000-0000-4000-8000-000000000000"
STRANGERS: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer x.y.z"},
    {"Authorization": "Basic b3duZXI6b3duZXI="},
]


def routes(app: Gateway) -> dict[str, set[str]]:
    """Every path template with its methods."""
    found = falcon.inspect.inspect_routes(app)
    return {route.path: {method.method for method in route.methods if not method.internal} for route in found}


def concrete(path: str) -> str:
    return re.sub(r"{[^}]*}", NO_ID, path)


def resource(app: Gateway, path: str) -> Any:
    found = app._router.find(concrete(path))
    assert found is not None
    return found[0]


def closed_requests(app: Gateway) -> list[tuple[str, str]]:
    return sorted(
        (method, path)
        for path, methods in routes(app).items()
        if path not in PUBLIC
        for method in methods | {"OPTIONS"}
    )


def is_problem(answer: testing.Result, status: int) -> bool:
    return answer.status_code == status and answer.headers["Content-Type"] == "application/problem+json"


def test_stranger_is_refused_by_every_route_that_is_not_public(app: Gateway, client: testing.TestClient) -> None:
    asked = closed_requests(app)
    assert ("GET", "/api/v1/auth/sessions") in asked
    served = [
        (method, path)
        for method, path in asked
        for headers in STRANGERS
        if not is_problem(client.simulate_request(method, concrete(path), headers=headers), 401)
    ]
    assert served == []


def test_refusal_of_a_stranger_is_a_problem_that_names_the_scheme(client: testing.TestClient) -> None:
    answer = client.simulate_get(f"{AUTH}/whoami")
    assert answer.json["code"] == "sign_in_required"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_credentials_in_a_query_or_a_cookie_open_nothing(people: People) -> None:
    token = people.owner.tokens["access_token"]
    query = {"access_token": token, "token": token}
    answer = people.anonymous.get(f"{AUTH}/whoami", params=query, headers={"Cookie": f"access_token={token}"})
    assert answer.status_code == 401


def test_refresh_token_is_no_access_token(people: People) -> None:
    token = people.owner.tokens["refresh_token"]
    answer = people.anonymous.get(f"{AUTH}/whoami", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_public_routes_are_those_that_were_decided(app: Gateway) -> None:
    open_ones = {path for path in routes(app) if getattr(resource(app, path), "public", False)}
    assert open_ones <= PUBLIC
    assert {f"{AUTH}/login", f"{AUTH}/refresh", "/ping", "/healthz"} <= open_ones


def test_member_is_refused_by_every_route_that_is_the_owners(app: Gateway, people: People) -> None:
    owners = [(m, p) for m, p in closed_requests(app) if getattr(resource(app, p), "owner_only", False)]
    for method, path in owners:
        answer = people.member.request(method, concrete(path))
        assert is_problem(answer, 403), f"{method} {path}"
        assert method == "HEAD" or answer.json["code"] == "owner_only"
        assert people.owner.request(method, concrete(path)).status_code != 403


def test_owners_routes_are_marked(app: Gateway) -> None:
    named = [path for path in routes(app) if re.search("/(nodes|operations)(/|$)", path)]
    assert all(resource(app, path).owner_only for path in named)


def test_unknown_resource_is_not_found_for_anyone(people: People) -> None:
    for path in ("/", "/nothing", "/api/v1/nothing", "/api/v2/files", "/ping/", "/api/v1/auth"):
        for person in (people.anonymous, people.member):
            assert is_problem(person.get(path), 404), path
