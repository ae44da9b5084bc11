"""The tables of jobs and tasks as Pony maps them. The other tables are in db/entities.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pony import orm

from nebula.db.columns import key, maybe_text, text


def define_entities(database: orm.Database) -> dict[str, Any]:
    """Define the entities on `database` and return them by name."""

    class Job(database.Entity):  # type: ignore[misc]
        """What a person asked for or sees. While it is live, its row shows the sum of its tasks (db/work/rows.py).

        `stage`, `not_before`, `lease_until` and `plan_version` are only for the previous version.
        """

        _table_ = "jobs"
        id = key()
        content = orm.Required("Content", column="content_id", index="jobs_by_content")
        kind = text()
        queue = text()
        state = text()
        priority = orm.Required(int)
        attempt = orm.Required(int, default=0)
        failures = orm.Required(int, default=0)
        interruptions = orm.Required(int, default=0)
        not_before = orm.Optional(datetime)
        progress = orm.Required(float, default=0.0)
        speed = orm.Optional(float)
        eta_s = orm.Optional(float)
        node = maybe_text()
        lease_until = orm.Optional(datetime)
        plan = maybe_text()
        plan_version = orm.Optional(int)
        plan_reasons = maybe_text()
        rung = maybe_text()
        command = maybe_text()
        warning = maybe_text()
        error_code = maybe_text()
        error = maybe_text()
        log = maybe_text()
        chunks_total = orm.Required(int, default=0)
        chunks_done = orm.Required(int, default=0)
        chunks_repeated = orm.Required(int, default=0)
        created_at = orm.Required(datetime)
        started_at = orm.Optional(datetime)
        finished_at = orm.Optional(datetime)
        stage = text(default="whole")
        encoder = maybe_text()
        fingerprint = maybe_text()
        paused_reason = maybe_text()
        rejections = orm.Required(int, default=0)
        restarts = orm.Required(int, default=0)
        tasks = orm.Set("Task")
        chunks = orm.Set("Chunk")
        orm.composite_index(queue, state, priority, created_at)

    class Task(database.Entity):  # type: ignore[misc]
        """A piece of a job that a worker can claim. It waits for all tasks of the job that have a lower `step`."""

        _table_ = "tasks"
        id = key()
        job = orm.Required(Job, column="job_id", index="tasks_by_job")
        kind = text()
        queue = text()
        state = text()
        priority = orm.Required(int)
        needs_mains = orm.Required(bool)
        plan_version = orm.Optional(int)
        step = orm.Required(int)
        number = orm.Required(int)
        attempt = orm.Required(int)
        failures = orm.Required(int)
        interruptions = orm.Required(int)
        repeats = orm.Required(int)
        not_before = orm.Optional(datetime)
        node = maybe_text()
        lease_until = orm.Optional(datetime)
        paused_reason = maybe_text()
        progress = orm.Required(float)
        speed = orm.Optional(float)
        media_s = orm.Required(float)
        error_code = maybe_text()
        error = maybe_text()
        payload = maybe_text()
        object_key = maybe_text()
        result = maybe_text()
        created_at = orm.Required(datetime)
        orm.composite_index(queue, state, priority, created_at)

    class Chunk(database.Entity):  # type: ignore[misc]
        """A chunk of the previous version (db/work/adopting.py). A contracting revision will drop the table."""

        _table_ = "chunks"
        job = orm.Required(Job, column="job_id")
        number = orm.Required(int)
        kind = text()
        plan = text()
        key = maybe_text()
        build = maybe_text()
        state = text()
        frames = orm.Required(int)
        duration_s = orm.Required(float)
        frames_done = orm.Required(int)
        speed = orm.Optional(float)
        attempt = orm.Required(int)
        failures = orm.Required(int)
        interruptions = orm.Required(int)
        repeats = orm.Required(int)
        not_before = orm.Optional(datetime)
        node = maybe_text()
        lease_until = orm.Optional(datetime)
        paused_reason = maybe_text()
        object_key = maybe_text()
        size_bytes = orm.Optional(int, size=64)
        fingerprint = maybe_text()
        start_s = orm.Optional(float)
        warning = maybe_text()
        error_code = maybe_text()
        error = maybe_text()
        orm.PrimaryKey(job, number)
        orm.composite_index(state, job)

    return {"Job": Job, "Task": Task, "Chunk": Chunk}
