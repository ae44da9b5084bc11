"""What a worker does to the row of a job: claim it, keep its lease, end it.

A claim raises the row's attempt number and sets a lease by the database's clock; every later statement is a
compare-and-set on (attempt, state). So whoever comes back late changes nothing, on any node, and a cancel (which raises
the number too) is seen by the next statement. Claims race by UPDATE ... WHERE, which holds on SQLite and PostgreSQL.
"""

from __future__ import annotations

from typing import Any

from nebula.db import chunks, jobs
from nebula.db.database import Tx
from nebula.db.files import content_record
from nebula.domain.limits import LEASE_S, MAX_FAILURES, MAX_INTERRUPTIONS
from nebula.domain.records import Claim
from nebula.domain.states import JobKind, JobStage, JobState, PlanAction, Queue
from nebula.errors import Superseded

CLAIM_TRIES = 100  # each lost race means that another worker got a job
RETRY_AFTER_S = 10  # doubled by each failure
HELD = "id = $id AND attempt = $attempt AND stage <> 'chunks' AND state IN ('running', 'paused')"
BUSY = "stage <> 'chunks' AND state IN ('running', 'paused')"
WAITS = "state = 'queued' AND stage <> 'chunks' AND (not_before IS NULL OR not_before <= $now)"
ENDED = "lease_until = NULL, speed = NULL, eta_s = NULL, paused_reason = NULL"
AGAIN = "progress = CASE WHEN stage = 'join' THEN progress ELSE 0 END"  # the chunks are all done, whoever joins them


def claim_next(
    tx: Tx, queue: Queue, node: str, plan_version: int, *, least_priority: int | None = None
) -> Claim | None:
    """Take the first waiting job of a queue whose plan this version of the code understands; None where none waits.

    `least_priority` leaves out those that come after it.
    """
    bound = "" if least_priority is None else f" AND priority <= {int(least_priority)}"
    for _ in range(CLAIM_TRIES):
        waiting = tx.select(
            f"SELECT id, attempt FROM jobs WHERE queue = $queue AND {WAITS}{bound}"
            " AND (plan_version IS NULL OR plan_version = $version) ORDER BY priority, created_at, id LIMIT 1",
            queue=queue.value,
            version=plan_version,
            now=tx.now,
        )
        if not waiting:
            return None
        job_id, attempt = waiting[0]
        if _take(tx, job_id, attempt, node):
            return claim_record(tx.e.Job[job_id])
    return None


def _take(tx: Tx, job_id: str, attempt: int, node: str) -> bool:
    taken = tx.execute(
        "UPDATE jobs SET state = 'running', attempt = attempt + 1, node = $node, lease_until = $lease,"
        " started_at = CASE WHEN stage = 'join' THEN started_at ELSE $now END, finished_at = NULL, not_before = NULL,"
        " progress = CASE WHEN stage = 'join' THEN progress ELSE 0 END, speed = NULL, eta_s = NULL,"
        " error_code = NULL, error = NULL, warning = NULL,"
        " command = CASE WHEN stage = 'join' THEN command ELSE NULL END,"
        " log = CASE WHEN stage = 'join' THEN log ELSE NULL END"
        " WHERE id = $id AND attempt = $attempt AND state = 'queued' RETURNING id, attempt",
        id=job_id,
        attempt=attempt,
        node=node,
        lease=tx.after(LEASE_S),
        now=tx.now,
    )
    return bool(taken)


def runs(tx: Tx, queue: Queue, node: str) -> bool:
    """Say whether a node does a job of the queue now."""
    sql = f"SELECT id, attempt FROM jobs WHERE node = $node AND queue = $queue AND {BUSY} LIMIT 1"
    return bool(tx.select(sql, node=node, queue=queue.value))


def heartbeat(
    tx: Tx,
    job_id: str,
    attempt: int,
    progress: float | None = None,
    speed: float | None = None,
    eta_s: float | None = None,
) -> bool:
    """Renew the lease, and note the progress where one is given; False: the attempt was superseded or cancelled."""
    noted = "" if progress is None else ", progress = $progress, speed = $speed, eta_s = $eta"
    values = {} if progress is None else {"progress": progress, "speed": speed, "eta": eta_s}
    sql = f"UPDATE jobs SET lease_until = $lease{noted} WHERE {HELD} RETURNING id, attempt"
    return bool(tx.execute(sql, id=job_id, attempt=attempt, lease=tx.after(LEASE_S), **values))


def is_held(tx: Tx, job_id: str, attempt: int) -> bool:
    """Say whether the attempt still owns its job."""
    return bool(tx.select(f"SELECT id, attempt FROM jobs WHERE {HELD}", id=job_id, attempt=attempt))


