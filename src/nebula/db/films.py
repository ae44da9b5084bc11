"""Stores the results of jobs: facts and plan, or a rendition. Only the current attempt of a task can store them."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Any

from nebula.db import objects
from nebula.db.database import Tx
from nebula.db.moves import move_jobs
from nebula.db.work import adopting, jobs, rows, tasks
from nebula.domain import rungs, subtitles
from nebula.domain.kinds import KINDS
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.domain.states import FileState, JobState, PlanAction, Queue, TaskKind
from nebula.domain.work import Claim, Failure, NewJob, NewRendition, NewTask

NO_FILM = "no_film"


def queue_of(action: PlanAction) -> Queue:
    """Return the queue of a plan's work: copying a film takes seconds, encoding sound or picture does not."""
    return Queue.QUICK if action is PlanAction.REMUX else Queue.ENCODE


def record_probe(
    tx: Tx, claim: Claim, facts: MediaFacts | None, plan: Plan, *, in_chunks: bool = False
) -> Queue | None:
    """End a probe: store facts and plan, and queue the jobs that make the film. Returns the queue of the first job.

    `in_chunks`: films that need their picture encoded are encoded in chunks.
    Raises Superseded, and changes nothing, if another attempt owns the task.
    """
    if plan.state is FileState.FAILED:
        tasks.fail(tx, claim, Failure(NO_FILM, _sentence(plan), is_permanent=True))
    else:
        tasks.finish(tx, claim)
    _keep_plan(tx, claim.job_id, plan)
    content = tx.e.Content[claim.content.id]
    content.set(state=plan.state, web_ready=plan.web_ready)
    if facts is not None:
        content.facts = facts.to_json()
        _describe(content, facts)
    tx.flush()
    if facts is not None and facts.subtitles and (plan.makes_film or plan.web_ready):
        _queue_subtitles(tx, content, facts)
    return _queue_films(tx, content, plan, in_chunks)


def record_web_ready(tx: Tx, claim: Claim, facts: MediaFacts, plan: Plan) -> None:
    """End the job of a film whose original is web-ready, although the probe could not tell.

    Raises Superseded, and changes nothing, if another attempt owns the task.
    """
    tasks.finish(tx, claim)
    _keep_plan(tx, claim.job_id, plan)
    content = tx.e.Content[claim.content.id]
    content.set(state=FileState.READY, web_ready=True, facts=facts.to_json())
    _describe(content, facts)
    tx.flush()


def publish_rendition(tx: Tx, claim: Claim, made: NewRendition) -> None:
    """Publish a rendition: end the job, add the rendition, mark the content ready, spare the object, doom the chunks.

    Raises Superseded, and changes nothing, if another attempt owns the task.
    """
    tasks.finish(tx, claim, warning=made.warning)
    fields = {name: value for name, value in asdict(made).items() if name != "warning"}
    tx.e.Rendition(id=str(uuid.uuid4()), content=claim.content.id, created_at=tx.now, **fields)
    tx.e.Content[claim.content.id].state = FileState.READY
    tx.flush()
    objects.spare(tx, made.object_key)


def plan_anew(tx: Tx, claim: Claim, plan: Plan, *, in_chunks: bool = False) -> None:
    """Replace the plan of a queued job that an older version made. If the new plan makes no film, the job ends."""
    if not _is_queued(tx, claim.job_id):
        return
    _keep_plan(tx, claim.job_id, plan)
    tx.execute("UPDATE jobs SET rung = $rung WHERE id = $id", rung=plan.rung, id=claim.job_id)
    if plan.makes_film:
        _begin_anew(tx, claim, _first_task(plan, claim.content.duration_s, in_chunks))
        return
    has_failed = plan.state is FileState.FAILED
    changes = "error_code = $code, error = $error, finished_at = $now"
    code, error = (NO_FILM, _sentence(plan)) if has_failed else (None, None)
    target = JobState.FAILED if has_failed else JobState.DONE
    move_jobs(tx, target, "id = $id", changes, id=claim.job_id, code=code, error=error, now=tx.now)
    rows.cancel(tx, claim.job_id)
    if plan.rung is None:  # otherwise, only this lower rung is dropped
        tx.e.Content[claim.content.id].set(state=plan.state, web_ready=plan.web_ready)


def _is_queued(tx: Tx, job_id: str) -> bool:
    sql = f"UPDATE jobs SET attempt = attempt WHERE id = $id AND state = '{JobState.QUEUED}' RETURNING id, attempt"
    return bool(tx.execute(sql, id=job_id))


def _begin_anew(tx: Tx, claim: Claim, task: NewTask) -> None:
    """Queue a job's first task with its new plan. That task finds the finished chunks that still fit."""
    rows.cancel(tx, claim.job_id)
    if claim.kind == task.kind == TaskKind.SPLIT:
        tx.execute(
            "UPDATE tasks SET plan_version = $version WHERE id = $id", version=task.plan_version, id=claim.task_id
        )
        jobs.start_over(tx, claim.job_id)
    else:
        rows.discard(tx, claim.job_id)
        rows.add(tx, claim.job_id, task)
        rows.show(tx, claim.job_id)


def _first_task(plan: Plan, duration_s: float | None, in_chunks: bool) -> NewTask:
    """Return the first task of a plan. A film in chunks is split first, which takes seconds."""
    if in_chunks and plan.encodes_video:
        return NewTask(TaskKind.SPLIT, plan_version=plan.version)
    return NewTask(
        TaskKind.MAKE_WHOLE, queue=queue_of(plan.action), media_s=duration_s or 0.0, plan_version=plan.version
    )


def _queue_films(tx: Tx, content: Any, plan: Plan, in_chunks: bool) -> Queue | None:
    """Queue the film's job and those of its lower rungs; return the queue of the first, or None if there is none."""
    plans = [(plan, 0)] if plan.makes_film else []
    # In steps of two, because the priority number of a chunk is one higher than that of its film's other tasks.
    plans += [(lower, jobs.LOWER_RANK + 2 * place) for place, lower in enumerate(rungs.lower(plan))]
    queues = []
    for place, (film_plan, rank) in enumerate(plans, start=0 if plan.makes_film else 1):
        task = _first_task(film_plan, content.duration_s, in_chunks)
        jobs.add(tx, content, NewJob(task, plan=film_plan, rank=rank, place=place))
        queues.append(task.queue or KINDS[task.kind].queue)
    return queues[0] if queues else None


def _queue_subtitles(tx: Tx, content: Any, facts: MediaFacts) -> None:
    task = NewTask(TaskKind.SUBTITLES, media_s=content.duration_s or 0.0)
    jobs.add(tx, content, NewJob(task, reasons=subtitles.decide(facts).reasons, place=len(rungs.LOWER_RUNGS) + 1))


def _keep_plan(tx: Tx, job_id: str, plan: Plan) -> None:
    tx.execute(
        "UPDATE jobs SET plan = $plan, plan_version = $version, plan_reasons = $reasons WHERE id = $id",
        id=job_id,
        plan=plan.action.value,
        version=adopting.NO_VERSION,
        reasons=json.dumps(plan.reasons),
    )


def _describe(content: Any, facts: MediaFacts) -> None:
    width, height = facts.moving[0].shown_size if facts.moving else (None, None)
    duration_s = (facts.duration_s or facts.listed_s or None) if facts.moving or facts.audio else None
    content.set(width=width, height=height, duration_s=duration_s)


def _sentence(plan: Plan) -> str:
    return f"No film can be made: {'; '.join(plan.reasons)}."
