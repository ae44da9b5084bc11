"""`nebula deploy status|rollback`."""

from __future__ import annotations

from typing import Any

import pytest

from nebula_cli import operations
from tests.recording import Recording, Said, problem
from tests.unit.cli import JOB_ID, OTHER_ID, V1, Cli


def operation(**more: Any) -> dict[str, Any]:
    """Return an operation as the API shows it."""
    return {
        "id": JOB_ID,
        "kind": "deploy",
        "state": "done",
        "asked_by": "push",
        "commit": "ab" * 20,
        "release": "20260101100000-abababababab",
        "message": "20260101100000-abababababab serves.",
        "created_at": "2026-01-01T10:00:00.000Z",
        "started_at": "2026-01-01T10:00:00.000Z",
        "finished_at": "2026-01-01T10:01:00.000Z",
    } | more


@pytest.fixture
def server(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A server where one deploy failed after another had gone well; a rollback takes three looks."""
    monkeypatch.setattr(operations, "POLL_S", 0.01)
    states = iter(["queued", "running", "done", "done", "done"])
    rollback = {"id": OTHER_ID, "kind": "rollback", "asked_by": "ana", "commit": None, "message": "It serves again."}
    failed = operation(id="x", state="failed", message="The database could not be dumped: \x1b[31mno")

    def listing(_asked: Any) -> dict[str, Any]:
        items = [failed, operation(), operation(id="y", kind="backup")]
        asked = [operation(**rollback, state=next(states))] if recording.changes else []
        return {"items": asked + items, "next_cursor": None}

    recording.answers[f"GET {V1}/operations"] = listing
    recording.answers[f"POST {V1}/operations"] = Said(202, operation(**rollback, state="queued"))
    recording.answers[f"GET {V1}/status"] = {"version": "9", "release": "20260101100000-abababababab"}
    return recording


def test_status_shows_what_runs_and_how_the_latest_deploys_ended(cli: Cli, server: Recording) -> None:
    out = cli("deploy", "status").out
    assert "runs:        20260101100000-abababababab\n" in out
    assert "abababababab  push" in out
    assert "The database could not be dumped: [31mno" in out
    assert "backup" not in out


def test_status_as_json_is_the_apis_objects(cli: Cli, server: Recording) -> None:
    assert [one["state"] for one in cli("deploy", "status", "--json").objects()] == ["failed", "done"]


def test_status_of_a_server_that_never_deployed_says_how_to(cli: Cli, server: Recording) -> None:
    server.answers[f"GET {V1}/operations"] = {"items": [], "next_cursor": None}
    server.answers[f"GET {V1}/status"] = {"version": "9", "release": None}
    ran = cli("deploy", "status")
    assert "not installed by site.yml" in ran.out
    assert "git push nebula main" in ran.err


def test_rollback_asks_once_and_waits_for_its_end(cli: Cli, server: Recording) -> None:
    ran = cli("deploy", "rollback")
    assert (ran.code, ran.out) == (0, "It serves again.\n")
    assert server.changes == [f"POST {V1}/operations"]


def test_rollback_goes_on_waiting_while_the_gateway_restarts(
    cli: Cli, server: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nebula_cli.retrying.LONGEST_S", 0.01)
    listing, looks = server.answers[f"GET {V1}/operations"], []

    def sometimes(asked: Any) -> Any:
        looks.append(1)
        return problem(503, "busy", "Not now.", **{"Retry-After": "0"}) if len(looks) == 2 else listing(asked)  # type: ignore[operator]

    server.answers[f"GET {V1}/operations"] = sometimes
    assert cli("deploy", "rollback").code == 0


def test_rollback_that_failed_is_told_in_one_line(cli: Cli, server: Recording) -> None:
    said = "There is no way back to x. Revision 2 contracts."
    failed = operation(id=OTHER_ID, kind="rollback", state="failed", message=said)
    server.answers[f"GET {V1}/operations"] = {"items": [failed], "next_cursor": None}
    ran = cli("deploy", "rollback")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == f"nebula: {said}"


@pytest.mark.parametrize("words", [("deploy",), ("deploy", "now"), ("deploy", "rollback", "x")])
def test_a_line_that_cannot_be_meant_asks_for_nothing(cli: Cli, server: Recording, words: tuple[str, ...]) -> None:
    assert cli(*words).code == 2
    assert server.asked == []
