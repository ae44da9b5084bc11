"""What the row of a job says while its worker is held still, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from nebula.db.database import Database, Tx
from nebula.db.work import jobs, tasks
from nebula.domain.states import JobState, Queue, TaskKind
from nebula.domain.work import Claim, Claimant, Failure, NewJob, NewTask
from tests.contract.test_film_chunks import Films
from tests.rows import add_content

VERSION = 1
WHY = "on battery at 40 %"


def _add(tx: Tx, rank: int = 0) -> str:
    return jobs.add(tx, add_content(tx), NewJob(NewTask(TaskKind.MAKE_WHOLE), rank=rank))


def _claim(database: Database, node: str = "n1", may_run_all: bool = True) -> Claim | None:
    claimant = Claimant(node, Queue.ENCODE, VERSION, may_run_all=may_run_all)
    return database.write(lambda tx: tasks.claim_next(tx, claimant))


@pytest.fixture
def claim(database: Database) -> Claim:
    database.write(_add)
    claimed = _claim(database)
    assert claimed is not None
    return claimed


def _row(database: Database, job_id: str) -> dict[str, Any]:
    return database.read(lambda tx: tx.e.Job[job_id].to_dict())


def _pause(database: Database, claim: Claim, reason: str | None) -> bool:
    return database.write(lambda tx: tasks.pause(tx, claim, reason))


def _shown(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["state"], row["paused_reason"]


def test_paused_job_says_why_keeps_its_lease_and_goes_on(database: Database, claim: Claim) -> None:
    database.write(lambda tx: tasks.heartbeat(tx, claim, 0.4, 3.0))
    assert _pause(database, claim, WHY)
    row = _row(database, claim.job_id)
    assert _shown(row) == (JobState.PAUSED, WHY)
    assert (row["progress"], row["speed"], row["eta_s"]) == (0.4, None, None)
    assert database.write(lambda tx: tasks.heartbeat(tx, claim))
    assert database.read(lambda tx: tasks.is_held(tx, claim))
    assert _claim(database, "n2") is None
    assert _row(database, claim.job_id)["lease_until"] >= row["lease_until"]
    assert _pause(database, claim, None)
    assert _shown(_row(database, claim.job_id)) == (JobState.RUNNING, None)


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (tasks.finish, JobState.DONE),
        (tasks.release, JobState.QUEUED),
        (lambda tx, claim: tasks.fail(tx, claim, Failure("c", "e")), JobState.QUEUED),
        (lambda tx, claim: tasks.give_back(tx, Queue.ENCODE, "n1"), JobState.QUEUED),
        (lambda tx, claim: jobs.cancel(tx, claim.job_id), JobState.CANCELLED),
    ],
    ids=["finish", "release", "fail", "give back", "cancel"],
)
def test_reason_goes_with_the_pause(database: Database, claim: Claim, ending: Any, state: JobState) -> None:
    _pause(database, claim, WHY)
    database.write(lambda tx: ending(tx, claim))
    assert _shown(_row(database, claim.job_id)) == (state, None)


def test_attempt_that_lost_its_job_pauses_nothing(database: Database, claim: Claim) -> None:
    database.write(lambda tx: tasks.give_back(tx, Queue.ENCODE, "n1"))
    assert not _pause(database, claim, WHY)
    assert _shown(_row(database, claim.job_id)) == (JobState.QUEUED, None)


@pytest.fixture
def films(database: Database) -> Films:
    made = Films(database)
    made.add()
    return made


def _pause_chunk(films: Films, claim: Claim, reason: str | None) -> bool:
    return films.database.write(lambda tx: tasks.pause(tx, claim, reason))


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
    films.database.write(lambda tx: tasks.release(tx, claim))
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


@pytest.mark.parametrize("may_run_all", [True, False])
def test_lower_rung_is_claimed_only_if_everything_may_run(database: Database, may_run_all: bool) -> None:
    lower = database.write(lambda tx: _add(tx, rank=jobs.LOWER_RANK))
    first = database.write(_add)
    claims = [_claim(database, may_run_all=may_run_all) for _ in range(2)]
    assert [claim.job_id for claim in claims if claim] == ([first, lower] if may_run_all else [first])


@pytest.mark.parametrize("may_run_all", [True, False])
def test_chunks_of_a_lower_rung_are_claimed_only_if_everything_may_run(database: Database, may_run_all: bool) -> None:
    Films(database).add(rank=jobs.LOWER_RANK + 2)
    assert (_claim(database, may_run_all=may_run_all) is not None) == may_run_all


def test_reason_of_a_pause_may_change_while_it_lasts(database: Database, claim: Claim) -> None:
    assert _pause(database, claim, WHY)
    assert _pause(database, claim, "on battery at 39 %")
    assert _shown(_row(database, claim.job_id)) == (JobState.PAUSED, "on battery at 39 %")
