"""Tasks: claims, leases and attempts, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nebula.db import nodes
from nebula.db.database import Database, Tx
from nebula.db.work import jobs, tasks
from nebula.domain.limits import LEASE_S, MAX_FAILURES, MAX_INTERRUPTIONS
from nebula.domain.states import JOB_MOVES, FileState, JobState, Queue, TaskKind
from nebula.domain.work import Claim, Claimant, Failure, NewJob, NewTask, TaskAttempt
from nebula.errors import Conflict, Superseded
from tests.rows import add_content

VERSION = 1
LATER = itertools.count()


def _add_jobs(database: Database, number: int = 1, kind: str = TaskKind.PROBE, **more: Any) -> list[str]:
    def work(tx: Tx) -> str:
        job_id = jobs.add(tx, add_content(tx), NewJob(NewTask(kind, queue=Queue.QUICK, **more)))
        # SQLite's clock has milliseconds: the order must not depend on them.
        moment = tx.after(next(LATER) - 1000)
        for table, column in (("jobs", "id"), ("tasks", "job_id")):
            tx.execute(f"UPDATE {table} SET created_at = $moment WHERE {column} = $id", moment=moment, id=job_id)
        return job_id

    return [database.write(work) for _ in range(number)]


def _claim(database: Database, node: str = "n1", queue: Queue = Queue.QUICK) -> Claim | None:
    return database.write(lambda tx: tasks.claim_next(tx, Claimant(node, queue, VERSION)))


def _claimed(database: Database, node: str = "n1") -> Claim:
    claim = _claim(database, node)
    assert claim is not None
    return claim


def _row(database: Database, job_id: str) -> dict[str, Any]:
    def work(tx: Tx) -> dict[str, Any]:
        row = tx.e.Job[job_id]
        return row.to_dict() | {"content_state": row.content.state}

    return database.read(work)


def _set_state(database: Database, job_id: str, state: JobState) -> None:
    def work(tx: Tx) -> None:
        tx.execute("UPDATE jobs SET state = $state WHERE id = $id", state=state.value, id=job_id)
        tx.execute("UPDATE tasks SET state = $state WHERE job_id = $id", state=state.value, id=job_id)

    database.write(work)


def _run_out(database: Database, job_id: str) -> None:
    sql = "UPDATE tasks SET lease_until = $past WHERE job_id = $id"
    database.write(lambda tx: tx.execute(sql, past=tx.after(-1), id=job_id))


def _shown(interrupted: list[TaskAttempt]) -> list[tuple[str, int]]:
    return [(each.job_id, each.attempt) for each in interrupted]


def _of(database: Database, job_id: str) -> Claim:
    """Return the job's only task as a worker would hold it that claimed it by its present attempt."""

    def work(tx: Tx) -> Claim:
        return tasks.claim_record(tx, tx.select("SELECT id, kind FROM tasks WHERE job_id = $id", id=job_id)[0][0])

    return database.read(work)


def test_each_job_is_claimed_once_when_many_threads_race(database: Database) -> None:
    added = _add_jobs(database, 24)

    def take(_: int) -> list[str]:
        taken = []
        while claim := _claim(database):
            taken.append(claim.job_id)
        return taken

    with ThreadPoolExecutor(6) as threads:
        taken = [job_id for part in threads.map(take, range(6)) for job_id in part]
    assert sorted(taken) == sorted(added)


