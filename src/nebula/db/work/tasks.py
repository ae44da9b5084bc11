"""What workers do to tasks: claim one, keep its lease, end it.

A claim raises the attempt number and sets a lease by the database's clock. Every later statement is a compare-and-set
on (attempt, state). An attempt that comes back late therefore changes nothing, on any node. An attempt whose job was
cancelled notices it at its next statement. UPDATE ... WHERE decides between concurrent claims, which is safe on SQLite
and on PostgreSQL.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nebula.db.database import Tx
from nebula.db.files import content_record
from nebula.db.moves import listed, move_tasks
from nebula.db.work import families, jobs, rows
from nebula.domain import kinds
from nebula.domain.encoders import SOFTWARE
from nebula.domain.kinds import KINDS
from nebula.domain.limits import MAX_FAILURES, MAX_INTERRUPTIONS
from nebula.domain.states import JobState, PlanAction, Queue, TaskKind, TaskState
from nebula.domain.work import Claim, Claimant, Failure, TaskAttempt
from nebula.errors import Superseded

CLAIM_TRIES = 100  # each lost race means that another worker got a task
RETRY_AFTER_S = 10  # doubled after each failure
HELD = f"id = $task AND attempt = $attempt AND {rows.ACTIVE}"
IS_DUE = f"{rows.QUEUED} AND (not_before IS NULL OR not_before <= $now)"
AGAIN = f"{rows.FREE}, progress = 0"


def claim_next(tx: Tx, claimant: Claimant) -> Claim | None:
    """Claim the first queued task that this worker may do; return None if there is none.

    The lowest priority number comes first, and then the oldest job. Skips tasks of another plan version, and chunks of
    films that are bound to hardware that this node does not have.
    """
    for _ in range(CLAIM_TRIES):
        candidates = _first(tx, claimant)
        if not candidates:
            return None
        task_id, job_id, kind, attempt, step = candidates[0]
        if _take(tx, claimant, (task_id, job_id, kind, attempt)):
            if step == 0:
                _begin(tx, job_id)
            rows.show(tx, job_id)
            return claim_record(tx, task_id)
    return None


def _first(tx: Tx, claimant: Claimant) -> list[tuple[Any, ...]]:
    is_busy = runs(tx, claimant.queue, claimant.node)
    # A kind that is not in this version's table belongs to a later version, and is skipped.
    claimable = kinds.names(lambda kind: not (kind.runs_alone and is_busy))
    on_mains = "" if claimant.may_run_all else " AND needs_mains = FALSE"
    return tx.select(
        "SELECT tasks.id, job_id, tasks.kind, tasks.attempt, step FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
        f" WHERE tasks.queue = $queue AND tasks.{rows.QUEUED}"
        " AND (tasks.not_before IS NULL OR tasks.not_before <= $now)"
        " AND (tasks.plan_version IS NULL OR tasks.plan_version = $version)"
        f" AND jobs.{rows.LIVE} AND tasks.kind IN {listed(claimable)}{on_mains} AND {families.MAKEABLE}"
        " ORDER BY tasks.priority, tasks.created_at, job_id, step, number LIMIT 1",
        queue=claimant.queue.value,
        now=tx.now,
        version=claimant.plan_version,
        own=claimant.encoder,
        software=SOFTWARE,
    )


def _take(tx: Tx, claimant: Claimant, found: tuple[str, str, str, int]) -> bool:
    task_id, job_id, kind, attempt = found
    job_attempt = rows.lock(tx, job_id)
    if job_attempt is None:
        return False
    if kind == TaskKind.VIDEO_CHUNK and not families.bind(tx, job_id, claimant.encoder):
        return False  # another node was quicker
    is_part = KINDS[kind].is_part
    taken = move_tasks(
        tx,
        TaskState.RUNNING,
        f"id = $task AND attempt = $attempt AND {rows.QUEUED}",
        "attempt = $next, node = $node, lease_until = $lease, not_before = NULL, progress = 0, speed = NULL,"
        " paused_reason = NULL, error_code = NULL, error = NULL",
        task=task_id,
        attempt=attempt,
        next=attempt + 1 if is_part else job_attempt + 1,
        node=claimant.node,
        lease=tx.after(KINDS[kind].lease_s),
    )
    if taken and not is_part:  # object keys contain the job's attempt number, and people see it
        tx.execute("UPDATE jobs SET attempt = attempt + 1, finished_at = NULL WHERE id = $id", id=job_id)
    return bool(taken)


def _begin(tx: Tx, job_id: str) -> None:
    tx.execute(
        "UPDATE jobs SET started_at = $now, warning = NULL, command = NULL, log = NULL WHERE id = $id",
        id=job_id,
        now=tx.now,
    )


def claim_record(tx: Tx, task_id: str) -> Claim:
    """Return what a worker needs to know about a task."""
    row = tx.e.Task[task_id]
    job, content = row.job, row.job.content
    # Only a probe needs the file's name. Workers that encode on other machines may not read names (grants.py).
    files_by_age = content.files.select().order_by(lambda file: (file.created_at, file.id))
    oldest = files_by_age.first() if row.kind == TaskKind.PROBE else None
    return Claim(
        task_id=row.id,
        job_id=job.id,
        kind=row.kind,
        number=row.number,
        attempt=row.attempt,
        payload=row.payload,
        plan_version=row.plan_version,
        content=content_record(content),
        facts=content.facts,
        plan=None if job.plan is None else PlanAction(job.plan),
        rung=job.rung,
        encoder=job.encoder,
        restarts=job.restarts,
        name="" if oldest is None else oldest.name,
        media_type=content.media_type if oldest is None else oldest.media_type,
    )


def runs(tx: Tx, queue: Queue, node: str) -> bool:
    """Return whether a node holds a task of the queue now."""
    sql = f"SELECT id, attempt FROM tasks WHERE node = $node AND queue = $queue AND {rows.ACTIVE} LIMIT 1"
    return bool(tx.select(sql, node=node, queue=queue.value))


def heartbeat(tx: Tx, claim: Claim, progress: float | None = None, speed: float | None = None) -> bool:
    """Renew the lease, and store the progress if given. Returns False if the attempt was superseded or cancelled."""
    if rows.lock(tx, claim.job_id) is None:
        return False
    progress_changes = "" if progress is None else ", progress = $progress, speed = $speed"
    values = {} if progress is None else {"progress": progress, "speed": speed}
    sql = f"UPDATE tasks SET lease_until = $lease{progress_changes} WHERE {HELD} RETURNING id, attempt"
    is_renewed = bool(tx.execute(sql, lease=tx.after(KINDS[claim.kind].lease_s), **values, **_ids(claim)))
    if is_renewed:
        rows.show(tx, claim.job_id)
    return is_renewed


def is_held(tx: Tx, claim: Claim) -> bool:
    """Return whether the attempt still owns its task."""
    return bool(tx.select(f"SELECT id, attempt FROM tasks WHERE {HELD}", **_ids(claim)))


def hold(tx: Tx, claim: Claim) -> None:
    """Lock the job of a task that the attempt owns. Raises Superseded if the attempt no longer owns the task."""
    if rows.lock(tx, claim.job_id) is None or not is_held(tx, claim):
        raise Superseded("Another attempt owns this task, or its job was cancelled.")


def pause(tx: Tx, claim: Claim, reason: str | None) -> bool:
    """Pause the attempt's task with a reason, or resume it without one. Returns False if `heartbeat` would."""
    if rows.lock(tx, claim.job_id) is None or not is_held(tx, claim):
        return False
    tx.execute(f"UPDATE tasks SET paused_reason = $reason, speed = NULL WHERE {HELD}", reason=reason, **_ids(claim))
    move_tasks(tx, TaskState.RUNNING if reason is None else TaskState.PAUSED, HELD, **_ids(claim))
    rows.show(tx, claim.job_id)
    return True


