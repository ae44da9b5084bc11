"""What the row of a job says while its worker is held still, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from nebula.db import chunk_leases, jobs, leases
from nebula.db.database import Database, Tx
from nebula.domain.encoders import SOFTWARE
from nebula.domain.records import ChunkClaim, Claim
from nebula.domain.states import JobKind, JobState, Queue
from nebula.services.transcoding import _claim_next
from tests.contract.test_chunk_leases import VERSION as CHUNKS_VERSION
from tests.contract.test_chunk_leases import Films
from tests.rows import add_content

VERSION = 1
WHY = "on battery at 40 %"


def _add(tx: Tx, **more: Any) -> str:
    content = add_content(tx)
    return str(jobs.add(tx, content, JobKind.RENDITION, Queue.ENCODE, **more).id)


@pytest.fixture
def claim(database: Database) -> Claim:
    database.write(_add)
    claimed = database.write(lambda tx: leases.claim_next(tx, Queue.ENCODE, "n1", VERSION))
    assert claimed is not None
    return claimed


def _row(database: Database, job_id: str) -> dict[str, Any]:
    return database.read(lambda tx: tx.e.Job[job_id].to_dict())


def _pause(database: Database, claim: Claim, reason: str | None) -> bool:
    return database.write(lambda tx: leases.pause(tx, claim.job_id, claim.attempt, reason))


def _shown(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["state"], row["paused_reason"]


def test_paused_job_says_why_keeps_its_lease_and_goes_on(database: Database, claim: Claim) -> None:
    database.write(lambda tx: leases.heartbeat(tx, claim.job_id, claim.attempt, 0.4, 3.0, 60.0))
    assert _pause(database, claim, WHY)
    row = _row(database, claim.job_id)
    assert _shown(row) == (JobState.PAUSED, WHY)
    assert (row["progress"], row["speed"], row["eta_s"]) == (0.4, None, None)
    assert database.write(lambda tx: leases.heartbeat(tx, claim.job_id, claim.attempt))
    assert database.read(lambda tx: leases.is_held(tx, claim.job_id, claim.attempt))
    assert database.write(lambda tx: leases.claim_next(tx, Queue.ENCODE, "n2", VERSION)) is None
    assert _row(database, claim.job_id)["lease_until"] >= row["lease_until"]
    assert _pause(database, claim, None)
    assert _shown(_row(database, claim.job_id)) == (JobState.RUNNING, None)


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (lambda tx, claim: leases.finish(tx, claim.job_id, claim.attempt), JobState.DONE),
        (lambda tx, claim: leases.release(tx, claim.job_id, claim.attempt), JobState.QUEUED),
        (lambda tx, claim: leases.fail(tx, claim.job_id, claim.attempt, code="c", error="e"), JobState.QUEUED),
        (lambda tx, claim: leases.give_back(tx, Queue.ENCODE, "n1"), JobState.QUEUED),
        (lambda tx, claim: jobs.cancel(tx, tx.e.Job[claim.job_id]), JobState.CANCELLED),
    ],
    ids=["finish", "release", "fail", "give back", "cancel"],
)
def test_reason_goes_with_the_pause(database: Database, claim: Claim, ending: Any, state: JobState) -> None:
    _pause(database, claim, WHY)
    database.write(lambda tx: ending(tx, claim))
    assert _shown(_row(database, claim.job_id)) == (state, None)


def test_attempt_that_lost_its_job_pauses_nothing(database: Database, claim: Claim) -> None:
    database.write(lambda tx: leases.give_back(tx, Queue.ENCODE, "n1"))
    assert not _pause(database, claim, WHY)
    assert _shown(_row(database, claim.job_id)) == (JobState.QUEUED, None)


@pytest.fixture
def films(database: Database) -> Films:
    made = Films(database)
    made.add()
    return made


def _pause_chunk(films: Films, claim: ChunkClaim, reason: str | None) -> bool:
    return films.database.write(lambda tx: chunk_leases.pause(tx, claim, reason))


def test_film_in_chunks_is_paused_when_everyone_who_makes_it_is(films: Films) -> None:
    first, second = films.claimed("n1"), films.claimed("n2")
    assert _pause_chunk(films, first, WHY)
    assert _shown(films.job()) == (JobState.RUNNING, None)
    assert _pause_chunk(films, second, WHY)
    assert _shown(films.job()) == (JobState.PAUSED, WHY)
    assert films.job()["node"] == "n1, n2"
    assert _pause_chunk(films, first, None)
    assert _shown(films.job()) == (JobState.RUNNING, None)


def test_another_node_goes_on_with_a_film_whose_first_is_paused(films: Films) -> None:
    _pause_chunk(films, films.claimed("n1"), WHY)
    assert _shown(films.job()) == (JobState.PAUSED, WHY)
    assert films.claim("n2") is not None
    assert _shown(films.job()) == (JobState.RUNNING, None)


def test_chunk_that_was_given_back_is_paused_no_more(films: Films) -> None:
    claim = films.claimed()
    _pause_chunk(films, claim, WHY)
    films.database.write(lambda tx: chunk_leases.release(tx, claim))
    assert _shown(films.job()) == (JobState.QUEUED, None)
    assert not _pause_chunk(films, claim, WHY)
    films.claimed()
    assert _shown(films.job()) == (JobState.RUNNING, None)


def test_paused_chunk_that_was_done_meanwhile_counts(films: Films) -> None:
    claim = films.claimed()
    _pause_chunk(films, claim, WHY)
    films.finish(claim)
    assert _shown(films.job()) == (JobState.QUEUED, None)
    assert films.job()["chunks_done"] == 1


def _claimed(tx: Tx, lower_rungs: bool) -> Claim | ChunkClaim | None:
    return _claim_next(tx, Queue.ENCODE, "n1", SOFTWARE, lower_rungs=lower_rungs)


@pytest.mark.parametrize("lower_rungs", [True, False])
def test_lower_rung_is_claimed_only_where_everything_may_run(database: Database, lower_rungs: bool) -> None:
    def claimed() -> list[str]:
        found = []
        while claim := database.write(lambda tx: _claimed(tx, lower_rungs)):
            assert isinstance(claim, Claim)
            found.append(claim.job_id)
        return found

    lower = database.write(lambda tx: _add(tx, priority=jobs.LOWER_PRIORITY))
    first = database.write(_add)
    assert claimed() == ([first, lower] if lower_rungs else [first])


@pytest.mark.parametrize("lower_rungs", [True, False])
def test_chunks_of_a_lower_rung_are_claimed_only_where_everything_may_run(
    films: Films, lower_rungs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nebula.domain.plan.VERSION", CHUNKS_VERSION)
    films.database.write(lambda tx: tx.execute(f"UPDATE jobs SET priority = {jobs.LOWER_PRIORITY + 1}"))
    claim = films.database.write(lambda tx: _claimed(tx, lower_rungs))
    assert (claim is not None) == lower_rungs