def pause(tx: Tx, job_id: str, attempt: int, reason: str | None) -> bool:
    """Show that the attempt is held still and why, or, without a reason, that it goes on; False as of heartbeat."""
    sql = (
        "UPDATE jobs SET state = $state, paused_reason = $reason, speed = NULL, eta_s = NULL"
        f" WHERE {HELD} RETURNING id, attempt"
    )
    state = JobState.RUNNING if reason is None else JobState.PAUSED
    return bool(tx.execute(sql, id=job_id, attempt=attempt, state=state.value, reason=reason))


def note(tx: Tx, job_id: str, attempt: int, *, command: str | None, log: str | None = None) -> None:
    """Keep the exact command of a run and the tail of its stderr."""
    tx.execute(
        f"UPDATE jobs SET command = $command, log = $log WHERE {HELD}",
        id=job_id,
        attempt=attempt,
        command=command,
        log=log,
    )


def note_encoder(tx: Tx, job_id: str, attempt: int, encoder: str, *, is_restart: bool = False) -> None:
    """Keep what a film is encoded with in one piece, and that it was begun with something else before."""
    tx.execute(
        f"UPDATE jobs SET encoder = $encoder, restarts = restarts + $more WHERE {HELD}",
        id=job_id,
        attempt=attempt,
        encoder=encoder,
        more=int(is_restart),
    )


def finish(tx: Tx, job_id: str, attempt: int, *, warning: str | None = None) -> None:
    """End the job as done. Raises Superseded: the transaction that publishes its result must not commit then."""
    ended = tx.execute(
        f"UPDATE jobs SET state = 'done', progress = 1, warning = $warning, finished_at = $now, {ENDED}"
        f" WHERE {HELD} RETURNING id, attempt",
        id=job_id,
        attempt=attempt,
        warning=warning,
        now=tx.now,
    )
    _check(ended)


def fail(
    tx: Tx, job_id: str, attempt: int, *, code: str, error: str, log: str | None = None, permanent: bool = False
) -> JobState:
    """Note a failure: the job waits for its next try, or has failed for good. Raises Superseded."""
    failed = tx.execute(
        f"UPDATE jobs SET failures = failures + 1, error_code = $code, error = $error, log = COALESCE($log, log),"
        f" {ENDED} WHERE {HELD} RETURNING failures, content_id",
        id=job_id,
        attempt=attempt,
        code=code,
        error=error,
        log=log,
    )
    _check(failed)
    failures, content_id = failed[0]
    if permanent or failures >= MAX_FAILURES:
        _end_failed(tx, job_id, content_id)
        return JobState.FAILED
    _queue_again(tx, job_id, RETRY_AFTER_S * 2 ** (failures - 1))
    return JobState.QUEUED


def move_on(tx: Tx, claim: Claim, stage: JobStage, queue: Queue) -> None:
    """Put a job back for what comes next in it. Raises Superseded."""
    moved = tx.execute(
        f"UPDATE jobs SET state = 'queued', stage = $stage, queue = $queue, node = NULL, {ENDED}"
        f" WHERE {HELD} RETURNING id, attempt",
        id=claim.job_id,
        attempt=claim.attempt,
        stage=stage.value,
        queue=queue.value,
    )
    _check(moved)


def release(
    tx: Tx, job_id: str, attempt: int, *, delay_s: float = 0, code: str | None = None, error: str | None = None
) -> None:
    """Put a job back that could not be done now, through no fault of its own. Raises Superseded."""
    released = tx.execute(
        f"UPDATE jobs SET error_code = $code, error = $error, {ENDED} WHERE {HELD} RETURNING id, attempt",
        id=job_id,
        attempt=attempt,
        code=code,
        error=error,
    )
    _check(released)
    _queue_again(tx, job_id, delay_s)


def interrupt(tx: Tx, job_id: str, attempt: int, *, delay_s: float, code: str, error: str) -> None:
    """Put a job back that was broken off in the middle. Raises Superseded.

    It waits twice as long each time. After MAX_INTERRUPTIONS it has failed, so that it does not go on for ever.
    """
    interrupted = tx.execute(
        f"UPDATE jobs SET interruptions = interruptions + 1, {ENDED} WHERE {HELD} RETURNING interruptions, id",
        id=job_id,
        attempt=attempt,
    )
    _check(interrupted)
    times = interrupted[0][0]
    if times > MAX_INTERRUPTIONS:
        give_up(tx, job_id, code=code, error=broken_off(times, error))
        return
    tx.execute("UPDATE jobs SET error_code = $code, error = $error WHERE id = $id", id=job_id, code=code, error=error)
    _queue_again(tx, job_id, delay_s * 2 ** (times - 1))


def broken_off(times: int, error: str) -> str:
    """Return the reason of work that was given up because it was broken off so often."""
    return f"It was broken off {times} times. {error}"


