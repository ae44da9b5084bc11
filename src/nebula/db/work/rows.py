"""The rows of tasks, and their sum in the row of a live job.

Whoever changes tasks locks the row of their job first (`lock`). Two workers that finish at the same time then commit
one after the other, and the last one knows that it is the last.
"""

from __future__ import annotations

import uuid
from typing import Any

from nebula.db.database import Tx
from nebula.db.moves import listed, move_jobs, move_tasks
from nebula.domain import kinds
from nebula.domain.kinds import KINDS
from nebula.domain.limits import KEEP_CHUNKS_S
from nebula.domain.states import ACTIVE_TASK_STATES, LIVE_JOB_STATES, JobState, Queue, TaskState
from nebula.domain.work import NewTask

LIVE = f"state IN {listed(LIVE_JOB_STATES)}"  # condition on a job
# Condition on a job: a person paused it. A job that is paused by the throttle still has a node that holds its task.
BY_PERSON = f"(state = '{JobState.PAUSED}' AND node IS NULL)"
ACTIVE = f"state IN {listed(ACTIVE_TASK_STATES)}"  # condition on a task
DONE = f"state = '{TaskState.DONE}'"
QUEUED = f"state = '{TaskState.QUEUED}'"
FREE = "node = NULL, lease_until = NULL, speed = NULL, paused_reason = NULL"
RESET = f"{FREE}, progress = 0, object_key = NULL, result = NULL"
NEEDED = (  # the stored objects of the tasks of live jobs
    "SELECT tasks.object_key, tasks.id FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
    f" WHERE tasks.object_key IS NOT NULL AND jobs.state IN {listed(LIVE_JOB_STATES)}"
)
# Condition on a task: all tasks of its job that have a lower step are done.
_READY = (
    "NOT EXISTS (SELECT 1 FROM tasks AS before WHERE before.job_id = tasks.job_id AND before.step < tasks.step"
    f" AND before.state <> '{TaskState.DONE}')"
)


def parts() -> str:
    """Return the kinds of tasks that make chunks as a list in SQL."""
    return listed(kinds.names(lambda kind: kind.is_part))


def add(tx: Tx, job_id: str, task: NewTask) -> None:
    """Add a task to a job. If it has to wait for other tasks, `unblock` queues it later."""
    kind = KINDS[task.kind]
    job_priority = kinds.job_priority(kind.job)
    tx.execute(
        "INSERT INTO tasks (id, job_id, kind, queue, state, priority, needs_mains, plan_version, step, number, attempt,"
        " failures, interruptions, repeats, progress, media_s, payload, object_key, result, created_at)"
        " SELECT $id, id, $kind, $queue, $state, priority + $more, CASE WHEN priority > $first THEN TRUE ELSE $mains"
        " END, $version, $step, $number, $attempt, 0, 0, 0, $progress, $media, $payload, $object, $result, created_at"
        " FROM jobs WHERE id = $job",
        id=str(uuid.uuid4()),
        job=job_id,
        kind=str(task.kind),
        queue=(task.queue or kind.queue).value,
        state=_first_state(task).value,
        more=kind.priority - job_priority,
        first=job_priority,
        mains=kind.needs_mains,
        version=task.plan_version,
        step=task.step,
        number=task.number,
        attempt=task.attempt,
        progress=float(task.is_done),
        media=task.media_s,
        payload=task.payload,
        object=task.object_key,
        result=task.result,
    )


def _first_state(task: NewTask) -> TaskState:
    if task.is_done:
        return TaskState.DONE
    return TaskState.WAITING if task.step else TaskState.QUEUED


def lock(tx: Tx, job_id: str) -> int | None:
    """Lock a live job's row until the transaction ends; return its attempt number, or None if the job has ended."""
    locked = tx.execute(f"UPDATE jobs SET attempt = attempt WHERE id = $id AND {LIVE} RETURNING attempt, id", id=job_id)
    return int(locked[0][0]) if locked else None


def unblock(tx: Tx, job_id: str) -> Queue | None:
    """Queue the tasks of a job that no longer wait for others; return their queue, or None if there are none."""
    queued = move_tasks(
        tx, TaskState.QUEUED, f"job_id = $job AND state = '{TaskState.WAITING}' AND {_READY}", job=job_id
    )
    if not queued:
        return None
    return Queue(tx.select("SELECT queue, id FROM tasks WHERE id = $id", id=queued[0][0])[0][0])


