"""What a job leaves behind: media facts and the plan, or a rendition; each at once, guarded by the attempt."""

from __future__ import annotations

import json
import uuid
from typing import Any

from nebula.db import chunks, files, jobs, leases
from nebula.db.database import Tx
from nebula.domain import rungs, subtitles
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.domain.records import Claim
from nebula.domain.states import FileState, JobKind, JobStage, JobState, PlanAction, Queue

NO_FILM = "no_film"


def queue_of(action: PlanAction) -> Queue:
    """Return the queue of a plan's work: copying a film takes seconds, encoding sound or picture does not."""
    return Queue.QUICK if action is PlanAction.REMUX else Queue.ENCODE


def record_probe(
    tx: Tx, claim: Claim, facts: MediaFacts | None, plan: Plan, *, in_chunks: bool = False
) -> Queue | None:
    """End a probe: facts and plan are kept, and the job that makes the film is queued. Returns its queue.

    `in_chunks`: an encode is cut into chunks.
    Raises Superseded, and changes nothing, where another attempt owns the job.
    """
    if plan.state is FileState.FAILED:
        leases.fail(tx, claim.job_id, claim.attempt, code=NO_FILM, error=_sentence(plan), permanent=True)
    else:
        leases.finish(tx, claim.job_id, claim.attempt)
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
    """End the job of a film whose original plays everywhere as it is, which its probe could not see.

    Raises Superseded, and changes nothing.
    """
    leases.finish(tx, claim.job_id, claim.attempt)
    _keep_plan(tx, claim.job_id, plan)
    content = tx.e.Content[claim.content.id]
    content.set(state=FileState.READY, web_ready=True, facts=facts.to_json())
    _describe(content, facts)
    tx.flush()


def publish_rendition(
    tx: Tx,
    claim: Claim,
    *,
    rung: str,
    object_key: str,
    size_bytes: int,
    sha256: str,
    width: int,
    height: int,
    duration_s: float,
    video_codec: str,
    audio_codec: str | None,
    warning: str | None,
) -> None:
    """Publish a film: job done, rendition there, content ready, object spared, chunks doomed.

    Raises Superseded, changing nothing.
    """
    leases.finish(tx, claim.job_id, claim.attempt, warning=warning)
    tx.e.Rendition(
        id=str(uuid.uuid4()),
        content=claim.content.id,
        rung=rung,
        object_key=object_key,
        size_bytes=size_bytes,
        sha256=sha256,
        width=width,
        height=height,
        duration_s=duration_s,
        video_codec=video_codec,
        audio_codec=audio_codec,
        created_at=tx.now,
    )
    tx.e.Content[claim.content.id].state = FileState.READY
    tx.flush()
    files.spare(tx, object_key)
    chunks.discard(tx, claim.job_id)


def plan_anew(tx: Tx, claim: Claim, plan: Plan, *, in_chunks: bool = False) -> None:
    """Give a job that waits with an older version's plan this version's. Where no film is needed, it ends."""
    has_failed = plan.state is FileState.FAILED
    queue, stage = _begins(plan, in_chunks)
    state = JobState.QUEUED if plan.makes_film else JobState.FAILED if has_failed else JobState.DONE
    waiting = tx.execute(
        "UPDATE jobs SET state = $state, queue = $queue, stage = $stage, rung = $rung, error_code = $code,"
        " error = $error"
        " WHERE id = $id AND attempt = $attempt AND state = 'queued' RETURNING id, attempt",
        id=claim.job_id,
        attempt=claim.attempt,
        state=state.value,
        queue=queue.value,
        stage=stage.value,
        rung=plan.rung,
        code=NO_FILM if has_failed else None,
        error=_sentence(plan) if has_failed else None,
    )
    if waiting:
        chunks.end(tx, claim.job_id)  # what is done of them and still fits is found again
        _keep_plan(tx, claim.job_id, plan)
        if not plan.makes_film:
            if plan.rung is None:  # else it is only this rung that the film no longer has
                tx.e.Content[claim.content.id].set(state=plan.state, web_ready=plan.web_ready)
            tx.execute("UPDATE jobs SET finished_at = $now WHERE id = $id", id=claim.job_id, now=tx.now)


def _begins(plan: Plan, in_chunks: bool) -> tuple[Queue, JobStage]:
    """Return where a plan's work begins: a film in chunks is laid out first, which takes seconds."""
    if in_chunks and plan.encodes_video:
        return Queue.QUICK, JobStage.SPLIT
    return queue_of(plan.action), JobStage.WHOLE


def _queue_films(tx: Tx, content: Any, plan: Plan, in_chunks: bool) -> Queue | None:
    """Queue the film's job, and those of its lower rungs; return the queue of the first."""
    queues = []
    if plan.makes_film:
        queue, stage = _begins(plan, in_chunks)
        row = jobs.add(tx, content, JobKind.RENDITION, queue, stage=stage, rung=plan.rung)
        _keep_plan(tx, row.id, plan)
        queues.append(queue)
    queues += [_queue_lower(tx, content, one, place, in_chunks) for place, one in enumerate(rungs.lower(plan))]
    return queues[0] if queues else None


def _queue_lower(tx: Tx, content: Any, plan: Plan, place: int, in_chunks: bool) -> Queue:
    queue, stage = _begins(plan, in_chunks)
    row = jobs.add(
        tx, content, JobKind.RENDITION, queue, stage=stage, rung=plan.rung, priority=jobs.LOWER_PRIORITY + place
    )
    row.created_at = tx.after((place + 1) / 1000)  # lists show it after the first
    _keep_plan(tx, row.id, plan)
    return queue


def _queue_subtitles(tx: Tx, content: Any, facts: MediaFacts) -> None:
    row = jobs.add(tx, content, JobKind.SUBTITLES, Queue.QUICK)
    row.created_at = tx.after((len(rungs.LOWER_RUNGS) + 1) / 1000)  # lists show it after the film
    row.plan_reasons = json.dumps(subtitles.decide(facts).reasons)
    tx.flush()


def _keep_plan(tx: Tx, job_id: str, plan: Plan) -> None:
    tx.execute(
        "UPDATE jobs SET plan = $plan, plan_version = $version, plan_reasons = $reasons WHERE id = $id",
        id=job_id,
        plan=plan.action.value,
        version=plan.version,
        reasons=json.dumps(plan.reasons),
    )


def _describe(content: Any, facts: MediaFacts) -> None:
    width, height = facts.moving[0].shown_size if facts.moving else (None, None)
    duration_s = (facts.duration_s or facts.listed_s or None) if facts.moving or facts.audio else None
    content.set(width=width, height=height, duration_s=duration_s)


def _sentence(plan: Plan) -> str:
    return f"No film can be made: {'; '.join(plan.reasons)}."
