"""What people and the library do to jobs, and how jobs end. What workers do is in tasks.py."""

from __future__ import annotations

import json
import uuid
from dataclasses import fields
from typing import Any

from nebula.db.database import Tx, aware
from nebula.db.moves import listed, move_jobs, move_tasks
from nebula.db.work import adopting, rows
from nebula.domain import kinds
from nebula.domain.kinds import KINDS
from nebula.domain.records import Job
from nebula.domain.states import FILM_JOBS, LIVE_JOB_STATES, FileState, JobState, PlanAction, Queue, TaskKind, TaskState
from nebula.domain.work import Failure, NewJob, NewTask
from nebula.errors import Conflict

LOWER_RANK = 10  # the rank of the highest of a film's lower rungs; the others have higher numbers
ENDED = "lease_until = NULL, speed = NULL, eta_s = NULL, paused_reason = NULL, finished_at = $now"
ANEW = (
    "attempt = attempt + 1, failures = 0, interruptions = 0, rejections = 0, restarts = 0, progress = 0, speed = NULL,"
    " eta_s = NULL, node = NULL, lease_until = NULL, error_code = NULL, error = NULL, warning = NULL,"
    " log = NULL, finished_at = NULL"
)


def job_record(row: Any, file_id: str | None) -> Job:
    """Turn a job's row into its record; `file_id` is the field of Job (db/listing.py finds it)."""
    own = {field.name: getattr(row, field.name) for field in fields(Job) if hasattr(row, field.name)}
    return Job(
        **own
        | {
            "content_id": row.content.id,
            "account_id": row.content.account.id,
            "account_name": row.content.account.name,
            "file_id": file_id,
            "queue": Queue(row.queue),
            "state": JobState(row.state),
            "plan": None if row.plan is None else PlanAction(row.plan),
            "plan_reasons": tuple(json.loads(row.plan_reasons or "[]")),
            **{name: aware(own[name]) for name in ("created_at", "started_at", "finished_at")},
        }
    )


def add(tx: Tx, content: Any, job: NewJob) -> str:
    """Queue a job on a content (its row or its id); return its id."""
    kind = KINDS[job.task.kind]
    row = tx.e.Job(
        id=str(uuid.uuid4()),
        content=content,
        kind=str(kind.job),
        queue=job.task.queue or kind.queue,
        state=JobState.QUEUED,
        priority=kinds.job_priority(kind.job) + job.rank,
        created_at=tx.after(job.place / 1000),
        plan=job.plan and job.plan.action,
        plan_version=job.plan and adopting.NO_VERSION,
        plan_reasons=json.dumps(job.plan.reasons if job.plan else job.reasons),
        rung=job.plan and job.plan.rung,
    )
    tx.flush()
    rows.add(tx, row.id, job.task)
    return str(row.id)


def content_of(tx: Tx, job_id: str) -> Any:
    """Return the row of a job's content; None if there is no such job."""
    job_rows = tx.select("SELECT content_id, id FROM jobs WHERE id = $id", id=job_id)
    return tx.e.Content[job_rows[0][0]] if job_rows else None


def queue_missing(tx: Tx, content: Any) -> None:
    """Queue the probe of a content that has no jobs, or the jobs that were cancelled with its last file.

    Does nothing if a job of the content is live.
    """
    job_rows = tx.select("SELECT id, state FROM jobs WHERE content_id = $id ORDER BY created_at, id", id=content.id)
    if any(state in LIVE_JOB_STATES for _, state in job_rows):
        return
    for job_id, state in job_rows:
        if state == JobState.CANCELLED:
            _requeue(tx, job_id)
    if not job_rows:
        add(tx, content, NewJob(NewTask(TaskKind.PROBE)))
        content.state = FileState.PROCESSING


def requeue(tx: Tx, job_id: str) -> None:
    """Restart a failed or cancelled job; its content is being processed again. Raises Conflict in other states."""
    if not _requeue(tx, job_id):
        raise Conflict(
            f"The job is {_state(tx, job_id)}; only failed and cancelled jobs can be retried.", code="job_state"
        )


def cancel_all(tx: Tx, content: Any) -> None:
    """Cancel every live job of a content. A worker that holds a task of such a job finds its attempt superseded."""
    for job_id, _ in tx.select("SELECT id, state FROM jobs WHERE content_id = $id ORDER BY id", id=content.id):
        _cancel(tx, job_id)


def cancel(tx: Tx, job_id: str) -> None:
    """Cancel one live job; the original stays as it is. Raises Conflict if the job has ended."""
    if not _cancel(tx, job_id):
        raise Conflict(f"The job is {_state(tx, job_id)} already.", code="job_state")


def cancel_of_account(tx: Tx, account_id: str) -> None:
    """Cancel every live job of an account."""
    live_jobs = tx.select(
        "SELECT jobs.id, jobs.state FROM jobs JOIN contents ON contents.id = jobs.content_id"
        f" WHERE contents.account_id = $account AND jobs.{rows.LIVE} ORDER BY jobs.id",
        account=account_id,
    )
    for job_id, _ in live_jobs:
        _cancel(tx, job_id)


def remove(tx: Tx, job_id: str) -> None:
    """Cancel a job if it is live, and delete it, so that its account cannot retry it."""
    _cancel(tx, job_id)
    rows.discard(tx, job_id)
    tx.execute("DELETE FROM jobs WHERE id = $id", id=job_id)


