"""Purge holds by the database's clock, and what is noted of the backup, on both databases."""

from __future__ import annotations

import pytest

from nebula.db import backups, objects
from nebula.db.database import Database, Tx
from nebula.domain.states import BackupState
from nebula.errors import InvalidInput, NotFound
from nebula.services.machine.backups import HOLDER, Backups

TARGET = ("/mnt/backup/nebula", "the last one of each of 7 days", None)


@pytest.fixture
def service(database: Database) -> Backups:
    return Backups(database)


@pytest.fixture
def set_up(service: Backups) -> Backups:
    service.set_up(*TARGET)
    return service


def _due(database: Database) -> list[str]:
    return database.read(objects.due_objects)


def _run_out(tx: Tx) -> None:
    tx.execute("UPDATE purge_holds SET held_until = $past WHERE holder = $holder", past=tx.after(-1), holder=HOLDER)


def test_nothing_is_due_while_a_hold_lasts_and_everything_that_was_afterwards(
    database: Database, service: Backups
) -> None:
    database.write(lambda tx: objects.doom(tx, "originals/a", after_s=-1))
    assert _due(database) == ["originals/a"]
    service.hold()
    assert _due(database) == []
    database.write(lambda tx: objects.doom(tx, "originals/b", after_s=-1))
    assert service.overview().is_running
    service.release()
    assert sorted(_due(database)) == ["originals/a", "originals/b"]
    assert not service.overview().is_running


def test_hold_runs_out_by_the_databases_clock_where_nobody_renews_it(database: Database, service: Backups) -> None:
    database.write(lambda tx: objects.doom(tx, "originals/a", after_s=-1))
    service.hold()
    database.write(_run_out)
    assert _due(database) == ["originals/a"]
    with pytest.raises(NotFound):
        service.release()
    service.hold()
    database.write(_run_out)
    service.hold()
    assert _due(database) == []
    service.release()


def test_holds_of_two_holders_do_not_end_each_other(database: Database, service: Backups) -> None:
    database.write(lambda tx: objects.doom(tx, "originals/a", after_s=-1))
    database.write(lambda tx: backups.hold(tx, "another", 60))
    service.hold()
    service.release()
    assert _due(database) == []
    assert database.write(lambda tx: backups.release(tx, "another"))
    assert _due(database) == ["originals/a"]


def test_release_without_a_hold_is_told(service: Backups) -> None:
    with pytest.raises(NotFound):
        service.release()


def test_machine_without_a_backup_says_so_and_nothing_can_be_noted(service: Backups) -> None:
    found = service.overview()
    assert (found.state, found.backup) == (BackupState.NONE, None)
    for step in ("made", "failed", "read", "unreadable"):
        with pytest.raises(NotFound):
            service.note(step, "x")


def test_failure_is_noted_beside_the_last_success_and_goes_with_the_next(set_up: Backups) -> None:
    set_up.note("made", "The backup is made.")
    made = set_up.overview()
    assert made.state is BackupState.OK
    set_up.note("failed", "The disk is away.")
    failed = set_up.overview()
    assert failed.state is BackupState.FAILING
    assert made.backup is not None
    assert failed.backup is not None
    assert (failed.backup.error, failed.backup.said) == ("The disk is away.", "The backup is made.")
    assert failed.backup.succeeded_at == made.backup.succeeded_at
    assert failed.backup.tried_at is not None
    set_up.note("made", "Again.")
    again = set_up.overview()
    assert again.backup is not None
    assert (again.state, again.backup.error) == (BackupState.OK, None)


def test_damage_stays_noted_until_it_was_read_again_and_is_whole(set_up: Backups) -> None:
    set_up.note("unreadable", "Part 1 is damaged.")
    set_up.note("made", "The backup is made.")
    assert set_up.overview().state is BackupState.FAILING
    set_up.note("read", "Part 1 is whole.")
    found = set_up.overview()
    assert found.state is BackupState.OK
    assert found.backup is not None
    assert found.backup.read_at is not None


def test_same_target_again_keeps_what_was_noted_and_another_begins_anew(set_up: Backups) -> None:
    set_up.note("made", "The backup is made.")
    set_up.set_up(TARGET[0], "another time", "it is on the same disk")
    found = set_up.overview()
    assert found.backup is not None
    assert (found.state, found.backup.kept, found.backup.warning) == (
        BackupState.OK,
        "another time",
        "it is on the same disk",
    )
    set_up.set_up("s3:https://s3.example.com/backups", *TARGET[1:])
    assert set_up.overview().state is BackupState.WAITING
    set_up.forget()
    assert set_up.overview().state is BackupState.NONE


def test_target_needs_a_name(service: Backups) -> None:
    with pytest.raises(InvalidInput):
        service.set_up("", "a week", None)
