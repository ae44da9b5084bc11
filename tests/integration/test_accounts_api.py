"""Signing in, over HTTP, in both worlds."""

from __future__ import annotations

import logging
import re
from typing import Any

import jsonschema
import pytest
from falcon import testing

from nebula.api.objects import SCHEMAS
from tests.people import PASSWORD, People

AUTH = "/api/v1/auth"


def login(client: testing.TestClient, username: str = "owner", password: str = PASSWORD) -> testing.Result:
    return client.simulate_post(f"{AUTH}/login", json={"username": username, "password": password})


def refresh(client: testing.TestClient, tokens: dict[str, Any]) -> testing.Result:
    return client.simulate_post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})


def whoami(client: testing.TestClient, tokens: dict[str, Any]) -> testing.Result:
    return client.simulate_get(f"{AUTH}/whoami", headers={"Authorization": f"Bearer {tokens['access_token']}"})


def fits(name: str, value: Any) -> bool:
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}})
    return True


def test_sign_in_lasts_over_refreshes_until_it_is_ended(people: People, client: testing.TestClient) -> None:
    tokens = login(client).json
    assert fits("Tokens", tokens)
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    for _ in range(3):
        answer = refresh(client, tokens)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json["session_id"] == tokens["session_id"]
        tokens = answer.json
        assert whoami(client, tokens).json["name"] == "owner"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.simulate_post(f"{AUTH}/logout", headers=headers).status_code == 204
    assert whoami(client, tokens).status_code == 401
    answer = refresh(client, tokens)
    assert (answer.status_code, answer.json["code"]) == (401, "session_ended")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_whoami_names_the_account_and_the_session(people: People) -> None:
    answer = people.member.get(f"{AUTH}/whoami")
    assert fits("Whoami", answer.json)
    assert (answer.json["name"], answer.json["role"]) == ("member", "member")
    assert answer.json["session_id"] == people.member.tokens["session_id"]


def test_bearer_is_read_whatever_its_case(people: People, client: testing.TestClient) -> None:
    headers = {"Authorization": f"bEARER  {people.owner.tokens['access_token']} "}
    assert client.simulate_get(f"{AUTH}/whoami", headers=headers).status_code == 200


def test_reuse_of_a_refresh_token_ends_the_session(people: People, client: testing.TestClient) -> None:
    first = login(client).json
    second = refresh(client, first).json
    assert whoami(client, second).status_code == 200
    answer = refresh(client, first)
    assert (answer.status_code, answer.json["code"]) == (401, "token_reused")
    assert whoami(client, second).status_code == 401
    assert refresh(client, second).status_code == 401


def test_lost_answer_signs_nobody_out(people: People, client: testing.TestClient) -> None:
    first = login(client).json
    lost = refresh(client, first).json
    second = refresh(client, first).json
    assert whoami(client, second).status_code == 200
    assert whoami(client, lost).status_code == 401
    assert refresh(client, second).status_code == 200


def test_wrong_password_and_unknown_name_look_the_same(people: People, client: testing.TestClient) -> None:
    answers = [login(client, "owner", "a wrong guess"), login(client, "nobody"), login(client, "no body")]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json["code"] for answer in answers} == {"wrong_credentials"}
    assert len({answer.text for answer in answers}) == 1


def test_failed_sign_ins_are_told_how_long_to_wait(people: People, client: testing.TestClient) -> None:
    answers = (login(client, "owner", f"wrong guess {number}") for number in range(200))
    refused = next(answer for answer in answers if answer.status_code != 401)
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_attempts")
    assert re.fullmatch(r"[1-9][0-9]*", refused.headers["Retry-After"])
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_sessions_list_is_the_accounts_own(people: People, client: testing.TestClient) -> None:
    people.member.get(f"{AUTH}/whoami")
    other = login(client).json
    answer = people.owner.get(f"{AUTH}/sessions")
    assert answer.json["next_cursor"] is None
    items = answer.json["items"]
    assert all(fits("Session", item) for item in items)
    assert {item["id"]: item["current"] for item in items} == {
        other["session_id"]: False,
        people.owner.tokens["session_id"]: True,
    }
    known = people.owner.get(f"{AUTH}/sessions", headers={"If-None-Match": answer.headers["ETag"]})
    assert (known.status_code, known.text) == (304, "")