def note(tx: Tx, claim: Claim, *, command: str | None, log: str | None = None) -> None:
    """Store the exact command of the latest run, and the tail of its stderr, in the job's row."""
    _set_job(tx, claim, "command = $command, log = $log", command=command, log=log)


def note_encoder(tx: Tx, claim: Claim, encoder: str, *, is_restart: bool = False) -> None:
    """Store the encoder of a film that is made whole. `is_restart`: another encoder was tried before."""
    changes = "encoder = $encoder, restarts = restarts + $more"
    _set_job(tx, claim, changes, encoder=encoder, more=int(is_restart))


def _set_job(tx: Tx, claim: Claim, changes: str, **values: Any) -> None:
    sql = f"UPDATE jobs SET {changes} WHERE id = $job AND EXISTS (SELECT 1 FROM tasks WHERE {HELD})"
    tx.execute(sql, job=claim.job_id, **values, **_ids(claim))


def finish(tx: Tx, claim: Claim, *, warning: str | None = None) -> Queue | None:
    """End a task as done; the last task ends its job. Returns the queue of the tasks that waited for it.

    Raises Superseded if the attempt no longer owns the task; the caller must not commit the task's result then.
    """
    hold(tx, claim)
    move_tasks(tx, TaskState.DONE, HELD, f"{rows.FREE}, progress = 1", **_ids(claim))
    return go_on(tx, claim.job_id, warning)


