"""`nebula backup now|status`, and the backup in `nebula status`."""

from __future__ import annotations

from typing import Any

import pytest

from nebula_cli import operations
from tests.recording import Recording, Said, problem
from tests.unit.cli import JOB_ID, V1, Cli

NONE = {
    "state": "none",
    "running": False,
    **dict.fromkeys(["target", "kept", "warning", "tried_at", "succeeded_at", "said", "error"]),
    **dict.fromkeys(["read_at", "read_said", "read_error"]),
}
MADE = NONE | {
    "state": "ok",
    "target": "/mnt/backup/nebula",
    "kept": "the last one of each of 7 days",
    "tried_at": "2026-01-01T10:00:00.000Z",
    "succeeded_at": "2026-01-01T10:00:00.000Z",
    "said": "The backup is made: 2 GiB.",
}


def operation(**more: Any) -> dict[str, Any]:
    return {"id": JOB_ID, "kind": "backup", "state": "queued", "asked_by": "ana", "message": None} | more


@pytest.fixture
def server(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A server that has a backup."""
    monkeypatch.setattr(operations, "POLL_S", 0.01)
    recording.answers[f"POST {V1}/operations"] = Said(202, operation())
    _shows(recording, MADE)
    return recording


def _shows(server: Recording, backup: dict[str, Any] | None, *, release: str | None = "0123abc") -> None:
    server.answers[f"GET {V1}/status"] = {"version": "9", "backup": backup, "release": release}


def _ends(server: Recording, **how: Any) -> None:
    states = iter([operation(state="running"), operation(**how)])
    server.answers[f"GET {V1}/operations"] = lambda _asked: {"items": [next(states)], "next_cursor": None}


def test_status_shows_the_last_success_the_target_and_what_is_kept(cli: Cli, server: Recording) -> None:
    out = cli("backup", "status").out
    assert "backup:      ok, last " in out
    assert "target:      /mnt/backup/nebula\n" in out
    assert "kept:        the last one of each of 7 days\n" in out
    assert ". The backup is made: 2 GiB.\n" in out


def test_status_of_a_failing_backup_shows_why_and_what_is_wrong_with_the_target(cli: Cli, server: Recording) -> None:
    failing = {"state": "failing", "error": "The disk is away:\x1b[31m plug it in.", "warning": "It is the same disk."}
    _shows(server, MADE | failing | {"read_error": "Part 2 is damaged."})
    out = cli("backup", "status").out
    assert "failed:      The disk is away:[31m plug it in.\n" in out
    assert "damaged:     Part 2 is damaged.\n" in out
    assert "but:         It is the same disk.\n" in out


def test_status_without_a_backup_says_how_to_set_one_up_and_is_no_failure(cli: Cli, server: Recording) -> None:
    _shows(server, NONE)
    ran = cli("backup", "status")
    assert ran.code == 0
    assert "none set up" in ran.out
    assert "backup_repository" in ran.err


def test_status_on_a_server_that_site_yml_did_not_install_says_what_to_copy(cli: Cli, server: Recording) -> None:
    _shows(server, NONE, release=None)
    assert "copy its data directory" in cli("backup", "status").err


def test_status_as_json_is_the_apis_object(cli: Cli, server: Recording) -> None:
    assert cli("backup", "status", "--json").objects() == [MADE]


def test_member_is_told_whose_matter_it_is(cli: Cli, server: Recording) -> None:
    _shows(server, None)
    ran = cli("backup", "status")
    assert (ran.code, ran.out) == (1, "")
    assert "owner" in ran.err


def test_now_asks_once_follows_to_the_end_and_says_the_backups_own_sentence(cli: Cli, server: Recording) -> None:
    _ends(server, state="done", message="The backup is made: 2 GiB.")
    ran = cli("backup", "now")
    assert (ran.code, ran.out) == (0, "The backup is made: 2 GiB.\n")
    assert server.changes == [f"POST {V1}/operations"]


def test_now_that_failed_is_told_in_one_line(cli: Cli, server: Recording) -> None:
    _ends(server, state="failed", message="Nothing is mounted at /mnt/backup: plug the disk in.")
    ran = cli("backup", "now")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1] == "nebula: Nothing is mounted at /mnt/backup: plug the disk in."


def test_now_as_json_is_the_operation(cli: Cli, server: Recording) -> None:
    _ends(server, state="done", message="The backup is made.")
    assert [one["state"] for one in cli("backup", "now", "--json").objects()] == ["done"]


def test_member_who_asks_for_one_is_refused(cli: Cli, server: Recording) -> None:
    server.answers[f"POST {V1}/operations"] = problem(403, "forbidden", "That is the owner's.")
    ran = cli("backup", "now")
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "nebula: That is the owner's.")


@pytest.mark.parametrize("words", [("backup",), ("backup", "make"), ("backup", "now", "x"), ("backup", "now", "--jsn")])
def test_a_line_that_cannot_be_meant_asks_for_nothing(cli: Cli, server: Recording, words: tuple[str, ...]) -> None:
    assert cli(*words).code == 2
    assert server.asked == []


@pytest.mark.parametrize(
    ("backup", "shown"),
    [
        (NONE, "backup:      none set up; how: nebula backup status\n"),
        (MADE | {"state": "overdue"}, "ago, see nebula backup status\n"),
        (MADE | {"running": True}, "backup:      ok, one runs just now, last "),
        (MADE | {"state": "waiting", "succeeded_at": None}, "backup:      waiting, none made yet\n"),
    ],
)
def test_nebula_status_has_a_line_for_it(cli: Cli, server: Recording, backup: dict[str, Any], shown: str) -> None:
    _shows(server, backup)
    assert shown in cli("status").out


def test_nebula_status_of_a_member_has_no_line_for_it(cli: Cli, server: Recording) -> None:
    _shows(server, None)
    assert "backup" not in cli("status").out