def test_session_is_revoked_by_its_own_account_only(people: People, client: testing.TestClient) -> None:
    other = login(client).json
    assert whoami(client, other).status_code == 200
    path = f"{AUTH}/sessions/{other['session_id']}"
    assert people.member.delete(path).status_code == 404
    assert whoami(client, other).status_code == 200
    assert people.owner.delete(path).status_code == 204
    assert whoami(client, other).status_code == 401
    assert people.owner.delete(path).status_code == 404


def test_session_is_not_found_when_there_is_none_of_that_id(people: People) -> None:
    for session_id in ("x", "%00", "%2F", "..%2F", "00000000-0000-4000-8000-000000000000", "%F0%9F%90%88"):
        assert people.owner.delete(f"{AUTH}/sessions/{session_id}").status_code == 404


def test_change_of_the_password_keeps_this_session_and_ends_the_others(
    people: People, client: testing.TestClient
) -> None:
    other = login(client).json
    given = {"old_password": PASSWORD, "new_password": "another good one"}
    assert people.owner.post(f"{AUTH}/password", json=given).status_code == 204
    assert people.owner.get(f"{AUTH}/whoami").status_code == 200
    assert whoami(client, other).status_code == 401
    assert login(client).status_code == 401
    assert login(client, password="another good one").status_code == 200


def test_password_stays_when_the_change_cannot_be_made(people: People) -> None:
    refusals: list[tuple[dict[str, Any], int, str]] = [
        ({"old_password": "a wrong guess", "new_password": "another good one"}, 403, "wrong_password"),
        ({"old_password": PASSWORD, "new_password": "short"}, 400, "invalid_password"),
        ({"old_password": PASSWORD, "new_password": "x" * 1025}, 400, "invalid_password"),
        ({"old_password": PASSWORD}, 400, "missing_field"),
        ({"old_password": PASSWORD, "new_password": None}, 400, "invalid_field"),
    ]
    for given, status, code in refusals:
        answer = people.owner.post(f"{AUTH}/password", json=given)
        assert (answer.status_code, answer.json["code"]) == (status, code)
        assert PASSWORD not in answer.text
    assert login(people.anonymous.client).status_code == 200


BODIES = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff",
    b'{"username": "owner"}',
    b'{"username": 1, "password": true}',
    b'{"refresh_token": 7}',
    b'{"refresh_token": "a\\u0000b"}',
    b'{"refresh_token": "\\ud800"}',
    b'{"username": "owner", "password": "\\u0000"}',
    b'{"username": "owner", "password": "x", "admin": true}',
    b'{"username": "owner", "username": "member", "password": "x"}',
]


def test_sign_in_is_refused_with_a_reason_when_its_body_is_wrong(client: testing.TestClient) -> None:
    for path in (f"{AUTH}/login", f"{AUTH}/refresh"):
        for body in BODIES:
            answer = client.simulate_post(path, body=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 400, body
            assert answer.json["code"] in {"invalid_json", "invalid_field", "missing_field", "unknown_field"}


def test_sign_in_is_refused_when_its_body_is_too_large(client: testing.TestClient) -> None:
    answer = client.simulate_post(f"{AUTH}/login", json={"username": "owner", "password": "x" * 100_000})
    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


def test_no_log_and_no_problem_holds_a_secret(
    people: People, client: testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        tokens = login(client).json
        spent, tokens = tokens, refresh(client, tokens).json
        whoami(client, tokens)
        answers = [refresh(client, spent), whoami(client, tokens), login(client, "owner", "a wrong secret guess")]
    shown = caplog.text + "".join(answer.text for answer in answers)
    secrets = [
        PASSWORD,
        "a wrong secret guess",
        *(t[k] for t in (spent, tokens) for k in ("access_token", "refresh_token")),
    ]
    assert [secret for secret in secrets if secret in shown] == []
