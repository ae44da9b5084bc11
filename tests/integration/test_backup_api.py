"""The backup over the API, in the metrics, and by the machine's own command."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nebula import command
from nebula.api.gates import Gates
from nebula.api.metrics import exposition
from nebula.api.objects import SCHEMAS
from nebula.config import Settings
from nebula.messages import Messages
from nebula.services.machine.backups import Backups
from nebula.services.machine.status import Status
from tests.people import People
from tests.shelf import Shelf

URL = "/api/v1/status"
Told = Callable[..., int]

pytestmark = pytest.mark.usefixtures("shelf")  # a store that is prepared, as a server's is


@pytest.fixture
def tell(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """Runs `nebula-server backup STEP` with a text on stdin; returns its exit status."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def run(step: str, said: str = "") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(said))
        return command.main(["backup", step])

    return run


@pytest.fixture
def status(settings: Settings, shelf: Shelf) -> Iterator[Status]:
    messages = Messages(settings)
    made = Status(
        shelf.database, shelf.storage, messages, data_dir=settings.data_dir, reserve_bytes=settings.reserve_bytes
    )
    yield made
    made.close()
    messages.close()


def _set_up(tell: Told, **more: str) -> None:
    assert tell("set-up", json.dumps({"target": "/mnt/backup", "kept": "a week"} | more)) == 0


def test_backup_is_the_owners_to_see(people: People, tell: Told) -> None:
    _set_up(tell)
    found = people.owner.get(URL).json["backup"]
    assert set(found) == set(SCHEMAS["Backup"]["properties"])
    assert (found["state"], found["target"], found["running"]) == ("waiting", "/mnt/backup", False)
    assert people.member.get(URL).json["backup"] is None


def test_machine_without_a_backup_says_so(people: People) -> None:
    found = people.owner.get(URL).json["backup"]
    assert found.pop("state") == "none"
    assert found.pop("running") is False
    assert set(found.values()) == {None}


def test_what_the_machines_program_tells_is_what_the_owner_reads(
    people: People, tell: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    _set_up(tell, warning="It is on the same disk.")
    assert tell("hold") == 0
    assert people.owner.get(URL).json["backup"]["running"] is True
    assert tell("release") == 0
    assert tell("release") == 5
    assert tell("made", "The backup is made: 2 GiB.\n") == 0
    assert tell("read", "Part 1 of 13 was read.") == 0
    capsys.readouterr()
    assert tell("status") == 0
    shown = ["ok", "/mnt/backup", "It is on the same disk.", "The backup is made: 2 GiB.", "Part 1 of 13 was read."]
    assert capsys.readouterr().out.splitlines() == shown
    assert tell("failed", "The disk is away: plug it in.") == 0
    assert tell("status") == 1
    found = people.owner.get(URL).json["backup"]
    assert (found["state"], found["error"], found["said"]) == (
        "failing",
        "The disk is away: plug it in.",
        "The backup is made: 2 GiB.",
    )
    assert tell("forget") == 0
    assert tell("failed", "x") == 5
    assert people.owner.get(URL).json["backup"]["state"] == "none"


@pytest.mark.parametrize("given", ["", "{}", "[]", "null", '{"target": "/mnt"}', '{"target": "", "kept": "a week"}'])
def test_target_that_cannot_be_meant_changes_nothing(people: People, tell: Told, given: str) -> None:
    _set_up(tell)
    assert tell("set-up", given) == 1
    assert people.owner.get(URL).json["backup"]["target"] == "/mnt/backup"


def test_metrics_tell_when_a_backup_was_made_and_whether_it_is_overdue(shelf: Shelf, status: Status) -> None:
    assert not any("nebula_backup" in name for name, _ in _samples(status))
    backups = Backups(shelf.database)
    backups.set_up("/mnt/backup", "a week", None)
    before = _samples(status)
    assert before["nebula_backup_state", "waiting"] == 1
    assert before["nebula_backup_overdue", ""] == 0
    assert ("nebula_backup_last_success_timestamp_seconds", "") not in before
    backups.note("made", "It is made.")
    shelf.database.write(lambda tx: tx.execute("UPDATE backups SET succeeded_at = $then", then=tx.after(-49 * 3600)))
    after = _samples(status)
    assert after["nebula_backup_overdue", ""] == 1
    backup = backups.overview().backup
    assert backup is not None
    assert backup.succeeded_at is not None
    succeeded_at = after["nebula_backup_last_success_timestamp_seconds", ""]
    assert succeeded_at == pytest.approx(backup.succeeded_at.timestamp(), abs=1)


def _samples(status: Status) -> dict[tuple[str, str], float]:
    """Return the value of each metric and label, as Prometheus would read them."""
    families = text_string_to_metric_families(exposition(status, Gates()))
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }
