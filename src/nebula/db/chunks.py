"""The rows of a job's chunks as the job moves them, and what the job's own row says of them.

While its chunks are made nobody holds the job itself: its row shows their sum. Whoever changes chunks holds the job's
row first (`hold`), so that two who finish at once come one after the other, and the last one knows that it is.
"""

from __future__ import annotations

from typing import Any

from nebula.db.database import Tx
from nebula.domain.limits import KEEP_CHUNKS_S
from nebula.domain.records import StoredChunk
from nebula.domain.states import ChunkKind, ChunkState, JobState

FREE = "node = NULL, lease_until = NULL, speed = NULL, frames_done = 0"
NEEDED = (  # what is stored of the chunks of jobs that go on
    "SELECT chunks.object_key, chunks.number FROM chunks JOIN jobs ON jobs.id = chunks.job_id"
    " WHERE chunks.state = 'done' AND jobs.state IN ('queued', 'running', 'paused')"
)
BLANK = (
    f"state = 'queued', {FREE}, object_key = NULL, key = NULL, build = NULL, size_bytes = NULL, fingerprint = NULL,"
    " warning = NULL"
)
LIVE = "stage = 'chunks' AND state IN ('queued', 'running', 'paused')"


def hold(tx: Tx, job_id: str) -> bool:
    """Hold the row of a job until the transaction ends; False where its chunks are not being made."""
    sql = f"UPDATE jobs SET chunks_total = chunks_total WHERE id = $id AND {LIVE} RETURNING id, attempt"
    return bool(tx.execute(sql, id=job_id))


def show(tx: Tx, job_id: str) -> None:
    """Write into the job's row how far its chunks are, who makes them, and what one of them waits for."""
    sums = _sums(tx, job_id)
    made = tx.select(
        "SELECT DISTINCT node, paused_reason FROM chunks WHERE job_id = $id AND state = 'running' ORDER BY node",
        id=job_id,
    )
    # One node that goes on is enough: the film is being made.
    reasons = [reason for _, reason in made if reason is not None]
    paused_reason = reasons[0] if reasons and len(reasons) == len(made) else None
    waits = tx.select(
        "SELECT error_code, error FROM chunks WHERE job_id = $id AND state = 'queued' AND error IS NOT NULL"
        " ORDER BY number LIMIT 1",
        id=job_id,
    )
    code, error = waits[0] if waits else (None, None)
    tx.execute(
        "UPDATE jobs SET state = $state, node = $node, error_code = $code, error = $error, progress = $progress,"
        " paused_reason = $paused,"
        " speed = $speed, eta_s = $eta, chunks_total = $total, chunks_done = $done, chunks_repeated = $repeated"
        f" WHERE id = $id AND {LIVE}",
        id=job_id,
        state=(JobState.PAUSED if paused_reason else JobState.RUNNING if made else JobState.QUEUED).value,
        paused=paused_reason,
        node=", ".join(sorted({node for node, _ in made})) or None,
        code=code,
        error=error,
        **sums,
    )


def _sums(tx: Tx, job_id: str) -> dict[str, Any]:
    total, done, repeated, frames, made, duration_s, speed = tx.select(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN state = 'done' THEN 1 ELSE 0 END), 0), COALESCE(SUM(repeats), 0),"
        " COALESCE(SUM(frames), 0), COALESCE(SUM(CASE WHEN state = 'done' THEN frames ELSE frames_done END), 0),"
        " COALESCE(SUM(CASE WHEN kind = 'video' THEN duration_s ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN state = 'running' AND kind = 'video' THEN speed ELSE 0 END), 0)"
        " FROM chunks WHERE job_id = $id",
        id=job_id,
    )[0]
    progress = min(1.0, made / frames) if frames else 0.0
    return {
        "total": total,
        "done": done,
        "repeated": repeated,
        "progress": progress,
        "speed": speed or None,
        "eta": duration_s * (1 - progress) / speed if speed else None,
    }


def join_if_done(tx: Tx, job_id: str) -> bool:
    """Queue the join where every chunk is done; say whether that is so."""
    left = tx.select("SELECT COUNT(*), 0 FROM chunks WHERE job_id = $id AND state <> 'done'", id=job_id)
    if left[0][0]:
        return False
    tx.execute(
        "UPDATE jobs SET stage = 'join', queue = 'quick', state = 'queued', node = NULL, speed = NULL, eta_s = NULL"
        f" WHERE id = $id AND {LIVE}",
        id=job_id,
    )
    return True


def stored(tx: Tx, job_id: str) -> list[StoredChunk]:
    """Return a job's chunks that are done, in order."""
    rows = tx.select(
        "SELECT number, kind, plan, object_key, size_bytes, start_s, warning, key, build FROM chunks"
        " WHERE job_id = $id AND state = 'done' ORDER BY number",
        id=job_id,
    )
    return [StoredChunk(number, ChunkKind(kind), *rest) for number, kind, *rest in rows]


def end(tx: Tx, job_id: str) -> None:
    """Take the chunks of a job that ended without its film from their workers; what is done stays for a while."""
    tx.execute(
        f"UPDATE chunks SET state = $queued, attempt = attempt + 1, {FREE} WHERE job_id = $id AND state = 'running'",
        queued=ChunkState.QUEUED.value,
        id=job_id,
    )
    _doom(tx, job_id, KEEP_CHUNKS_S)


def discard(tx: Tx, job_id: str) -> None:
    """Forget a job's chunks, and doom what is stored of them: its film is published, or gone."""
    _doom(tx, job_id, 0)
    tx.execute("DELETE FROM chunks WHERE job_id = $id", id=job_id)


def _doom(tx: Tx, job_id: str, after_s: float) -> None:
    tx.execute(
        "INSERT INTO doomed_objects (object_key, delete_after) SELECT object_key, $moment FROM chunks"
        " WHERE job_id = $id AND object_key IS NOT NULL"
        " ON CONFLICT (object_key) DO UPDATE SET delete_after = excluded.delete_after",
        id=job_id,
        moment=tx.after(after_s),
    )
