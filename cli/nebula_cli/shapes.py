"""Describes the API's objects for people: a file's state, a film's picture size, a job's state, progress and speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nebula_cli import formats

MOST_OF_A_REASON = 60  # characters; `nebula job ID` shows the whole reason
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
    """Return a file's state: "ready", or "processing 42 %" while a film is being made."""
    name = str(file.get("state", ""))
    if name != "processing":
        return name
    return f"processing {percent(progress(file))}"


def progress(file: Mapping[str, Any]) -> float:
    """Return the progress of making the film (0..1).

    This is the progress of the job that is furthest, because one rendition is enough to play the film.
    """
    if isinstance(file.get("progress"), (int, float)):
        return float(file["progress"])
    live = [job for job in file.get("jobs") or [] if job.get("state") in LIVE and job.get("kind") == "rendition"]
    return max((float(job.get("progress") or 0) for job in live), default=0.0)


def percent(fraction: float | None) -> str:
    """Return "42 %", rounded down, so that 100 % appears only at the end."""
    return f"{int(100 * (fraction or 0))} %"


def picture(thing: Mapping[str, Any]) -> str:
    """Return the size of the picture, "1920x1080"; empty if it is unknown."""
    if not (thing.get("width") and thing.get("height")):
        return ""
    return f"{thing['width']}x{thing['height']}"


def job_state(job: Mapping[str, Any]) -> str:
    """Return a job's state, with its reason if there is one.

    Examples: "running", "paused (on battery at 40 %)", "queued (Waits: The disk is full ...)".
    """
    state = str(job.get("state", ""))
    reason = str({"paused": job.get("paused_reason"), "queued": job.get("error")}.get(state) or "")
    return f"{state} ({_short(reason)})" if reason else state


def _short(reason: str) -> str:
    return reason if len(reason) <= MOST_OF_A_REASON else f"{reason[:MOST_OF_A_REASON]}..."


def job_progress(job: Mapping[str, Any]) -> str:
    """Return a job's progress, "42 %"; empty unless the job is running or paused."""
    return percent(job.get("progress")) if job.get("state") in {"running", "paused"} else ""


def speed(job: Mapping[str, Any]) -> str:
    """Return a running job's speed in seconds of media per second, "3.2x"; empty for other jobs."""
    return f"{job['speed']:.1f}x" if job.get("speed") and job.get("state") == "running" else ""


def eta(job: Mapping[str, Any]) -> str:
    """Return the estimated time until a running job ends; empty for other jobs."""
    return formats.duration(job.get("eta_s")) if job.get("state") == "running" else ""


def what(job: Mapping[str, Any]) -> str:
    """Return what a job makes, and how: "probe", "1080p encode", "source remux"."""
    if job.get("kind") != "rendition":
        return str(job.get("kind", ""))
    return " ".join(str(part) for part in (job.get("rung") or "rendition", job.get("plan")) if part)
