"""Films that are encoded in chunks: one task splits, one makes each chunk, one joins."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum

from nebula.db import files
from nebula.db.database import Tx
from nebula.db.moves import move_tasks
from nebula.db.work import families, rows, tasks
from nebula.domain.encoders import SOFTWARE
from nebula.domain.limits import MAX_REJECTIONS
from nebula.domain.states import Queue, TaskKind, TaskState
from nebula.domain.work import Claim, Failure, MadeChunk, NewTask, StoredChunk

CHUNKS, JOIN = 1, 2  # the steps after the split
DUE_SOON_S = 600  # a doomed object that is due within this may be on its way out already
DIFFERENT = Failure("chunks_differ", "The nodes encode this film so differently that its chunks cannot be joined.")


class Outcome(StrEnum):
    """What became of a chunk that was made."""

    DONE = "done"
    LAST = "last"  # the film can be joined
    REJECTED = "rejected"  # it does not fit to the others, and is made again
    RESTARTED = "restarted"  # so many did not fit that all are made again, in software
    FAILED = "failed"  # even those did not


def lay_out(
    tx: Tx, claim: Claim, wanted: Collection[NewTask], fitting: Collection[str], encoder: str | None = None
) -> Queue | None:
    """End the split: add a film's chunks and their join; return the queue in which it goes on. Raises Superseded.

    A chunk that an earlier run of the job finished is kept if its object is one of the `fitting`. `encoder` binds the
    film to a family from the start; without one, and without a chunk that is kept, whoever begins chooses.
    """
    tasks.hold(tx, claim)
    kept, attempt = _sort_out(tx, claim.job_id, wanted, fitting)
    for task in wanted:
        if task.number not in kept:
            rows.add(tx, claim.job_id, replace(task, attempt=attempt))
    rows.add(tx, claim.job_id, NewTask(TaskKind.JOIN, JOIN, plan_version=claim.plan_version))
    if not any(task.number in kept and task.kind == TaskKind.VIDEO_CHUNK for task in wanted):
        tx.execute(
            "UPDATE jobs SET fingerprint = NULL, rejections = 0,"
            " encoder = CASE WHEN restarts > 0 THEN $software ELSE $encoder END WHERE id = $id",
            software=SOFTWARE,
            encoder=encoder,
            id=claim.job_id,
        )
    return tasks.finish(tx, claim)


def _sort_out(tx: Tx, job_id: str, wanted: Collection[NewTask], fitting: Collection[str]) -> tuple[set[int], int]:
    """Remove what does not fit of an earlier run; return the numbers of what does, and the highest attempt number.

    New rows count on from that attempt: a key that was ever used is never used again.
    """
    numbers = {task.number for task in wanted}
    earlier = tx.select(
        f"SELECT id, number, state, object_key, attempt FROM tasks WHERE job_id = $id AND kind IN {rows.parts()}",
        id=job_id,
    )
    kept = set()
    for task_id, number, state, object_key, _ in earlier:
        is_kept = number in numbers and state == TaskState.DONE and object_key in fitting
        if is_kept and _outlasts(tx, object_key):
            files.spare(tx, object_key)
            kept.add(number)
            continue
        if object_key is not None:
            files.doom(tx, object_key)
        tx.execute("DELETE FROM tasks WHERE id = $id", id=task_id)
    return kept, max((attempt for *_, attempt in earlier), default=0)


def _outlasts(tx: Tx, object_key: str) -> bool:
    due = tx.select(
        "SELECT object_key, delete_after FROM doomed_objects WHERE object_key = $key AND delete_after <= $soon",
        key=object_key,
        soon=tx.after(DUE_SOON_S),
    )
    return not due


def finish(tx: Tx, claim: Claim, object_key: str, made: MadeChunk) -> Outcome:
    """End a chunk as done, its object spared; the last one queues the join. Raises Superseded, changing nothing.

    A chunk of the picture whose extradata are not those of the first is rejected and doomed; MAX_REJECTIONS of them
    start the film again.
    """
    tasks.hold(tx, claim)
    move_tasks(
        tx,
        TaskState.DONE,
        "id = $task",
        f"{rows.FREE}, progress = 1, object_key = $object, result = $result",
        task=claim.task_id,
        object=object_key,
        result=made.to_json(),
    )
    is_picture = claim.kind == TaskKind.VIDEO_CHUNK
    if is_picture and not families.bind_header(tx, claim.job_id, made.encoder, made.fingerprint):
        return _reject(tx, claim, object_key)
    files.spare(tx, object_key)
    return Outcome.DONE if tasks.go_on(tx, claim.job_id) is None else Outcome.LAST


def _reject(tx: Tx, claim: Claim, object_key: str) -> Outcome:
    files.doom(tx, object_key)
    move_tasks(tx, TaskState.QUEUED, "id = $task", rows.RESET, task=claim.task_id)
    rejected = "UPDATE jobs SET rejections = rejections + 1 WHERE id = $id RETURNING rejections, restarts"
    rejections, _ = tx.execute(rejected, id=claim.job_id)[0]
    if rejections < MAX_REJECTIONS:
        rows.show(tx, claim.job_id)
        return Outcome.REJECTED
    is_restarted = families.restart_or_give_up(tx, claim.job_id, DIFFERENT)
    return Outcome.RESTARTED if is_restarted else Outcome.FAILED


def fail_hardware(tx: Tx, claim: Claim, error: str) -> Outcome:
    """Have a film made again in software: hardware failed at a chunk of it. Raises Superseded."""
    tasks.hold(tx, claim)
    is_restarted = families.restart_or_give_up(tx, claim.job_id, Failure("hardware_failed", error))
    return Outcome.RESTARTED if is_restarted else Outcome.FAILED


def send_back(tx: Tx, claim: Claim, numbers: Collection[int]) -> None:
    """Have chunks made again that the store has lost; the join waits for them. Raises Superseded."""
    tasks.hold(tx, claim)
    move_tasks(tx, TaskState.WAITING, "id = $task", rows.FREE, task=claim.task_id)
    lost = f"job_id = $job AND step = {CHUNKS} AND number IN ({', '.join(str(int(number)) for number in numbers)})"
    move_tasks(tx, TaskState.QUEUED, lost, f"{rows.RESET}, repeats = repeats + 1", job=claim.job_id)
    rows.show(tx, claim.job_id)


def in_one_piece(tx: Tx, claim: Claim) -> None:
    """Have a film made whole: it cannot be split, or a chunk of it cannot be made, or joined. Raises Superseded."""
    tasks.hold(tx, claim)
    rows.discard(tx, claim.job_id)
    media_s = claim.content.duration_s or 0.0
    rows.add(tx, claim.job_id, NewTask(TaskKind.MAKE_WHOLE, media_s=media_s, plan_version=claim.plan_version))
    rows.show(tx, claim.job_id)


def stored(tx: Tx, job_id: str) -> list[StoredChunk]:
    """Return a job's chunks that are done, in order."""
    found = tx.select(
        "SELECT number, kind, object_key, result FROM tasks"
        f" WHERE job_id = $id AND {rows.DONE} AND kind IN {rows.parts()} ORDER BY number",
        id=job_id,
    )
    return [StoredChunk(number, kind, key, MadeChunk.from_json(result)) for number, kind, key, result in found]
