"""Jobs as people and the library move them; what a worker does to the row of a job is in leases.py."""

from __future__ import annotations

import json
import uuid
from typing import Any

from nebula.db import chunks
from nebula.db.database import Tx, aware
from nebula.domain.records import Job
from nebula.domain.states import (
    JOB_MOVES,
    LIVE_JOB_STATES,
    FileState,
    JobKind,
    JobStage,
    JobState,
    PlanAction,
    Queue,
)
from nebula.errors import Conflict

PRIORITIES = {JobKind.PROBE: 0, JobKind.RENDITION: 10, JobKind.SUBTITLES: 30}
LOWER_PRIORITY = 20  # of the rungs below a film's first, and on
LIVE = tuple(sorted(LIVE_JOB_STATES))
PAUSABLE = frozenset(state for state, targets in JOB_MOVES.items() if JobState.PAUSED in targets)
CANCELLABLE = frozenset(state for state, targets in JOB_MOVES.items() if JobState.CANCELLED in targets)
ENDED_TO_QUEUED = (
    frozenset(state for state, targets in JOB_MOVES.items() if JobState.QUEUED in targets) - LIVE_JOB_STATES
)


def job_record(row: Any, file_id: str | None) -> Job:
    """Turn a job's row into its record; `file_id` is that of Job (db/listing.py finds it)."""
    return Job(
        id=row.id,
        content_id=row.content.id,
        account_id=row.content.account.id,
        account_name=row.content.account.name,
        file_id=file_id,
        kind=JobKind(row.kind),
        queue=Queue(row.queue),
        state=JobState(row.state),
        attempt=row.attempt,
        failures=row.failures,
        progress=row.progress,
        speed=row.speed,
        eta_s=row.eta_s,
        node=row.node,
        plan=None if row.plan is None else PlanAction(row.plan),
        plan_version=row.plan_version,
        plan_reasons=tuple(json.loads(row.plan_reasons or "[]")),
        rung=row.rung,
        command=row.command,
        warning=row.warning,
        paused_reason=row.paused_reason,
        error_code=row.error_code,
        error=row.error,
        log=row.log,
        chunks_total=row.chunks_total,
        chunks_done=row.chunks_done,
        chunks_repeated=row.chunks_repeated,
        encoder=row.encoder,
        rejections=row.rejections,
        restarts=row.restarts,
        created_at=aware(row.created_at),
        started_at=aware(row.started_at),
        finished_at=aware(row.finished_at),
    )


def add(
    tx: Tx,
    content: Any,
    kind: JobKind,
    queue: Queue,
    *,
    stage: JobStage = JobStage.WHOLE,
    priority: int | None = None,
    **more: Any,
) -> Any:
    """Queue a job on a content, of its kind's priority where none is given; return its row."""
    row = tx.e.Job(
        id=str(uuid.uuid4()),
        content=content,
        kind=kind,
        queue=queue,
        state=JobState.QUEUED,
        priority=PRIORITIES[kind] if priority is None else priority,
        attempt=0,
        failures=0,
        progress=0.0,
        chunks_total=0,
        chunks_done=0,
        chunks_repeated=0,
        created_at=tx.now,
        stage=stage,
        **more,
    )
    tx.flush()
    return row


def queue_missing(tx: Tx, content: Any) -> None:
    """Queue what a content needs and no job does: its probe, or the job that was cancelled with its last file."""
    jobs = list(content.jobs)
    if any(job.state in LIVE_JOB_STATES for job in jobs):
        return
    cancelled = [job for job in jobs if job.state == JobState.CANCELLED]
    if cancelled:
        for job in cancelled:
            _requeue(tx, job)
    elif not jobs:
        add(tx, content, JobKind.PROBE, Queue.QUICK)
        content.state = FileState.PROCESSING


def requeue(tx: Tx, row: Any) -> None:
    """Start a failed or cancelled job anew; its content is being processed again. Raises Conflict in other states."""
    if not _requeue(tx, row):
        raise Conflict(f"The job is {row.state}; only failed and cancelled jobs can be retried.", code="job_state")


def cancel_all(tx: Tx, content: Any) -> None:
    """Cancel every live job of a content; a worker that holds one finds its attempt superseded."""
    for job in list(content.jobs):
        _cancel(tx, job)


def cancel(tx: Tx, row: Any) -> None:
    """Cancel one live job: the original stays, as stored. Raises Conflict where it has ended."""
    if not _cancel(tx, row):
        raise Conflict(f"The job is {row.state} already.", code="job_state")


