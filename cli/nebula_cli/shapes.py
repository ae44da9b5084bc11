"""The API's objects in people's words: a file's state, a film's length and picture, a job's progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nebula_cli import formats

MOST_OF_A_REASON = 60  # letters; the whole of it is in `nebula job ID`
LIVE = frozenset({"queued", "running", "paused"})
STATE_COLOURS = {
    "ready": "green",
    "done": "green",
    "processing": "yellow",
    "running": "yellow",
    "paused": "yellow",
    "run": "green",
    "gently": "yellow",
    "pause": "yellow",
    "hand_back": "red",
    "failed": "red",
    "down": "red",
    "up": "green",
    "ok": "green",
    "waiting": "yellow",
    "failing": "red",
    "overdue": "red",
}


def state(file: Mapping[str, Any]) -> str:
    """Return "ready", or "processing 42 %" where a film is being made."""
    name = str(file.get("state", ""))
    if name != "processing":
        return name
    return f"processing {percent(progress(file))}"


def progress(file: Mapping[str, Any]) -> float:
    """Return how far the film-making is (0..1): of the job that is furthest: one representation is enough."""
    if isinstance(file.get("progress"), (int, float)):
        return float(file["progress"])
    live = [job for job in file.get("jobs") or [] if job.get("state") in LIVE and job.get("kind") == "rendition"]
    return max((float(job.get("progress") or 0) for job in live), default=0.0)


def percent(fraction: float | None) -> str:
    """Return "42 %"; never 100 before the end."""
    return f"{int(100 * (fraction or 0))} %"


def picture(thing: Mapping[str, Any]) -> str:
    """Return "1920x1080", or nothing."""
    if not (thing.get("width") and thing.get("height")):
        return ""
    return f"{thing['width']}x{thing['height']}"


def job_state(job: Mapping[str, Any]) -> str:
    """Return "running", or with its reason "paused (on battery at 40 %)", "queued (Waits: The disk is full ...)"."""
    state = str(job.get("state", ""))
    reason = str({"paused": job.get("paused_reason"), "queued": job.get("error")}.get(state) or "")
    return f"{state} ({_short(reason)})" if reason else state


def _short(reason: str) -> str:
    return reason if len(reason) <= MOST_OF_A_REASON else f"{reason[:MOST_OF_A_REASON]}..."


def job_progress(job: Mapping[str, Any]) -> str:
    """Return how far a job is: "42 %"; nothing where it has not begun or says it by its state."""
    return percent(job.get("progress")) if job.get("state") in {"running", "paused"} else ""


def speed(job: Mapping[str, Any]) -> str:
    """Return "3.2x" for a running job: media seconds per second."""
    return f"{job['speed']:.1f}x" if job.get("speed") and job.get("state") == "running" else ""


def eta(job: Mapping[str, Any]) -> str:
    """Return the time that a running job still takes."""
    return formats.duration(job.get("eta_s")) if job.get("state") == "running" else ""


def what(job: Mapping[str, Any]) -> str:
    """Return what a job makes, and how: "probe", "1080p encode", "source remux"."""
    if job.get("kind") != "rendition":
        return str(job.get("kind", ""))
    return " ".join(str(part) for part in (job.get("rung") or "rendition", job.get("plan")) if part)
