"""Jobs that the version before added or moved, in its way: without tasks, with rows in the table `chunks`.

They come from before the migration that added tasks, and from the old gateway that still ran after it. A worker of the
old version may hold one: the new attempt number supersedes it, and its work is done again.

What the old version needs to go on after a way back stays written: it plans every job anew whose plan has an older
version (NO_VERSION), and takes back what has a lease that runs out. Its nodes meanwhile claim nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nebula.db.database import Tx
from nebula.db.moves import listed
from nebula.db.work import rows
from nebula.domain.states import JobKind, Queue, TaskKind
from nebula.domain.work import MadeChunk, NewTask

NO_VERSION = 0  # of a plan: below that of every version
AT_ONCE = 500
IN_PIECES = ("chunks", "join")  # stages of the version before
KINDS = {"video": TaskKind.VIDEO_CHUNK, "audio": TaskKind.AUDIO_CHUNK}


def adopt(tx: Tx) -> list[str]:
    """Give their tasks to live jobs that have none, AT_ONCE at most; return the ids of the jobs.

    One that a person paused gets them when it is resumed, as one that ended gets them when it is retried.
    """
    found = tx.select(
        f"SELECT id, attempt FROM jobs WHERE queue IN {listed(Queue)} AND {rows.LIVE} AND NOT {rows.BY_PERSON}"
        f" AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.job_id = jobs.id) LIMIT {AT_ONCE}"
    )
    adopted = [job_id for job_id, _ in found if rows.lock(tx, job_id) is not None]
    for job_id in adopted:
        add_tasks(tx, job_id)
        rows.unblock(tx, job_id)
        rows.show(tx, job_id)
    return adopted


def add_tasks(tx: Tx, job_id: str) -> None:
    """Add the tasks of a job of the version before, and take it from whoever holds it."""
    kind, stage, queue, version, duration_s = tx.select(
        "SELECT jobs.kind, stage, queue, plan_version, contents.duration_s"
        " FROM jobs JOIN contents ON contents.id = jobs.content_id WHERE jobs.id = $id",
        id=job_id,
    )[0]
    for task in _tasks(kind, stage, Queue(queue), duration_s or 0.0):
        rows.add(tx, job_id, replace(task, plan_version=version))
    if stage in IN_PIECES:
        _add_chunks(tx, job_id, version)
    tx.execute(
        "UPDATE jobs SET attempt = attempt + 1, stage = 'whole', not_before = NULL,"
        " plan_version = CASE WHEN plan_version IS NULL THEN NULL ELSE $none END WHERE id = $id",
        id=job_id,
        none=NO_VERSION,
    )


def _tasks(kind: str, stage: str, queue: Queue, duration_s: float) -> list[NewTask]:
    if kind != JobKind.RENDITION:
        return [NewTask(TaskKind(kind), media_s=0.0 if kind == JobKind.PROBE else duration_s)]
    if stage == "whole":
        return [NewTask(TaskKind.MAKE_WHOLE, queue=queue, media_s=duration_s)]
    split = NewTask(TaskKind.SPLIT, is_done=stage in IN_PIECES)
    return [split, NewTask(TaskKind.JOIN, step=2)] if split.is_done else [split]


def _add_chunks(tx: Tx, job_id: str, version: int | None) -> None:
    found = tx.select(
        "SELECT kind, number, plan, state, duration_s, attempt, repeats, object_key, key, build, size_bytes,"
        " fingerprint, start_s, warning FROM chunks WHERE job_id = $id ORDER BY number",
        id=job_id,
    )
    for row in found:
        rows.add(tx, job_id, replace(_chunk(row), plan_version=version))
        tx.execute(
            "UPDATE tasks SET repeats = $repeats WHERE job_id = $job AND step = 1 AND number = $number",
            repeats=row[6] + (row[3] == "running"),
            job=job_id,
            number=row[1],
        )


def _chunk(row: tuple[Any, ...]) -> NewTask:
    kind, number, plan, state, duration_s, attempt, _, object_key, key, build, size_bytes, *rest = row
    fingerprint, start_s, warning = rest
    task = NewTask(
        KINDS[kind],
        step=1,
        number=number,
        payload=plan,
        media_s=duration_s if kind == "video" else 0.0,
        attempt=attempt,
    )
    if state != "done":
        return task
    encoder = (build or "").split(" ")[0]
    made = MadeChunk(encoder, key or "", build or "", size_bytes, fingerprint or "", start_s, warning)
    return replace(task, object_key=object_key, result=made.to_json(), is_done=True)