def cancel_of_account(tx: Tx, account_id: str) -> None:
    """Cancel every live job of an account."""
    for row in list(tx.e.Job.select(lambda job: job.content.account.id == account_id and job.state in LIVE)):
        _cancel(tx, row)


def remove(tx: Tx, row: Any) -> None:
    """Cancel a job if it is live, and forget it: its account cannot retry it."""
    _cancel(tx, row)
    chunks.discard(tx, row.id)
    row.delete()
    tx.flush()


def pause(tx: Tx, row: Any, reason: str) -> None:
    """Take a job from its workers until `resume`: it is paused without a lease. Raises Conflict if it has ended.

    Chunks that are done stay: the job lays its chunks out again when it goes on, and takes them.
    """
    if is_paused_by_person(row) or not _move(tx, row, PAUSABLE, JobState.PAUSED):
        raise Conflict(f"The job is {row.state} already.", code="job_state")
    row.set(lease_until=None, node=None, speed=None, eta_s=None, paused_reason=reason)
    _lay_out_again(row)
    tx.flush()
    chunks.end(tx, row.id)


def resume(tx: Tx, row: Any) -> None:
    """Let a job wait for a worker again that a person paused. Raises Conflict for every other."""
    if not is_paused_by_person(row) or not _move(tx, row, frozenset({JobState.PAUSED}), JobState.QUEUED):
        raise Conflict(f"The job is {row.state}, and nobody paused it.", code="job_state")
    row.set(paused_reason=None, progress=0.0)
    tx.flush()


def is_paused_by_person(row: Any) -> bool:
    """Say whether a person paused the job; one that its node's power pauses has a node that holds it."""
    return bool(row.state == JobState.PAUSED and row.node is None)


def decides(tx: Tx, job_id: str) -> bool:
    """Say whether a film's state hangs on a job: its subtitles never decide, nor does a lower rung before its first."""
    found = tx.select(
        "SELECT job.id, job.kind FROM jobs AS job WHERE job.id = $id AND job.kind <> 'subtitles' AND NOT EXISTS"
        " (SELECT 1 FROM jobs AS other WHERE other.content_id = job.content_id AND other.priority < job.priority"
        " AND other.state IN ('queued', 'running', 'paused'))",
        id=job_id,
    )
    return bool(found)


def _requeue(tx: Tx, row: Any) -> bool:
    if not _move(tx, row, ENDED_TO_QUEUED, JobState.QUEUED):
        return False
    row.set(failures=0, interruptions=0, rejections=0, restarts=0)
    row.set(progress=0.0, speed=None, eta_s=None, node=None, lease_until=None)
    row.set(error_code=None, error=None, warning=None, log=None, finished_at=None, not_before=None, chunks_done=0)
    _lay_out_again(row)
    if row.kind != JobKind.SUBTITLES and row.content.state != FileState.READY:
        row.content.state = FileState.PROCESSING
    tx.flush()
    return True


def _lay_out_again(row: Any) -> None:
    """Let a film in chunks begin with their layout, which finds again what is done of it."""
    if row.stage != JobStage.WHOLE:
        row.set(stage=JobStage.SPLIT, queue=Queue.QUICK)


def _cancel(tx: Tx, row: Any) -> bool:
    if not _move(tx, row, CANCELLABLE, JobState.CANCELLED):
        return False
    row.set(lease_until=None, node=None, speed=None, eta_s=None, not_before=None, finished_at=tx.now)
    row.set(paused_reason=None)
    tx.flush()
    chunks.end(tx, row.id)
    if row.content.state == FileState.PROCESSING and decides(tx, row.id):
        row.content.state = FileState.STORED
    tx.flush()
    return True


def _move(tx: Tx, row: Any, sources: frozenset[JobState], target: JobState) -> bool:
    """Move a job by compare-and-set; its new attempt number supersedes whoever holds it.

    The statement locks the row, so that this and a worker's publication come one after the other, whatever `row` was
    when it was loaded.
    """
    states = ", ".join(f"'{state}'" for state in sorted(sources))
    moved = tx.execute(
        f"UPDATE jobs SET state = '{target}', attempt = attempt + 1 WHERE id = $id AND state IN ({states})"
        " RETURNING attempt, state",
        id=row.id,
    )
    if moved:
        row.set(state=target, attempt=moved[0][0])
    return bool(moved)
