"""Operations over the API: the owner asks, a row and an id are all that comes of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nebula import command
from nebula.api.objects import SCHEMAS
from nebula.config import Settings
from nebula.db import nodes, operations
from nebula.db.database import Database
from nebula.domain.limits import OPERATIONS_KEPT
from nebula.domain.records import Operation
from nebula.domain.states import OperationKind, OperationState
from nebula.services.machine.operations import Operations, running_release
from tests.people import People
from tests.shelf import Shelf

URL = "/api/v1/operations"


@pytest.fixture
def environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "spool").mkdir()
    return environ | {"NEBULA_SPOOL_DIR": str(tmp_path / "spool")}


@pytest.fixture
def spool(environ: dict[str, str]) -> Path:
    return Path(environ["NEBULA_SPOOL_DIR"])


@pytest.mark.parametrize("kind", ["backup", "rollback"])
def test_request_is_a_row_and_its_id_in_the_spool_and_nothing_else(people: People, spool: Path, kind: str) -> None:
    answer = people.owner.post(URL, json={"kind": kind})
    assert answer.status_code == 202
    assert set(answer.json) == set(SCHEMAS["Operation"]["properties"])
    assert (answer.json["kind"], answer.json["state"], answer.json["asked_by"]) == (kind, "queued", "owner")
    (entry,) = spool.iterdir()
    assert (entry.name, entry.stat().st_size) == (answer.json["id"], 0)
    assert people.owner.get(URL).json["items"] == [answer.json]


def test_second_request_is_answered_with_the_first_and_writes_its_id_again(people: People, spool: Path) -> None:
    first = people.owner.post(URL, json={"kind": "rollback"}).json["id"]
    (spool / first).unlink()  # lost, or never written
    assert people.owner.post(URL, json={"kind": "rollback"}).json["id"] == first
    assert [entry.name for entry in spool.iterdir()] == [first]
    assert people.owner.post(URL, json={"kind": "backup"}).json["id"] != first


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "deploy"}, "invalid_kind"),
        ({"kind": "shell"}, "invalid_field"),
        ({"kind": "../../etc"}, "invalid_field"),
        ({}, "missing_field"),
        ({"kind": "backup", "command": "id"}, "unknown_field"),
    ],
)
def test_nothing_else_can_be_asked_for(people: People, spool: Path, body: dict[str, str], code: str) -> None:
    answer = people.owner.post(URL, json=body)
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert list(spool.iterdir()) == []
    assert people.owner.get(URL).json["items"] == []


def test_operations_are_the_owners(people: People, spool: Path) -> None:
    for person, status in ((people.member, 403), (people.anonymous, 401)):
        assert person.get(URL).status_code == status
        assert person.post(URL, json={"kind": "backup"}).status_code == status
    assert list(spool.iterdir()) == []


def test_machine_that_was_not_provisioned_says_so(people: People, spool: Path) -> None:
    spool.rmdir()
    answer = people.owner.post(URL, json={"kind": "rollback"})
    assert (answer.status_code, answer.json["code"]) == (409, "not_provisioned")
    assert people.owner.get(URL).json["items"] == []


def test_listing_is_not_sent_again_while_nothing_changed(people: People, spool: Path) -> None:
    people.owner.post(URL, json={"kind": "backup"})
    etag = people.owner.get(URL).headers["ETag"]
    assert people.owner.get(URL, headers={"If-None-Match": etag}).status_code == 304


def test_status_names_the_release_that_runs(
    people: People, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert people.owner.get("/api/v1/status").json["release"] is None
    monkeypatch.setattr("sys.prefix", str(tmp_path / "releases/20260101100000-abc/venv"))
    assert running_release() == "20260101100000-abc"


def test_deployer_takes_a_request_once_and_notes_how_it_ended(
    environ: dict[str, str],
    people: People,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = people.owner.post(URL, json={"kind": "rollback"}).json["id"]
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert command.main(["operation", "take", asked]) == 0
    assert capsys.readouterr().out == '{"kind": "rollback"}\n'
    assert command.main(["operation", "take", asked]) == 5
    monkeypatch.setattr("sys.stdin", _said("It serves again.\n"))
    assert command.main(["operation", "end", asked, "done", "20260101100000-abc"]) == 0
    (row,) = people.owner.get(URL).json["items"]
    assert (row["state"], row["message"], row["release"]) == ("done", "It serves again.", "20260101100000-abc")
    assert command.main(["operation", "end", asked, "failed"]) == 5
    assert command.main(["operation", "end", asked]) == 1


def test_deployer_notes_a_push(
    environ: dict[str, str], people: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert command.main(["operation", "begin", "ab" * 20]) == 0
    row = capsys.readouterr().out.strip()
    (found,) = people.owner.get(URL).json["items"]
    assert (found["id"], found["kind"], found["state"]) == (row, "deploy", "running")
    assert (found["asked_by"], found["commit"]) == ("push", "ab" * 20)


def test_operation_that_a_power_cut_ended_is_not_running_for_ever(database: Database) -> None:
    service = Operations(database, spool=None)
    cut_off, again = service.begin("ab" * 20), service.begin("ab" * 20)
    assert [(row.id, row.state) for row in service.latest()] == [
        (again.id, OperationState.RUNNING),
        (cut_off.id, OperationState.FAILED),
    ]


def test_nodes_are_listed_one_a_line(
    environ: dict[str, str],
    settings: Settings,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = Database(settings.database_url, threads=1)
    for name in ("test-node", "spare"):
        database.write(lambda tx, name=name: nodes.register(tx, name, "1.0"))
    database.close()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert command.main(["nodes"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["test-node"].endswith("(this one)")
    assert len(lines["spare"].split()) == 3


def test_old_operations_are_forgotten(database: Database) -> None:
    service = Operations(database, spool=None)

    def fill(tx: object) -> None:
        for _ in range(OPERATIONS_KEPT):
            operations.add(tx, OperationKind.BACKUP, "owner")  # type: ignore[arg-type]

    database.write(fill)
    last: Operation = service.begin("ab" * 20)
    service.end(last.id, OperationState.FAILED, "no", None)
    kept = database.read(lambda tx: operations.latest(tx, OPERATIONS_KEPT + 10))
    assert len(kept) == OPERATIONS_KEPT
    assert kept[0].id == last.id


def _said(text: str) -> object:
    return io.StringIO(text)
