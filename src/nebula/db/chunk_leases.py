"""What workers do to a chunk: claim it, keep its lease, end it; the last one done queues the join.

As with jobs (leases.py) a claim raises the chunk's attempt number, and every later statement is a compare-and-set on
it. All spans of a rendition's picture come from one family of encoders (chunk_families.py).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from nebula.db import chunk_families, chunks, files, leases
from nebula.db.database import Tx
from nebula.domain import object_keys
from nebula.domain.encoders import SOFTWARE
from nebula.domain.limits import LEASE_S, MAX_FAILURES, MAX_INTERRUPTIONS, MAX_REJECTIONS
from nebula.domain.records import ChunkClaim
from nebula.domain.states import ChunkKind, ChunkState
from nebula.errors import Superseded

HELD = "job_id = $job AND number = $number AND attempt = $attempt AND state = 'running'"
WAITING = (
    "FROM chunks AS c JOIN jobs AS j ON j.id = c.job_id WHERE c.state = 'queued'"
    " AND (c.not_before IS NULL OR c.not_before <= $now) AND j.stage = 'chunks'"
    " AND j.state IN ('queued', 'running', 'paused')"
)


class Outcome(StrEnum):
    """What became of a chunk that was made."""

    DONE = "done"
    LAST = "last"  # the film can be joined
    REJECTED = "rejected"  # it does not fit to the others, and is made again
    RESTARTED = "restarted"  # so many did not fit that all are made again, in software
    FAILED = "failed"  # even those did not


def first_priority(tx: Tx, plan_version: int, encoder: str) -> int | None:
    """Return the priority of the job whose chunk is the next for this encoder; None where none waits."""
    sql = f"SELECT j.priority, j.created_at {WAITING} {chunk_families.MAKEABLE} ORDER BY j.priority LIMIT 1"
    found = tx.select(sql, version=plan_version, now=tx.now, software=SOFTWARE, own=encoder)
    return found[0][0] if found else None


def claim_next(tx: Tx, node: str, plan_version: int, encoder: str = SOFTWARE) -> ChunkClaim | None:
    """Take the first waiting chunk: of the oldest job of the highest priority, in order; None where none waits.

    `encoder` is the node's own family. It is taken for films that are bound to none yet, and left out are those that
    are bound to another piece of hardware.
    """
    for _ in range(leases.CLAIM_TRIES):
        waiting = tx.select(
            f"SELECT c.job_id, c.number, c.attempt, c.kind {WAITING} {chunk_families.MAKEABLE}"
            " ORDER BY j.priority, j.created_at, j.id, c.number LIMIT 1",
            version=plan_version,
            now=tx.now,
            software=SOFTWARE,
            own=encoder,
        )
        if not waiting:
            return None
        job_id, number, attempt, kind = waiting[0]
        if not chunks.hold(tx, job_id):
            continue
        if kind == ChunkKind.VIDEO and not chunk_families.bind(tx, job_id, encoder):
            continue  # another node was quicker
        if _take(tx, job_id, number, attempt, node):
            chunks.show(tx, job_id)
            return _claim(tx.e.Chunk[job_id, number])
    return None


def _take(tx: Tx, job_id: str, number: int, attempt: int, node: str) -> bool:
    taken = tx.execute(
        "UPDATE chunks SET state = 'running', attempt = attempt + 1, node = $node, lease_until = $lease,"
        " not_before = NULL, frames_done = 0, speed = NULL, paused_reason = NULL, error_code = NULL, error = NULL"
        " WHERE job_id = $job AND number = $number AND attempt = $attempt AND state = 'queued'"
        " RETURNING number, attempt",
        job=job_id,
        number=number,
        attempt=attempt,
        node=node,
        lease=tx.after(LEASE_S),
    )
    return bool(taken)


def _claim(row: Any) -> ChunkClaim:
    return ChunkClaim(
        job=leases.claim_record(row.job),
        number=row.number,
        attempt=row.attempt,
        kind=ChunkKind(row.kind),
        plan=row.plan,
        frames=row.frames,
        duration_s=row.duration_s,
        encoder=row.job.encoder,
    )


def heartbeat(tx: Tx, claim: ChunkClaim, frames_done: int | None = None, speed: float | None = None) -> bool:
    """Renew the lease, and note how far the chunk is; False: the attempt was superseded or its job cancelled."""
    if not chunks.hold(tx, claim.job_id):
        return False
    noted = "" if frames_done is None else ", frames_done = $frames, speed = $speed"
    values = {} if frames_done is None else {"frames": min(frames_done, claim.frames), "speed": speed}
    sql = f"UPDATE chunks SET lease_until = $lease{noted} WHERE {HELD} RETURNING number, attempt"
    held = bool(tx.execute(sql, lease=tx.after(LEASE_S), **values, **_ids(claim)))
    if held and frames_done is not None:
        chunks.show(tx, claim.job_id)
    return held


def is_held(tx: Tx, claim: ChunkClaim) -> bool:
    """Say whether the attempt still owns its chunk."""
    return bool(tx.select(f"SELECT number, attempt FROM chunks WHERE {HELD}", **_ids(claim)))


def pause(tx: Tx, claim: ChunkClaim, reason: str | None) -> bool:
    """Show that the attempt is held still and why, or, without a reason, that it goes on; False as of heartbeat."""
    if not chunks.hold(tx, claim.job_id):
        return False
    sql = f"UPDATE chunks SET paused_reason = $reason, speed = NULL WHERE {HELD} RETURNING number, attempt"
    held = bool(tx.execute(sql, reason=reason, **_ids(claim)))
    if held:
        chunks.show(tx, claim.job_id)
    return held


def note(tx: Tx, claim: ChunkClaim, *, command: str, log: str | None = None) -> None:
    """Keep the exact command of the latest run, and the tail of its stderr, with the job."""
    tx.execute(
        "UPDATE jobs SET command = $command, log = $log WHERE id = $job AND EXISTS"
        f" (SELECT 1 FROM chunks WHERE {HELD})",
        command=command,
        log=log,
        **_ids(claim),
    )


def finish(
    tx: Tx,
    claim: ChunkClaim,
    *,
    object_key: str,
    key: str,
    build: str,
    size_bytes: int,
    start_s: float | None,
    encoder: str,
    fingerprint: str,
    warning: str | None,
) -> Outcome:
    """End a chunk as done, its object spared; the last one queues the join. Raises Superseded, changing nothing.

    `key` names what is in it, `build` what made it: a later run of the job takes it where the two still fit.

    A span of the picture whose extradata are not those of the first is rejected and doomed; MAX_REJECTIONS of them
    start the rendition again.
    """
    if not chunks.hold(tx, claim.job_id):
        raise Superseded("The job was cancelled, or it failed.")
    done = tx.execute(
        "UPDATE chunks SET state = 'done', lease_until = NULL, speed = NULL, node = NULL, frames_done = frames,"
        " object_key = $object, key = $key, build = $build, size_bytes = $size, start_s = $start,"
        " fingerprint = $print, warning = $warning"
        f" WHERE {HELD}"
        " RETURNING number, attempt",
        object=object_key,
        key=key,
        build=build,
        size=size_bytes,
        start=start_s,
        print=fingerprint,
        warning=warning,
        **_ids(claim),
    )
    _check(done)
    if claim.kind is ChunkKind.VIDEO and not chunk_families.bind_header(tx, claim.job_id, encoder, fingerprint):
        return _reject(tx, claim, object_key)
    files.spare(tx, object_key)
    chunks.show(tx, claim.job_id)
    return Outcome.LAST if chunks.join_if_done(tx, claim.job_id) else Outcome.DONE


def _reject(tx: Tx, claim: ChunkClaim, object_key: str) -> Outcome:
    files.doom(tx, object_key)
    rejected = "UPDATE jobs SET rejections = rejections + 1 WHERE id = $id RETURNING rejections, restarts"
    rejections, _ = tx.execute(rejected, id=claim.job_id)[0]
    tx.execute(
        f"UPDATE chunks SET {chunks.BLANK} WHERE job_id = $job AND number = $number",
        job=claim.job_id,
        number=claim.number,
    )
    if rejections < MAX_REJECTIONS:
        chunks.show(tx, claim.job_id)
        return Outcome.REJECTED
    error = "The nodes encode this film so differently that its chunks cannot be joined."
    is_restarted = chunk_families.restart_or_give_up(tx, claim.job_id, code="chunks_differ", error=error)
    return Outcome.RESTARTED if is_restarted else Outcome.FAILED


def fail_hardware(tx: Tx, claim: ChunkClaim, *, error: str) -> Outcome:
    """Have a film made again in software: hardware failed at a chunk of it. Raises Superseded."""
    if not chunks.hold(tx, claim.job_id) or not is_held(tx, claim):
        raise Superseded("Another attempt owns this chunk, or its job was cancelled.")
    is_restarted = chunk_families.restart_or_give_up(tx, claim.job_id, code="hardware_failed", error=error)
    return Outcome.RESTARTED if is_restarted else Outcome.FAILED


def fail(
    tx: Tx, claim: ChunkClaim, *, code: str, error: str, log: str | None = None, permanent: bool = False
) -> ChunkState:
    """Note a failure: the chunk waits for its next try, or its job has failed for good. Raises Superseded."""
    if not chunks.hold(tx, claim.job_id):
        raise Superseded("The job was cancelled, or it failed.")
    failed = tx.execute(
        f"UPDATE chunks SET failures = failures + 1, repeats = repeats + 1, state = 'queued', {chunks.FREE},"
        f" error_code = $code, error = $error WHERE {HELD} RETURNING failures, number",
        code=code,
        error=error,
        **_ids(claim),
    )
    _check(failed)
    failures = failed[0][0]
    if log is not None:
        tx.execute("UPDATE jobs SET log = $log WHERE id = $id", log=log, id=claim.job_id)
    if permanent or failures >= MAX_FAILURES:
        _give_up(tx, claim.job_id, claim.number, code, error)
        return ChunkState.FAILED
    _wait(tx, claim, tx.after(leases.RETRY_AFTER_S * 2 ** (failures - 1)))
    return ChunkState.QUEUED


def release(
    tx: Tx, claim: ChunkClaim, *, delay_s: float = 0, code: str | None = None, error: str | None = None
) -> None:
    """Put a chunk back that could not be made now, through no fault of its own. Raises Superseded."""
    if not chunks.hold(tx, claim.job_id):
        raise Superseded("The job was cancelled, or it failed.")
    released = tx.execute(
        f"UPDATE chunks SET state = 'queued', {chunks.FREE}, error_code = $code, error = $error WHERE {HELD}"
        " RETURNING number, attempt",
        code=code,
        error=error,
        **_ids(claim),
    )
    _check(released)
    _wait(tx, claim, tx.after(delay_s) if delay_s else None)


def interrupt(tx: Tx, claim: ChunkClaim, *, delay_s: float, code: str, error: str) -> None:
    """Put a chunk back that was broken off in the middle; as leases.interrupt. Raises Superseded."""
    if not chunks.hold(tx, claim.job_id):
        raise Superseded("The job was cancelled, or it failed.")
    interrupted = tx.execute(
        f"UPDATE chunks SET state = 'queued', {chunks.FREE}, interruptions = interruptions + 1, repeats = repeats + 1,"
        f" error_code = $code, error = $error WHERE {HELD} RETURNING interruptions, number",
        code=code,
        error=error,
        **_ids(claim),
    )
    _check(interrupted)
    times = interrupted[0][0]
    if times > MAX_INTERRUPTIONS:
        _give_up(tx, claim.job_id, claim.number, code, leases.broken_off(times, error))
    else:
        _wait(tx, claim, tx.after(delay_s * 2 ** (times - 1)))


def _wait(tx: Tx, claim: ChunkClaim, moment: datetime | None) -> None:
    tx.execute(
        "UPDATE chunks SET not_before = $moment WHERE job_id = $job AND number = $number",
        moment=moment,
        job=claim.job_id,
        number=claim.number,
    )
    chunks.show(tx, claim.job_id)


def give_back(tx: Tx, node: str) -> list[tuple[str, int, int]]:
    """Put back every chunk that this node holds: its worker has just started, so they died with the last one.

    Returns (job id, number, attempt) of each; nobody stores them any more, so what may lie there is doomed.
    """
    returned = _interrupt(tx, "node = $node", node=node)
    for job_id, number, attempt in returned:
        files.doom(tx, object_keys.chunk(job_id, number, attempt))
    return returned


def expire(tx: Tx) -> list[tuple[str, int, int]]:
    """Put back every chunk whose lease ran out. Returns (job id, number, attempt) of each."""
    return _interrupt(tx, "lease_until < $now", now=tx.now)


def _interrupt(tx: Tx, condition: str, **values: Any) -> list[tuple[str, int, int]]:
    interrupted = []
    found = tx.select(
        f"SELECT DISTINCT job_id, state FROM chunks WHERE state = 'running' AND {condition} ORDER BY job_id", **values
    )
    for job_id, _ in found:
        if not chunks.hold(tx, job_id):
            continue
        dead = tx.execute(
            f"UPDATE chunks SET state = 'queued', interruptions = interruptions + 1, repeats = repeats + 1,"
            f" {chunks.FREE} WHERE job_id = $job AND state = 'running' AND {condition}"
            " RETURNING number, attempt, interruptions",
            job=job_id,
            **values,
        )
        interrupted += [(job_id, number, attempt) for number, attempt, _ in dead]
        chunks.show(tx, job_id)
        for number, _, interruptions in dead:
            if interruptions > MAX_INTERRUPTIONS:
                why = f"The worker died {interruptions} times while it made chunk {number}."
                _give_up(tx, job_id, number, "kept_dying", why)
                break
    return interrupted


def _give_up(tx: Tx, job_id: str, number: int, code: str, error: str) -> None:
    chunks.show(tx, job_id)
    tx.execute("UPDATE chunks SET state = 'failed' WHERE job_id = $id AND number = $number", id=job_id, number=number)
    leases.give_up(tx, job_id, code=code, error=error)


def abandon(tx: Tx, claim: ChunkClaim) -> None:
    """Have the film of a chunk made whole: this part of it cannot be made on its own. Raises Superseded."""
    if not chunks.hold(tx, claim.job_id) or not is_held(tx, claim):
        raise Superseded("Another attempt owns this chunk, or its job was cancelled.")
    chunks.discard(tx, claim.job_id)
    tx.execute(
        "UPDATE jobs SET stage = 'whole', state = 'queued', node = NULL, speed = NULL, eta_s = NULL, progress = 0,"
        " paused_reason = NULL, chunks_total = 0, chunks_done = 0 WHERE id = $id",
        id=claim.job_id,
    )


def _ids(claim: ChunkClaim) -> dict[str, Any]:
    return {"job": claim.job_id, "number": claim.number, "attempt": claim.attempt}


def _check(changed: list[tuple[Any, ...]]) -> None:
    if not changed:
        raise Superseded("Another attempt owns this chunk, or its job was cancelled.")
