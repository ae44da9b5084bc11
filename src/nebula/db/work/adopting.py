"""Jobs that the previous version added or changed. They have no tasks, and may have rows in the table `chunks`.

They were added before the migration that added tasks, or by the old gateway while it still ran after the migration. If
a worker of the old version holds one, the new attempt number supersedes that worker, and its work is done again.

The columns that the old version needs after a rollback are still written. It makes a new plan for every job whose plan
has an older version (NO_VERSION), and takes back jobs whose lease runs out. Until then, its nodes claim nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nebula.db.database import Tx
from nebula.db.moves import listed
from nebula.db.work import rows
from nebula.domain.states import JobKind, Queue, TaskKind
from nebula.domain.work import MadeChunk, NewTask

NO_VERSION = 0  # a plan version that is older than all others
AT_ONCE = 500
IN_PIECES = ("chunks", "join")  # stages of a job in the previous version
KINDS = {"video": TaskKind.VIDEO_CHUNK, "audio": TaskKind.AUDIO_CHUNK}


def adopt(tx: Tx) -> list[str]:
    """Add tasks to live jobs that have none, to AT_ONCE jobs at most; return the ids of the jobs.

    A job that a person paused gets its tasks when it is resumed. A job that ended gets them when it is retried.
    """
    jobs_without_tasks = tx.select(
        f"SELECT id, attempt FROM jobs WHERE queue IN {listed(Queue)} AND {rows.LIVE} AND NOT {rows.BY_PERSON}"
        f" AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.job_id = jobs.id) LIMIT {AT_ONCE}"
    )
    adopted = [job_id for job_id, _ in jobs_without_tasks if rows.lock(tx, job_id) is not None]
    for job_id in adopted:
        add_tasks(tx, job_id)
        rows.unblock(tx, job_id)
        rows.show(tx, job_id)
    return adopted


def add_tasks(tx: Tx, job_id: str) -> None:
    """Add the tasks of a job of the previous version, and supersede the worker that holds it."""
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
    chunk_rows = tx.select(
        "SELECT kind, number, plan, state, duration_s, attempt, repeats, object_key, key, build, size_bytes,"
        " fingerprint, start_s, warning FROM chunks WHERE job_id = $id ORDER BY number",
        id=job_id,
    )
    for row in chunk_rows:
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
    made_chunk = MadeChunk(encoder, key or "", build or "", size_bytes, fingerprint or "", start_s, warning)
    return replace(task, object_key=object_key, result=made_chunk.to_json(), is_done=True)
