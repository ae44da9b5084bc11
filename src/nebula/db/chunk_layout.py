"""Laying a job's chunks out, and taking them back: what the job's own claim does, before them and after them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nebula.db import chunks, files, leases
from nebula.db.database import Tx
from nebula.domain.encoders import SOFTWARE
from nebula.domain.records import Claim, PlannedChunk
from nebula.domain.states import ChunkKind, ChunkState, JobStage, Queue

DUE_SOON_S = 600  # a doomed object that is due within this may be on its way out already


def lay_out(
    tx: Tx, claim: Claim, planned: Collection[PlannedChunk], fitting: Collection[str], encoder: str | None = None
) -> bool:
    """Make the rows of a job's chunks; say whether any is left to do. Raises Superseded.

    What an earlier run of the job finished is taken where its object is one of the `fitting`. `encoder` binds the film
    to a family from the start; without one, and without a chunk that is taken, whoever begins chooses.
    """
    leases.move_on(tx, claim, JobStage.CHUNKS, Queue.ENCODE)
    earlier = {row.number: row for row in tx.e.Chunk.select(lambda chunk: chunk.job.id == claim.job_id)}
    kept = {chunk.number for chunk in planned if _fits(tx, earlier.get(chunk.number), fitting)}
    # New rows count on from the highest attempt: a key that was ever used is never used again.
    attempt = max((row.attempt for row in earlier.values()), default=0)
    for number, row in earlier.items():
        if number in kept:
            files.spare(tx, row.object_key)
        else:
            if row.object_key is not None:
                files.doom(tx, row.object_key)
            row.delete()
    tx.flush()
    for chunk in planned:
        if chunk.number not in kept:
            _add(tx, claim.job_id, chunk, attempt)
    if not any(chunk.number in kept and chunk.kind is ChunkKind.VIDEO for chunk in planned):
        tx.execute(
            "UPDATE jobs SET fingerprint = NULL, rejections = 0,"
            " encoder = CASE WHEN restarts > 0 THEN $software ELSE $encoder END WHERE id = $id",
            software=SOFTWARE,
            encoder=encoder,
            id=claim.job_id,
        )
    chunks.show(tx, claim.job_id)
    return not chunks.join_if_done(tx, claim.job_id)


def _fits(tx: Tx, row: Any, fitting: Collection[str]) -> bool:
    if row is None or row.state != ChunkState.DONE or row.object_key not in fitting:
        return False
    doomed = tx.e.DoomedObject.get(object_key=row.object_key)
    return doomed is None or bool(doomed.delete_after > tx.after(DUE_SOON_S))


def _add(tx: Tx, job_id: str, chunk: PlannedChunk, attempt: int) -> None:
    tx.e.Chunk(
        job=job_id,
        number=chunk.number,
        kind=chunk.kind,
        plan=chunk.plan,
        state=ChunkState.QUEUED,
        frames=chunk.frames,
        duration_s=chunk.duration_s,
        frames_done=0,
        attempt=attempt,
        failures=0,
        interruptions=0,
        repeats=0,
    )
    tx.flush()


def send_back(tx: Tx, claim: Claim, numbers: Collection[int]) -> None:
    """Have chunks made again that the store has lost; the join comes after them. Raises Superseded."""
    leases.move_on(tx, claim, JobStage.CHUNKS, Queue.ENCODE)
    for number in numbers:
        sql = f"UPDATE chunks SET {chunks.BLANK}, repeats = repeats + 1 WHERE job_id = $job AND number = $number"
        tx.execute(sql, job=claim.job_id, number=number)
    chunks.show(tx, claim.job_id)


def in_one_piece(tx: Tx, claim: Claim) -> None:
    """Have the film made whole: it cannot be made in chunks. Raises Superseded."""
    leases.move_on(tx, claim, JobStage.WHOLE, Queue.ENCODE)
    chunks.discard(tx, claim.job_id)
    tx.execute("UPDATE jobs SET chunks_total = 0, chunks_done = 0, progress = 0 WHERE id = $id", id=claim.job_id)