def give_back(tx: Tx, queue: Queue, node: str) -> list[tuple[str, int]]:
    """Put back every job that this node's worker of the queue holds: it has just started, so they died with it.

    Returns the (job id, attempt) of each.
    """
    return _interrupt(tx, "node = $node AND queue = $queue", node=node, queue=queue.value)


def expire(tx: Tx) -> list[tuple[str, int]]:
    """Put back every job whose lease ran out. Returns the (job id, attempt) of each."""
    return _interrupt(tx, "lease_until < $now", now=tx.now)


def _interrupt(tx: Tx, condition: str, **values: Any) -> list[tuple[str, int]]:
    interrupted = tx.execute(
        f"UPDATE jobs SET state = 'queued', interruptions = interruptions + 1, node = NULL, {AGAIN}, {ENDED}"
        f" WHERE state IN ('running', 'paused') AND stage <> 'chunks' AND {condition}"
        " RETURNING id, attempt, interruptions, content_id",
        **values,
    )
    for job_id, _attempt, interruptions, content_id in interrupted:
        if interruptions > MAX_INTERRUPTIONS:
            tx.execute(
                "UPDATE jobs SET error_code = 'kept_dying', error = $error WHERE id = $id",
                id=job_id,
                error=f"The worker died {interruptions} times while it did this job.",
            )
            _end_failed(tx, job_id, content_id)
    return [(job_id, attempt) for job_id, attempt, *_ in interrupted]


def waiting_queues(tx: Tx) -> list[Queue]:
    """Return the queues in which jobs or chunks wait and none runs: who runs one takes the next by itself."""
    rows = tx.select(
        f"SELECT queue, COUNT(*) FROM jobs WHERE ({WAITS} OR (stage = 'chunks' AND state = 'queued' AND EXISTS"
        " (SELECT 1 FROM chunks WHERE chunks.job_id = jobs.id AND chunks.state = 'queued'"
        " AND (chunks.not_before IS NULL OR chunks.not_before <= $now))))"
        # Without a node, a person paused it.
        " AND queue NOT IN (SELECT queue FROM jobs WHERE state IN ('running', 'paused') AND node IS NOT NULL)"
        " GROUP BY queue ORDER BY queue",
        now=tx.now,
    )
    return [Queue(queue) for queue, _ in rows]


def planned_before(tx: Tx, plan_version: int, limit: int = 100) -> list[Claim]:
    """Return jobs that wait with a plan of an older version: no worker of this version takes them."""
    rows = tx.select(
        "SELECT id, attempt FROM jobs WHERE state = 'queued' AND plan_version < $version"
        f" ORDER BY created_at LIMIT {int(limit)}",
        version=plan_version,
    )
    return [claim_record(tx.e.Job[job_id]) for job_id, _ in rows]


def claim_record(row: Any) -> Claim:
    """Turn a job's row into what its worker needs to know."""
    # A probe alone asks what a file is called: who encodes on another machine need not know, and may not (grants.py).
    named = row.content.files.select().order_by(lambda file: (file.created_at, file.id))
    oldest = named.first() if row.kind == JobKind.PROBE else None
    return Claim(
        job_id=row.id,
        attempt=row.attempt,
        kind=JobKind(row.kind),
        plan=None if row.plan is None else PlanAction(row.plan),
        rung=row.rung,
        content=content_record(row.content),
        facts=row.content.facts,
        name="" if oldest is None else oldest.name,
        media_type=row.content.media_type if oldest is None else oldest.media_type,
        stage=JobStage(row.stage),
        restarts=row.restarts,
    )


def _queue_again(tx: Tx, job_id: str, delay_s: float) -> None:
    tx.execute(
        f"UPDATE jobs SET state = 'queued', node = NULL, {AGAIN}, not_before = $moment WHERE id = $id",
        id=job_id,
        moment=tx.after(delay_s) if delay_s else None,
    )


def give_up(tx: Tx, job_id: str, *, code: str, error: str) -> None:
    """End as failed a job that nobody holds: its chunks are at an end."""
    given_up = tx.execute(
        f"UPDATE jobs SET node = NULL, error_code = $code, error = $error, {ENDED} WHERE id = $id"
        " RETURNING id, content_id",
        id=job_id,
        code=code,
        error=error,
    )
    _end_failed(tx, job_id, given_up[0][1])


def _end_failed(tx: Tx, job_id: str, content_id: str) -> None:
    tx.execute("UPDATE jobs SET state = 'failed', finished_at = $now WHERE id = $id", id=job_id, now=tx.now)
    chunks.end(tx, job_id)
    if jobs.decides(tx, job_id):
        tx.execute("UPDATE contents SET state = 'failed' WHERE id = $id AND state = 'processing'", id=content_id)


def _check(changed: list[tuple[Any, ...]]) -> None:
    if not changed:
        raise Superseded("Another attempt owns this job, or it was cancelled.")