def go_on(tx: Tx, job_id: str, warning: str | None = None) -> Queue | None:
    """Queue the tasks that waited for a finished one, or end the job if that was the last. Returns their queue."""
    queue = rows.unblock(tx, job_id)
    if tx.select(f"SELECT id, kind FROM tasks WHERE job_id = $id AND NOT {rows.DONE} LIMIT 1", id=job_id):
        rows.show(tx, job_id)
    else:
        jobs.finish(tx, job_id, warning)
    return queue


def fail(tx: Tx, claim: Claim, failure: Failure) -> JobState:
    """Record a failure: the task is queued for another try, or its job fails for good. Raises Superseded."""
    failures, _ = _put_back(tx, claim, failure, "failures = failures + 1, repeats = repeats + 1")
    if failure.is_permanent or failures >= MAX_FAILURES:
        _fail_for_good(tx, claim.job_id, claim.task_id, failure)
        return JobState.FAILED
    tx.execute("UPDATE jobs SET log = COALESCE($log, log) WHERE id = $id", log=failure.log, id=claim.job_id)
    _wait(tx, claim, RETRY_AFTER_S * 2 ** (failures - 1))
    return JobState.QUEUED


def release(tx: Tx, claim: Claim, reason: Failure | None = None, *, delay_s: float = 0) -> None:
    """Put back a task that cannot be done now. This does not count as a failure. Raises Superseded."""
    _put_back(tx, claim, reason, "repeats = repeats")
    _wait(tx, claim, delay_s)


def interrupt(tx: Tx, claim: Claim, reason: Failure, *, delay_s: float) -> None:
    """Put back a task that was interrupted. Raises Superseded.

    The delay doubles each time. After more than MAX_INTERRUPTIONS the job fails, so that it does not repeat for ever.
    """
    _, times = _put_back(tx, claim, reason, "interruptions = interruptions + 1, repeats = repeats + 1")
    if times > MAX_INTERRUPTIONS:
        why = f"It was broken off {times} times. {reason.error}"
        _fail_for_good(tx, claim.job_id, claim.task_id, replace(reason, error=why))
    else:
        _wait(tx, claim, delay_s * 2 ** (times - 1))


