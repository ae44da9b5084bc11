"""The table of the kinds of work. A new kind needs a row here and a handler in services/films/claiming.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nebula.domain.limits import LEASE_S
from nebula.domain.states import JobKind, Queue, TaskKind


@dataclass(frozen=True)
class Kind:
    """The properties that all tasks of one kind share."""

    job: str  # the kind of the job that it is a task of
    queue: Queue  # where it waits, unless it is added to another queue
    priority: int  # lower numbers are claimed first
    needs_mains: bool = False  # only the worker of the encode queue reads the power supply
    lease_s: float = LEASE_S
    is_part: bool = False  # it makes one of the job's chunks: `chunks_total` counts them
    runs_alone: bool = False  # a worker claims it only if it is doing nothing else


# Films that are made in one piece are short, so they come before chunks.
KINDS: dict[str, Kind] = {
    TaskKind.PROBE: Kind(JobKind.PROBE, Queue.QUICK, 0),
    TaskKind.SPLIT: Kind(JobKind.RENDITION, Queue.QUICK, 10),
    TaskKind.JOIN: Kind(JobKind.RENDITION, Queue.QUICK, 10),
    TaskKind.MAKE_WHOLE: Kind(JobKind.RENDITION, Queue.ENCODE, 10),
    TaskKind.AUDIO_CHUNK: Kind(JobKind.RENDITION, Queue.ENCODE, 11, is_part=True),
    TaskKind.VIDEO_CHUNK: Kind(JobKind.RENDITION, Queue.ENCODE, 11, is_part=True),
    # Reads the whole film, so it never runs beside work that makes a film playable.
    TaskKind.SUBTITLES: Kind(JobKind.SUBTITLES, Queue.QUICK, 30, runs_alone=True),
}


def names(condition: Callable[[Kind], bool]) -> list[str]:
    """Return the kinds that satisfy a condition."""
    return [name for name, kind in KINDS.items() if condition(kind)]


def job_priority(job: str) -> int:
    """Return the priority of a kind of job: the lowest number among its tasks."""
    return min(kind.priority for kind in KINDS.values() if kind.job == job)


def job_kinds() -> list[str]:
    """Return the kinds of jobs, each once."""
    return list(dict.fromkeys(str(kind.job) for kind in KINDS.values()))