def pause(tx: Tx, job_id: str, reason: str) -> None:
    """Take a job from its workers until `resume`; it is paused without a lease. Raises Conflict if it has ended.

    Finished chunks stay. A resumed job begins with its first task, which reuses them.
    """
    changes = (
        "attempt = attempt + 1, lease_until = NULL, node = NULL, speed = NULL, eta_s = NULL, paused_reason = $reason"
    )
    if not move_jobs(tx, JobState.PAUSED, f"id = $id AND NOT {rows.BY_PERSON}", changes, id=job_id, reason=reason):
        raise Conflict(f"The job is {_state(tx, job_id)} already.", code="job_state")
    rows.cancel(tx, job_id)


def resume(tx: Tx, job_id: str) -> None:
    """Queue a job again that a person paused. Raises Conflict for any other job."""
    changes = "attempt = attempt + 1, paused_reason = NULL"
    if not move_jobs(tx, JobState.QUEUED, f"id = $id AND {rows.BY_PERSON}", changes, id=job_id):
        raise Conflict(f"The job is {_state(tx, job_id)}, and nobody paused it.", code="job_state")
    start_over(tx, job_id)


def fail(tx: Tx, job_id: str, failure: Failure) -> None:
    """End a live job as failed, because one of its tasks failed for good."""
    ended = move_jobs(
        tx,
        JobState.FAILED,
        "id = $id",
        f"node = NULL, error_code = $code, error = $error, log = COALESCE($log, log), {ENDED}",
        id=job_id,
        code=failure.code,
        error=failure.error,
        log=failure.log,
        now=tx.now,
    )
    rows.cancel(tx, job_id)
    for _, _, content_id in ended:
        if decides(tx, job_id):
            _move_content(tx, content_id, FileState.PROCESSING, FileState.FAILED)


def finish(tx: Tx, job_id: str, warning: str | None) -> None:
    """End a live job whose tasks are all done."""
    changes = f"progress = 1, warning = $warning, error_code = NULL, error = NULL, {ENDED}"
    move_jobs(tx, JobState.DONE, "id = $id", changes, id=job_id, warning=warning, now=tx.now)
    rows.discard(tx, job_id)


def start_over(tx: Tx, job_id: str) -> None:
    """Queue a live job's first task again. Finished chunks stay; that task finds out whether they still fit."""
    if not tx.select("SELECT id, kind FROM tasks WHERE job_id = $id LIMIT 1", id=job_id):
        adopting.add_tasks(tx, job_id)
    tx.execute(f"DELETE FROM tasks WHERE job_id = $id AND step > 0 AND kind NOT IN {rows.parts()}", id=job_id)
    changes = f"{rows.RESET}, failures = 0, interruptions = 0, not_before = NULL, error_code = NULL, error = NULL"
    move_tasks(tx, TaskState.QUEUED, "job_id = $id AND step = 0", changes, id=job_id)
    rows.show(tx, job_id)


def decides(tx: Tx, job_id: str) -> bool:
    """Return whether this job sets the file's state: it makes a film, and no film job before it is live."""
    films = listed(FILM_JOBS)
    deciding_jobs = tx.select(
        f"SELECT job.id, job.kind FROM jobs AS job WHERE job.id = $id AND job.kind IN {films} AND NOT EXISTS"
        " (SELECT 1 FROM jobs AS other WHERE other.content_id = job.content_id AND other.priority < job.priority"
        f" AND other.kind IN {films} AND other.{rows.LIVE})",
        id=job_id,
    )
    return bool(deciding_jobs)


def _requeue(tx: Tx, job_id: str) -> bool:
    moved = move_jobs(tx, JobState.QUEUED, f"id = $id AND NOT {rows.LIVE}", ANEW, id=job_id)
    for _, _, content_id in moved:
        start_over(tx, job_id)
        kind = tx.select("SELECT kind, id FROM jobs WHERE id = $id", id=job_id)[0][0]
        content = tx.e.Content[content_id]
        if kind in FILM_JOBS and content.state != FileState.READY:
            content.state = FileState.PROCESSING
            tx.flush()
    return bool(moved)


def _cancel(tx: Tx, job_id: str) -> bool:
    """Cancel a job by compare-and-set, so that this does not overlap with a worker that publishes its result."""
    changes = f"attempt = attempt + 1, node = NULL, {ENDED}"
    moved = move_jobs(tx, JobState.CANCELLED, "id = $id", changes, id=job_id, now=tx.now)
    for _, _, content_id in moved:
        rows.cancel(tx, job_id)
        if decides(tx, job_id):
            _move_content(tx, content_id, FileState.PROCESSING, FileState.STORED)
    return bool(moved)


def _move_content(tx: Tx, content_id: str, source: FileState, target: FileState) -> None:
    sql = f"UPDATE contents SET state = '{target}' WHERE id = $id AND state = '{source}' RETURNING id, state"
    if tx.execute(sql, id=content_id):
        tx.e.Content[content_id].state = target  # for callers that have loaded the row before
        tx.flush()


def _state(tx: Tx, job_id: str) -> str:
    return str(tx.select("SELECT state, id FROM jobs WHERE id = $id", id=job_id)[0][0])