def _put_back(tx: Tx, claim: Claim, reason: Failure | None, counted: str) -> tuple[int, int]:
    """Queue a task that the attempt holds; return its numbers of failures and interruptions."""
    hold(tx, claim)
    code, error = (reason.code, reason.error) if reason else (None, None)
    changes = f"{AGAIN}, error_code = $code, error = $error, {counted}"
    ((*_, failures, times),) = move_tasks(tx, TaskState.QUEUED, HELD, changes, code=code, error=error, **_ids(claim))
    return failures, times


def give_back(tx: Tx, queue: Queue, node: str) -> list[TaskAttempt]:
    """Put back every task of the queue that this node holds. Its worker has just started, so those attempts died."""
    return _interrupt(tx, "node = $node AND queue = $queue", node=node, queue=queue.value)


def expire(tx: Tx) -> list[TaskAttempt]:
    """Put back every task whose lease ran out."""
    return _interrupt(tx, "lease_until < $now", now=tx.now)


def waiting_queues(tx: Tx) -> list[Queue]:
    """Return the queues with due tasks and no running one. A worker that runs a task takes the next one by itself."""
    queue_counts = tx.select(
        f"SELECT queue, COUNT(*) FROM tasks WHERE {IS_DUE} AND queue NOT IN"
        f" (SELECT queue FROM tasks WHERE {rows.ACTIVE}) GROUP BY queue ORDER BY queue",
        now=tx.now,
    )
    return [Queue(queue) for queue, _ in queue_counts]


def planned_before(tx: Tx, plan_version: int, limit: int = 100) -> list[Claim]:
    """Return the first task of each queued job with an older plan version; this version's workers do not claim them."""
    task_rows = tx.select(
        "SELECT tasks.id, job_id FROM tasks JOIN jobs ON jobs.id = tasks.job_id"
        f" WHERE jobs.state = '{JobState.QUEUED}'"
        f" AND step = 0 AND tasks.plan_version < $version ORDER BY jobs.created_at LIMIT {int(limit)}",
        version=plan_version,
    )
    return [claim_record(tx, task_id) for task_id, _ in task_rows]


def _interrupt(tx: Tx, condition: str, **values: Any) -> list[TaskAttempt]:
    interrupted: list[TaskAttempt] = []
    jobs_with_tasks = tx.select(
        f"SELECT DISTINCT job_id, job_id AS id FROM tasks WHERE {rows.ACTIVE} AND {condition} ORDER BY job_id", **values
    )
    for job_id, _ in jobs_with_tasks:
        if rows.lock(tx, job_id) is None:
            continue
        changes = f"interruptions = interruptions + 1, repeats = repeats + 1, {AGAIN}"
        where = f"job_id = $job AND {rows.ACTIVE} AND {condition}"
        requeued = move_tasks(tx, TaskState.QUEUED, where, changes, job=job_id, **values)
        interrupted += [TaskAttempt(job_id, kind, number, attempt) for _, kind, number, attempt, _, _ in requeued]
        rows.show(tx, job_id)
        for task_id, kind, number, _, _, interruptions in requeued:
            if interruptions > MAX_INTERRUPTIONS:
                what = f"made chunk {number}" if KINDS[kind].is_part else "did this job"
                why = f"The worker died {interruptions} times while it {what}."
                _fail_for_good(tx, job_id, task_id, Failure("kept_dying", why))
                break
    return interrupted


def _fail_for_good(tx: Tx, job_id: str, task_id: str, failure: Failure) -> None:
    rows.show(tx, job_id)
    move_tasks(tx, TaskState.FAILED, "id = $task", task=task_id)
    jobs.fail(tx, job_id, failure)


def _wait(tx: Tx, claim: Claim, delay_s: float) -> None:
    moment = tx.after(delay_s) if delay_s else None
    tx.execute("UPDATE tasks SET not_before = $moment WHERE id = $id", moment=moment, id=claim.task_id)
    rows.show(tx, claim.job_id)


def _ids(claim: Claim) -> dict[str, Any]:
    return {"task": claim.task_id, "attempt": claim.attempt}
