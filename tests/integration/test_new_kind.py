"""A new kind of work is a row in the table of kinds and a handler, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from nebula.db.work import jobs, rows, tasks
from nebula.domain.kinds import KINDS, Kind
from nebula.domain.records import Principal
from nebula.domain.states import FileState, JobState, Queue, Role, TaskKind
from nebula.domain.work import Claimant, NewJob, NewTask, TaskAttempt
from nebula.errors import FfmpegFailed
from nebula.services.films.attempt import Attempt
from nebula.services.jobs import Jobs
from tests.films import Bench, Clips

TOY = "toy"
pytestmark = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


class Toys:
    """The handler of a toy kind: notes what it is given, finishes its task or breaks."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.payloads: list[str | None] = []
        self.error: Exception | None = None

    def __call__(self, attempt: Attempt) -> None:
        self.payloads.append(attempt.claim.payload)
        if self.error is not None:
            raise self.error
        self.bench.database.write(lambda tx: tasks.finish(tx, attempt.claim))

    def add(self, content_id: str, **more: Any) -> str:
        return self.bench.database.write(lambda tx: jobs.add(tx, content_id, NewJob(NewTask(TOY, **more))))

    def job(self, job_id: str) -> dict[str, Any]:
        return self.bench.database.read(lambda tx: tx.e.Job[job_id].to_dict())

    def claim(self, **more: Any) -> Any:
        claimant = Claimant("n1", KINDS[TOY].queue, 1, **more)
        return self.bench.database.write(lambda tx: tasks.claim_next(tx, claimant))


@pytest.fixture
def toys(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Toys:
    monkeypatch.setitem(KINDS, TOY, Kind(TOY, Queue.QUICK, 5, lease_s=30))
    made = Toys(bench)
    bench.transcoding.handlers[TOY] = made
    return made


def test_task_of_a_new_kind_is_done_by_its_handler_and_shown_as_a_job(bench: Bench, toys: Toys, clips: Clips) -> None:
    content_id = bench.store(clips["photo.png"])
    job_id = toys.add(content_id, payload="{}")
    assert bench.run(), "the probe has the lower number"
    assert toys.payloads == []
    assert bench.run()
    assert toys.payloads == ["{}"]
    owner = Principal(bench.account_id, "ann", Role.OWNER, "s")
    job = Jobs(bench.database, bench.woken).find(owner, job_id)  # type: ignore[arg-type]
    assert (job.kind, job.state, job.attempt, job.progress) == (TOY, JobState.DONE, 1, 1.0)
    assert not bench.run()


def test_task_of_a_new_kind_fails_is_retried_and_leaves_the_films_state_alone(
    bench: Bench, toys: Toys, clips: Clips
) -> None:
    content_id = bench.store(clips["ready.mp4"])
    assert bench.run()
    job_id = toys.add(content_id)
    toys.error = FfmpegFailed("It broke.", log="")
    for _ in range(3):
        assert bench.run()
        bench.sql("UPDATE tasks SET not_before = NULL")
    assert (toys.job(job_id)["state"], toys.job(job_id)["error"]) == (JobState.FAILED, "It broke.")
    assert bench.content(content_id)["state"] == FileState.READY
    toys.error = None
    bench.database.write(lambda tx: jobs.requeue(tx, job_id))
    assert bench.run()
    assert toys.job(job_id)["state"] == JobState.DONE


def test_lease_of_a_new_kind_is_as_long_as_its_row_says_and_runs_out(bench: Bench, toys: Toys, clips: Clips) -> None:
    job_id = toys.add(bench.store(clips["photo.png"]))
    assert bench.run()
    assert toys.claim() is not None
    now = bench.database.read(lambda tx: tx.now)
    assert 20 < (toys.job(job_id)["lease_until"] - now).total_seconds() <= 30
    bench.sql("UPDATE tasks SET lease_until = $past", past=bench.database.read(lambda tx: tx.after(-1)))
    assert bench.database.write(tasks.expire) == [TaskAttempt(job_id, TOY, 0, 1)]
    assert toys.job(job_id)["state"] == JobState.QUEUED


def test_new_kind_that_needs_mains_waits_until_everything_may_run(
    bench: Bench, toys: Toys, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, TOY, Kind(TOY, Queue.ENCODE, 5, needs_mains=True))
    toys.add(bench.store(clips["photo.png"]))
    assert toys.claim(may_run_all=False) is None
    assert toys.claim() is not None


def test_new_kind_that_runs_alone_waits_until_its_node_does_nothing_else(
    bench: Bench, toys: Toys, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, TOY, Kind(TOY, Queue.QUICK, 5, runs_alone=True))
    toys.add(bench.store(clips["photo.png"]))
    probe = toys.claim()
    assert probe.kind == TaskKind.PROBE
    assert toys.claim() is None
    bench.database.write(lambda tx: tasks.finish(tx, probe))
    assert toys.claim().kind == TOY


def test_tasks_of_a_later_step_wait_for_those_before_it(bench: Bench, toys: Toys, clips: Clips) -> None:
    job_id = toys.add(bench.store(clips["photo.png"]), payload="first")
    bench.database.write(lambda tx: rows.add(tx, job_id, NewTask(TOY, step=1, payload="second")))
    assert bench.run()
    assert toys.job(job_id)["state"] == JobState.QUEUED
    assert bench.run()
    assert toys.job(job_id)["progress"] == 0.5
    assert bench.run()
    assert (toys.payloads, toys.job(job_id)["state"]) == (["first", "second"], JobState.DONE)