def test_claims_race_between_processes_connections_too(postgresql_url: str) -> None:
    first, second = Database(postgresql_url, threads=4), Database(postgresql_url, threads=4)
    added = _add_jobs(first, 12)
    taken: list[str] = []

    def take(database: Database) -> None:
        while claim := _claim(database):
            taken.append(claim.job_id)

    threads = [threading.Thread(target=take, args=(database,)) for database in (first, second, first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first.close()
    second.close()
    assert sorted(taken) == sorted(added)


def test_claim_takes_lowest_priority_first_and_then_the_oldest(database: Database) -> None:
    (rendition,) = _add_jobs(database, kind=TaskKind.MAKE_WHOLE)
    first, second = _add_jobs(database, 2)
    assert [_claimed(database).job_id for _ in range(3)] == [first, second, rendition]
    assert _claim(database) is None


def test_claim_raises_the_attempt_and_sets_the_lease_by_the_databases_clock(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    assert _claimed(database).attempt == 1
    now = database.read(lambda tx: tx.now)
    row = _row(database, job_id)
    assert (row["state"], row["node"]) == (JobState.RUNNING, "n1")
    assert LEASE_S - 30 < (row["lease_until"] - now).total_seconds() <= LEASE_S


def test_claim_leaves_plans_of_another_version_alone(database: Database) -> None:
    _add_jobs(database, plan_version=VERSION + 1)
    (older,) = _add_jobs(database, plan_version=VERSION - 1)
    (own,) = _add_jobs(database, plan_version=VERSION)
    assert _claimed(database).job_id == own
    assert _claim(database) is None
    assert [claim.job_id for claim in database.read(lambda tx: tasks.planned_before(tx, VERSION))] == [older]


def test_heartbeat_renews_the_lease_and_notes_progress(database: Database) -> None:
    (job_id,) = _add_jobs(database, media_s=120.0)
    claim = _claimed(database)
    _run_out(database, job_id)
    assert database.write(lambda tx: tasks.heartbeat(tx, claim, 0.5, 2.0))
    assert database.write(tasks.expire) == []
    row = _row(database, job_id)
    assert (row["progress"], row["speed"], row["eta_s"]) == (0.5, 2.0, 30.0)
    assert database.write(lambda tx: tasks.heartbeat(tx, claim))
    assert _row(database, job_id)["progress"] == 0.5


def test_job_waits_again_when_its_lease_ran_out(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    _claimed(database)
    assert database.write(tasks.expire) == []
    _run_out(database, job_id)
    assert _shown(database.write(tasks.expire)) == [(job_id, 1)]
    row = _row(database, job_id)
    assert (row["state"], row["failures"], row["interruptions"]) == (JobState.QUEUED, 0, 1)
    assert _claimed(database, "n2").attempt == 2


LATE: dict[str, Callable[[Tx, Claim], Any]] = {
    "finish": tasks.finish,
    "fail": lambda tx, claim: tasks.fail(tx, claim, Failure("x", "x", is_permanent=True)),
    "release": tasks.release,
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("taken_again", [False, True])
def test_late_attempt_changes_nothing_after_its_lease_ran_out(database: Database, late: str, taken_again: bool) -> None:
    (job_id,) = _add_jobs(database)
    claim = _claimed(database)
    _run_out(database, job_id)
    database.write(tasks.expire)
    if taken_again:
        _claimed(database, "n2")
    before = _row(database, job_id)
    with pytest.raises(Superseded):
        database.write(lambda tx: LATE[late](tx, claim))
    assert not database.write(lambda tx: tasks.heartbeat(tx, claim, 0.9))
    assert not database.write(lambda tx: tasks.pause(tx, claim, "late"))
    assert not database.read(lambda tx: tasks.is_held(tx, claim))
    database.write(lambda tx: tasks.note(tx, claim, command="late"))
    assert _row(database, job_id) == before


def test_late_attempt_changes_nothing_when_the_job_was_cancelled(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    claim = _claimed(database)
    database.write(lambda tx: jobs.cancel(tx, job_id))
    assert not database.write(lambda tx: tasks.heartbeat(tx, claim))
    with pytest.raises(Superseded):
        database.write(lambda tx: tasks.finish(tx, claim))
    row = _row(database, job_id)
    assert (row["state"], row["content_state"]) == (JobState.CANCELLED, FileState.STORED)


def test_give_back_takes_only_what_this_nodes_worker_of_the_queue_holds(database: Database) -> None:
    mine, other = _add_jobs(database, 2)
    _claimed(database, "n1")
    _claimed(database, "n2")
    assert database.write(lambda tx: tasks.give_back(tx, Queue.ENCODE, "n1")) == []
    assert _shown(database.write(lambda tx: tasks.give_back(tx, Queue.QUICK, "n1"))) == [(mine, 1)]
    assert _row(database, mine)["state"] == JobState.QUEUED
    assert _row(database, other)["state"] == JobState.RUNNING


def test_job_fails_when_its_attempts_kept_dying(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    for _ in range(MAX_INTERRUPTIONS):
        _claimed(database)
        database.write(lambda tx: tasks.give_back(tx, Queue.QUICK, "n1"))
    assert _row(database, job_id)["state"] == JobState.QUEUED
    _claimed(database)
    database.write(lambda tx: tasks.give_back(tx, Queue.QUICK, "n1"))
    row = _row(database, job_id)
    assert (row["state"], row["error_code"]) == (JobState.FAILED, "kept_dying")
    assert row["content_state"] == FileState.FAILED
    attempt = _row(database, job_id)["attempt"]
    database.write(lambda tx: jobs.requeue(tx, job_id))
    for _ in range(MAX_INTERRUPTIONS):
        assert _claimed(database).attempt > attempt
        database.write(lambda tx: tasks.give_back(tx, Queue.QUICK, "n1"))
    assert _row(database, job_id)["state"] == JobState.QUEUED, "a retry has its full budget"


def _fail(database: Database, claim: Claim, permanent: bool = False) -> JobState:
    return database.write(lambda tx: tasks.fail(tx, claim, Failure("c", "why", is_permanent=permanent)))


def _skip_delay(database: Database) -> None:
    database.write(lambda tx: tx.execute("UPDATE tasks SET not_before = NULL WHERE state = 'queued'"))


def test_failures_are_tried_again_later_and_are_bounded(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    for _ in range(MAX_FAILURES - 1):
        assert _fail(database, _claimed(database)) is JobState.QUEUED
        assert _claim(database) is None, "the next try must wait a while"
        assert _row(database, job_id)["error"] == "why"
        _skip_delay(database)
    assert _fail(database, _claimed(database)) is JobState.FAILED
    row = _row(database, job_id)
    assert (row["state"], row["content_state"], row["error_code"]) == (JobState.FAILED, FileState.FAILED, "c")


def test_permanent_failure_is_not_tried_again(database: Database) -> None:
    _add_jobs(database)
    assert _fail(database, _claimed(database), permanent=True) is JobState.FAILED


def test_failure_leaves_a_content_ready_that_can_be_played(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    claim = _claimed(database)
    database.write(lambda tx: tx.e.Job[job_id].content.set(state=FileState.READY))
    _fail(database, claim, permanent=True)
    assert _row(database, job_id)["content_state"] == FileState.READY


def test_released_job_waits_with_its_reason_and_counts_no_failure(database: Database) -> None:
    (job_id,) = _add_jobs(database)
    claim = _claimed(database)
    database.write(lambda tx: tasks.release(tx, claim, Failure("no_room", "full"), delay_s=60))
    row = _row(database, job_id)
    assert (row["state"], row["error_code"], row["error"]) == (JobState.QUEUED, "no_room", "full")
    assert (row["failures"], row["interruptions"], row["content_state"]) == (0, 0, FileState.PROCESSING)
    assert _claim(database) is None
    assert database.read(tasks.waiting_queues) == []
    _skip_delay(database)
    assert database.read(tasks.waiting_queues) == [Queue.QUICK]
    assert _claimed(database).attempt == 2
    assert _row(database, job_id)["error"] is None


def test_waiting_queues_leaves_out_one_in_which_a_job_runs(database: Database) -> None:
    _add_jobs(database, 2)
    assert database.read(tasks.waiting_queues) == [Queue.QUICK]
    _claimed(database)
    assert database.read(tasks.waiting_queues) == []


@pytest.mark.parametrize("state", JobState)
def test_cancel_and_retry_keep_to_the_table_of_moves(database: Database, state: JobState) -> None:
    may_cancel = JobState.CANCELLED in JOB_MOVES[state]
    may_retry = state in {JobState.FAILED, JobState.CANCELLED}
    for move, allowed, target in [
        (jobs.cancel, may_cancel, JobState.CANCELLED),
        (jobs.requeue, may_retry, JobState.QUEUED),
    ]:
        (job_id,) = _add_jobs(database)
        _set_state(database, job_id, state)
        if not allowed:
            with pytest.raises(Conflict):
                database.write(lambda tx, move=move, job_id=job_id: move(tx, job_id))  # type: ignore[misc]
            assert _row(database, job_id)["state"] == state
            continue
        database.write(lambda tx, move=move, job_id=job_id: move(tx, job_id))  # type: ignore[misc]
        row = _row(database, job_id)
        assert (row["state"], row["attempt"]) == (target, 1)


WORKERS_MOVES: list[tuple[JobState, JobState, Callable[[Tx, Claim], Any]]] = [
    (JobState.RUNNING, JobState.DONE, LATE["finish"]),
    (JobState.PAUSED, JobState.DONE, LATE["finish"]),
    (JobState.RUNNING, JobState.FAILED, LATE["fail"]),
    (JobState.RUNNING, JobState.QUEUED, LATE["release"]),
    (JobState.PAUSED, JobState.QUEUED, LATE["release"]),
    (JobState.PAUSED, JobState.FAILED, LATE["fail"]),
]


@pytest.mark.parametrize(("source", "target", "move"), WORKERS_MOVES)
def test_worker_moves_along_the_table(
    database: Database, source: JobState, target: JobState, move: Callable[[Tx, Claim], Any]
) -> None:
    assert target in JOB_MOVES[source]
    (job_id,) = _add_jobs(database)
    _set_state(database, job_id, source)
    database.write(lambda tx: move(tx, _of(database, job_id)))
    assert _row(database, job_id)["state"] == target


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.DONE, JobState.FAILED, JobState.CANCELLED])
@pytest.mark.parametrize("late", LATE)
def test_worker_moves_nothing_that_it_does_not_hold(database: Database, state: JobState, late: str) -> None:
    (job_id,) = _add_jobs(database)
    _set_state(database, job_id, state)
    claim = _of(database, job_id)
    with pytest.raises(Superseded):
        database.write(lambda tx: LATE[late](tx, claim))
    assert _row(database, job_id)["state"] == state


def test_cancel_does_not_undo_a_publication_that_came_between(postgresql_url: str) -> None:
    """The API loads the row, the worker publishes, the API cancels: the film must stay."""
    api, worker = Database(postgresql_url), Database(postgresql_url)
    (job_id,) = _add_jobs(api)
    claim = _claimed(worker)

    def publish(tx: Tx) -> None:
        tasks.finish(tx, claim)
        tx.e.Job[job_id].content.set(state=FileState.READY)

    def cancel(tx: Tx) -> None:
        row = tx.e.Job[job_id]
        assert row.state == JobState.RUNNING
        assert row.content.state == FileState.PROCESSING
        worker.write(publish)
        jobs.cancel(tx, job_id)

    with pytest.raises(Conflict):
        api.write(cancel)
    row = _row(api, job_id)
    assert (row["state"], row["content_state"]) == (JobState.DONE, FileState.READY)
    api.close()
    worker.close()


def test_node_is_one_row_whatever_process_writes_it(database: Database) -> None:
    database.write(lambda tx: nodes.register(tx, "n1", "1.0"))
    database.write(lambda tx: nodes.register(tx, "n1", "1.1"))
    database.write(lambda tx: nodes.note_encoder(tx, "n1", "libx264"))
    database.write(lambda tx: nodes.note_viewers(tx, "n1", 3))
    database.write(lambda tx: nodes.note_seen(tx, "n1"))
    (node,) = database.read(nodes.all_nodes)
    assert (node.name, node.version, node.encoder, node.viewers) == ("n1", "1.1", "libx264", 3)
    assert node.seen_at >= node.started_at


def _first_and_lower(database: Database) -> tuple[str, str]:
    """Queue a film's job, and that of a lower rung."""

    def work(tx: Tx) -> tuple[str, str]:
        content = add_content(tx)
        first = jobs.add(tx, content, NewJob(NewTask(TaskKind.MAKE_WHOLE)))
        lower = jobs.add(tx, content, NewJob(NewTask(TaskKind.MAKE_WHOLE), rank=jobs.LOWER_RANK))
        return first, lower

    return database.write(work)


END: dict[FileState, Callable[[Tx, str], Any]] = {
    FileState.STORED: lambda tx, job_id: jobs.cancel(tx, job_id),
    FileState.FAILED: lambda tx, job_id: jobs.fail(tx, job_id, Failure("c", "e")),
}


@pytest.mark.parametrize("state", END)
def test_film_is_still_being_made_when_its_lower_rung_has_ended(database: Database, state: FileState) -> None:
    first, lower = _first_and_lower(database)
    database.write(lambda tx: END[state](tx, lower))
    assert _row(database, first)["content_state"] == FileState.PROCESSING
    database.write(lambda tx: END[state](tx, first))
    assert _row(database, first)["content_state"] == state


@pytest.mark.parametrize("state", END)
def test_lower_rung_decides_when_nothing_else_is_made_of_a_film(database: Database, state: FileState) -> None:
    first, lower = _first_and_lower(database)
    database.write(lambda tx: END[state](tx, first))
    database.write(lambda tx: tx.e.Job[lower].content.set(state=FileState.PROCESSING))  # as a retry of it does
    database.write(lambda tx: END[state](tx, lower))
    assert _row(database, first)["content_state"] == state
