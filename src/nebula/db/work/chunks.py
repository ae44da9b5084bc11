"""Films that are encoded in chunks: one task splits the film, one makes each chunk, and one joins the chunks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from enum import StrEnum

from nebula.db import objects
from nebula.db.database import Tx
from nebula.db.moves import move_tasks
from nebula.db.work import families, rows, tasks
from nebula.domain.encoders import SOFTWARE
from nebula.domain.limits import MAX_REJECTIONS
from nebula.domain.states import Queue, TaskKind, TaskState
from nebula.domain.work import Claim, Failure, MadeChunk, NewTask, StoredChunk

CHUNKS, JOIN = 1, 2  # the steps after the split
DUE_SOON_S = 600  # an object that is doomed to be deleted this soon may already be being deleted
DIFFERENT = Failure("chunks_differ", "The nodes encode this film so differently that its chunks cannot be joined.")


class Outcome(StrEnum):
    """What became of a chunk that was encoded."""

    DONE = "done"
    LAST = "last"  # the film can be joined
    REJECTED = "rejected"  # it does not match the others, and is made again
    RESTARTED = "restarted"  # too many did not match, so all are made again in software
    FAILED = "failed"  # even the chunks made in software did not match


def lay_out(
    tx: Tx, claim: Claim, wanted: Collection[NewTask], fitting: Collection[str], encoder: str | None = None
) -> Queue | None:
    """End the split: add the tasks of a film's chunks and of their join; return the queue of the next tasks.

    A chunk that an earlier run of the job finished is kept if its object key is in `fitting`. If no picture chunk is
    kept, the film is bound to `encoder` (after a restart, to software); if that is None, the first node to claim a
    picture chunk chooses. Raises Superseded.
    """
    tasks.hold(tx, claim)
    kept_numbers, attempt = _sort_out(tx, claim.job_id, wanted, fitting)
    for task in wanted:
        if task.number not in kept_numbers:
            rows.add(tx, claim.job_id, replace(task, attempt=attempt))
    rows.add(tx, claim.job_id, NewTask(TaskKind.JOIN, JOIN, plan_version=claim.plan_version))
    if not any(task.number in kept_numbers and task.kind == TaskKind.VIDEO_CHUNK for task in wanted):
        tx.execute(
            "UPDATE jobs SET fingerprint = NULL, rejections = 0,"
            " encoder = CASE WHEN restarts > 0 THEN $software ELSE $encoder END WHERE id = $id",
            software=SOFTWARE,
            encoder=encoder,
            id=claim.job_id,
        )
    return tasks.finish(tx, claim)


def _sort_out(tx: Tx, job_id: str, wanted: Collection[NewTask], fitting: Collection[str]) -> tuple[set[int], int]:
    """Delete an earlier run's chunks that do not fit; return the numbers of those that do, and the highest attempt.

    New rows start from that attempt number, so that no object key is used twice.
    """
    numbers = {task.number for task in wanted}
    earlier = tx.select(
        f"SELECT id, number, state, object_key, attempt FROM tasks WHERE job_id = $id AND kind IN {rows.parts()}",
        id=job_id,
    )
    kept_numbers = set()
    for task_id, number, state, object_key, _ in earlier:
        is_kept = number in numbers and state == TaskState.DONE and object_key in fitting
        if is_kept and _outlasts(tx, object_key):
            objects.spare(tx, object_key)
            kept_numbers.add(number)
            continue
        if object_key is not None:
            objects.doom(tx, object_key)
        tx.execute("DELETE FROM tasks WHERE id = $id", id=task_id)
    return kept_numbers, max((attempt for *_, attempt in earlier), default=0)


def _outlasts(tx: Tx, object_key: str) -> bool:
    due = tx.select(
        "SELECT object_key, delete_after FROM doomed_objects WHERE object_key = $key AND delete_after <= $soon",
        key=object_key,
        soon=tx.after(DUE_SOON_S),
    )
    return not due


def finish(tx: Tx, claim: Claim, object_key: str, made: MadeChunk) -> Outcome:
    """End a chunk as done and spare its object; the last chunk queues the join. Raises Superseded, changing nothing.

    A picture chunk is rejected and doomed if its extradata (codec header) differ from those of the first one. After
    MAX_REJECTIONS of them, all chunks of the picture are made again in software.
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
    objects.spare(tx, object_key)
    return Outcome.DONE if tasks.go_on(tx, claim.job_id) is None else Outcome.LAST


def _reject(tx: Tx, claim: Claim, object_key: str) -> Outcome:
    objects.doom(tx, object_key)
    move_tasks(tx, TaskState.QUEUED, "id = $task", rows.RESET, task=claim.task_id)
    sql = "UPDATE jobs SET rejections = rejections + 1 WHERE id = $id RETURNING rejections, restarts"
    rejections, _ = tx.execute(sql, id=claim.job_id)[0]
    if rejections < MAX_REJECTIONS:
        rows.show(tx, claim.job_id)
        return Outcome.REJECTED
    is_restarted = families.restart_or_give_up(tx, claim.job_id, DIFFERENT)
    return Outcome.RESTARTED if is_restarted else Outcome.FAILED


def fail_hardware(tx: Tx, claim: Claim, error: str) -> Outcome:
    """Make a film again in software, because hardware failed at one of its chunks. Raises Superseded."""
    tasks.hold(tx, claim)
    is_restarted = families.restart_or_give_up(tx, claim.job_id, Failure("hardware_failed", error))
    return Outcome.RESTARTED if is_restarted else Outcome.FAILED


def send_back(tx: Tx, claim: Claim, numbers: Collection[int]) -> None:
    """Queue chunks again that the store has lost; the join waits for them. Raises Superseded."""
    tasks.hold(tx, claim)
    move_tasks(tx, TaskState.WAITING, "id = $task", rows.FREE, task=claim.task_id)
    lost = f"job_id = $job AND step = {CHUNKS} AND number IN ({', '.join(str(int(number)) for number in numbers)})"
    move_tasks(tx, TaskState.QUEUED, lost, f"{rows.RESET}, repeats = repeats + 1", job=claim.job_id)
    rows.show(tx, claim.job_id)


def in_one_piece(tx: Tx, claim: Claim) -> None:
    """Make a film whole, because it cannot be split, or its chunks cannot be made or joined. Raises Superseded."""
    tasks.hold(tx, claim)
    rows.discard(tx, claim.job_id)
    media_s = claim.content.duration_s or 0.0
    rows.add(tx, claim.job_id, NewTask(TaskKind.MAKE_WHOLE, media_s=media_s, plan_version=claim.plan_version))
    rows.show(tx, claim.job_id)


def stored(tx: Tx, job_id: str) -> list[StoredChunk]:
    """Return the finished chunks of a job, in order."""
    chunk_rows = tx.select(
        "SELECT number, kind, object_key, result FROM tasks"
        f" WHERE job_id = $id AND {rows.DONE} AND kind IN {rows.parts()} ORDER BY number",
        id=job_id,
    )
    return [StoredChunk(number, kind, key, MadeChunk.from_json(result)) for number, kind, key, result in chunk_rows]
