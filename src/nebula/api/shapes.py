"""Records as the API's JSON objects (design.md section 4)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nebula.domain.listing import FileDetails
from nebula.domain.records import Job, Node, Operation, PowerChange, Rendition, Subtitles
from nebula.domain.subtitles import language_tag
from nebula.domain.throttle import Decision, PowerReading
from nebula.services.backups import BackupStanding
from nebula.services.status import PowerOfNode


def time_json(moment: datetime | None) -> str | None:
    """Return an RFC 3339 time in UTC; None stays None."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def file_json(details: FileDetails) -> dict[str, Any]:
    """Return a file with its renditions, subtitles and jobs."""
    file, content = details.file, details.file.content
    return {
        "id": file.id,
        "name": file.name,
        "size_bytes": content.size_bytes,
        "sha256": content.sha256,
        "media_type": file.media_type,
        "state": content.state,
        "visibility": file.visibility,
        "account": file.account_name,
        "created_at": time_json(file.created_at),
        "deleted_at": time_json(file.deleted_at),
        "duration_s": content.duration_s,
        "width": content.width,
        "height": content.height,
        "web_ready": content.web_ready,
        "renditions": [rendition_json(rendition) for rendition in details.renditions],
        "subtitles": [subtitles_json(one) for one in details.subtitles],
        "jobs": [job_json(job) for job in details.jobs],
    }


def rendition_json(rendition: Rendition) -> dict[str, Any]:
    """Return one rendition."""
    return {
        "id": rendition.id,
        "rung": rendition.rung,
        "size_bytes": rendition.size_bytes,
        "sha256": rendition.sha256,
        "media_type": "video/mp4",
        "width": rendition.width,
        "height": rendition.height,
        "duration_s": rendition.duration_s,
        "video_codec": rendition.video_codec,
        "audio_codec": rendition.audio_codec,
        "created_at": time_json(rendition.created_at),
    }


def subtitles_json(found: Subtitles) -> dict[str, Any]:
    """Return one of a file's subtitles; `language` is a tag of BCP 47."""
    return {
        "id": found.id,
        "language": language_tag(found.language),
        "title": found.title,
        "default": found.is_default,
        "forced": found.is_forced,
        "hearing_impaired": found.is_for_hearing_impaired,
        "size_bytes": found.size_bytes,
        "sha256": found.sha256,
        "cues": found.cues,
    }


def job_json(job: Job) -> dict[str, Any]:
    """Return one job; `account` is whose file it works on, `log` the tail of ffmpeg's stderr."""
    return {
        "id": job.id,
        "file_id": job.file_id,
        "account": job.account_name,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "progress": round(job.progress, 4),
        "speed": job.speed,
        "eta_s": job.eta_s,
        "node": job.node,
        "attempt": job.attempt,
        "chunks_total": job.chunks_total,
        "chunks_done": job.chunks_done,
        "chunks_repeated": job.chunks_repeated,
        "encoder": job.encoder,
        "restarts": job.restarts,
        "rejections": job.rejections,
        "plan": job.plan,
        "plan_reasons": list(job.plan_reasons),
        "rung": job.rung,
        "command": job.command,
        "warning": job.warning,
        "paused_reason": job.paused_reason,
        "error_code": job.error_code,
        "error": job.error,
        "log": job.log,
        "created_at": time_json(job.created_at),
        "started_at": time_json(job.started_at),
        "finished_at": time_json(job.finished_at),
    }


def node_json(node: Node) -> dict[str, Any]:
    """Return one node."""
    return {
        "name": node.name,
        "version": node.version,
        "encoder": node.encoder,
        "viewers": node.viewers,
        "on_mains": node.power and node.power.reading.on_mains,
        "percent": node.power and _tenths(node.power.reading.percent),
        "throttle": node.power and node.power.decision.throttle,
        "throttle_reasons": list(node.power.decision.reasons) if node.power else [],
        "started_at": time_json(node.started_at),
        "seen_at": time_json(node.seen_at),
    }


def power_json(found: PowerOfNode) -> dict[str, Any]:
    """Return the power of a node that took a reading."""
    power = found.node.power
    if power is None:
        raise ValueError("the node has no reading")
    return {
        "node": found.node.name,
        "encoder": found.node.encoder,
        **_decision_json(power.decision, power.reading),
        "since": time_json(power.since),
        "read_at": time_json(power.read_at),
        "problems": list(power.reading.problems),
        "viewers": found.node.viewers,
        "paused_s": round(power.paused_s, 1),
        "history": None if found.history is None else [_change_json(change) for change in found.history],
    }


def operation_json(operation: Operation) -> dict[str, Any]:
    """Return one operation."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": operation.state,
        "asked_by": operation.asked_by,
        "commit": operation.commit_id,
        "release": operation.release,
        "message": operation.message,
        "created_at": time_json(operation.created_at),
        "started_at": time_json(operation.started_at),
        "finished_at": time_json(operation.finished_at),
    }


def backup_json(standing: BackupStanding) -> dict[str, Any]:
    """Return how the backup is; nothing but its state where none is set up."""
    backup = standing.backup

    def noted(name: str) -> Any:
        return None if backup is None else getattr(backup, name)

    return {
        "state": standing.state,
        "running": standing.is_running,
        "target": noted("target"),
        "kept": noted("kept"),
        "warning": noted("warning"),
        "tried_at": time_json(noted("tried_at")),
        "succeeded_at": time_json(noted("succeeded_at")),
        "said": noted("said"),
        "error": noted("error"),
        "read_at": time_json(noted("read_at")),
        "read_said": noted("read_said"),
        "read_error": noted("read_error"),
    }


def _tenths(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def _change_json(change: PowerChange) -> dict[str, Any]:
    return {"at": time_json(change.at), **_decision_json(change.decision, change.reading)}


def _decision_json(decision: Decision, reading: PowerReading) -> dict[str, Any]:
    return {
        "throttle": decision.throttle,
        "reasons": list(decision.reasons),
        "on_mains": reading.on_mains,
        "percent": _tenths(reading.percent),
        "temperature_c": reading.temperature_c,
    }