def show(tx: Tx, job_id: str) -> None:
    """Update the row of a live job from its tasks: state, progress, nodes, pause reason and error."""
    active_tasks = tx.select(
        f"SELECT DISTINCT node, paused_reason FROM tasks WHERE job_id = $id AND {ACTIVE} ORDER BY node", id=job_id
    )
    # The job is paused only if all its workers are.
    reasons = [reason for _, reason in active_tasks if reason is not None]
    paused_reason = reasons[0] if len(reasons) == len(active_tasks) and reasons else None
    sums = _sums(tx, job_id) | _waiting(tx, job_id)
    tx.execute(
        f"UPDATE jobs SET {', '.join(f'{name} = ${name}' for name in sums)}, node = $node,"
        f" paused_reason = $paused_reason WHERE id = $id AND {LIVE}",
        id=job_id,
        node=", ".join(sorted({node for node, _ in active_tasks})) or None,
        paused_reason=paused_reason,
        **sums,
    )
    state = JobState.PAUSED if paused_reason else JobState.RUNNING if active_tasks else JobState.QUEUED
    move_jobs(tx, state, f"id = $id AND {LIVE} AND state <> '{state}'", id=job_id)


def _waiting(tx: Tx, job_id: str) -> dict[str, Any]:
    """Return the queue of the job's next task, and the error of the first task that had to be put back."""
    (queue, _), *_ = tx.select(
        f"SELECT queue, id FROM tasks WHERE job_id = $id AND NOT {DONE} ORDER BY step, number LIMIT 1", id=job_id
    )
    errors = tx.select(
        f"SELECT error_code, error FROM tasks WHERE job_id = $id AND {QUEUED} AND error IS NOT NULL"
        " ORDER BY step, number LIMIT 1",
        id=job_id,
    )
    code, error = errors[0] if errors else (None, None)
    return {"queue": queue, "error_code": code, "error": error}


def _sums(tx: Tx, job_id: str) -> dict[str, Any]:
    part = f"kind IN {parts()}"
    total, done, repeated, failures, interruptions, lease_until, media_s, made_s, progress, speed = tx.select(
        f"SELECT COUNT(CASE WHEN {part} THEN 1 END), COUNT(CASE WHEN {part} AND {DONE} THEN 1 END),"
        f" SUM(CASE WHEN {part} THEN repeats END),"
        f" COALESCE(SUM(CASE WHEN NOT {part} THEN failures END), 0),"
        f" COALESCE(SUM(CASE WHEN NOT {part} THEN interruptions END), 0),"
        f" MAX(CASE WHEN {ACTIVE} THEN lease_until END), SUM(media_s), SUM(media_s * progress), AVG(progress),"
        f" SUM(CASE WHEN {ACTIVE} AND (media_s > 0 OR NOT {part}) THEN speed END)"
        " FROM tasks WHERE job_id = $id",
        id=job_id,
    )[0]
    progress = min(1.0, made_s / media_s if media_s else progress)
    sums = {
        "chunks_total": total,
        "chunks_done": done,
        "failures": failures,
        "interruptions": interruptions,
        "lease_until": lease_until,  # for the previous version, in case of a rollback
        "progress": progress,
        "speed": speed or None,
        "eta_s": media_s * (1 - progress) / speed if speed and media_s else None,
    }
    return sums if repeated is None else sums | {"chunks_repeated": repeated}


def cancel(tx: Tx, job_id: str) -> None:
    """Cancel a job's tasks, so that their workers lose them. Their stored objects are kept for KEEP_CHUNKS_S."""
    move_tasks(tx, TaskState.CANCELLED, "job_id = $job", FREE, job=job_id)
    _doom(tx, job_id, KEEP_CHUNKS_S)


def discard(tx: Tx, job_id: str) -> None:
    """Delete a job's tasks and doom their stored objects: the job is done, is deleted, or is done in another way."""
    _doom(tx, job_id, 0)
    tx.execute("DELETE FROM tasks WHERE job_id = $id", id=job_id)


def _doom(tx: Tx, job_id: str, after_s: float) -> None:
    tx.execute(
        "INSERT INTO doomed_objects (object_key, delete_after) SELECT object_key, $moment FROM tasks"
        " WHERE job_id = $id AND object_key IS NOT NULL"
        " ON CONFLICT (object_key) DO UPDATE SET delete_after = excluded.delete_after",
        id=job_id,
        moment=tx.after(after_s),
    )
