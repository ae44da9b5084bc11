"""Frozen values that describe jobs and tasks, independent of the database."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from nebula.domain.encoders import SOFTWARE
from nebula.domain.kinds import KINDS
from nebula.domain.plan import Plan
from nebula.domain.records import Content
from nebula.domain.states import PlanAction, Queue


@dataclass(frozen=True)
class Claimant:
    """A worker that asks for a task."""

    node: str
    queue: Queue
    plan_version: int  # of its code: it takes no plan of another version
    encoder: str = SOFTWARE  # the node's own encoder
    may_run_all: bool = True  # False: it takes nothing that needs mains power


@dataclass(frozen=True)
class TaskAttempt:
    """One attempt at a task."""

    job_id: str
    kind: str
    number: int  # within its step of the job
    attempt: int

    @property
    def shown(self) -> str:
        """The attempt as it is written in the journal."""
        chunk = f" chunk={self.number}" if KINDS[self.kind].is_part else ""
        return f"job={self.job_id} task={self.kind}{chunk} attempt={self.attempt}"


@dataclass(frozen=True)
class Claim(TaskAttempt):
    """A task as the worker that claimed it sees it. `attempt` guards every change that the worker makes."""

    task_id: str
    payload: str | None  # what to do, as JSON
    plan_version: int | None
    content: Content
    facts: str | None  # MediaFacts as JSON, once the source has been probed
    plan: PlanAction | None
    rung: str | None
    encoder: str | None  # the encoder that the film is bound to
    restarts: int  # more than 0: hardware has failed at this film before
    name: str  # the name of the content's oldest file, for a probe; else empty
    media_type: str


@dataclass(frozen=True)
class NewTask:
    """A task to be added to a job. It waits for the tasks of the job that have a lower `step`."""

    kind: str
    step: int = 0
    number: int = 0
    payload: str | None = None  # as JSON
    media_s: float = 0.0  # how much of the film it makes; the job's progress is computed from it
    queue: Queue | None = None  # None: the queue of its kind
    plan_version: int | None = None  # None: any version of the code may do it
    attempt: int = 0  # attempts are counted from here
    object_key: str | None = None  # with `result`: the task is already done, and this object holds its result
    result: str | None = None  # as JSON
    is_done: bool = False


@dataclass(frozen=True)
class NewJob:
    """A job to be added, with its first task."""

    task: NewTask
    plan: Plan | None = None
    reasons: tuple[str, ...] = ()  # if there is no plan
    rank: int = 0  # added to the job's priority; more than 0: no film needs this job to be playable
    place: int = 0  # lists show it this many places after the jobs that are added together with it


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed."""

    code: str
    error: str
    log: str | None = None
    is_permanent: bool = False


@dataclass(frozen=True)
class MadeChunk:
    """A chunk that was made and verified. `key` identifies its pictures, `build` identifies what made it."""

    encoder: str
    key: str
    build: str
    size_bytes: int
    fingerprint: str = ""
    start_s: float | None = None  # when its first picture is shown, on the chunk's own clock
    warning: str | None = None

    def to_json(self) -> str:
        """Return the chunk as JSON; `from_json` returns an equal chunk."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MadeChunk:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class StoredChunk:
    """A chunk that was verified and stored."""

    number: int
    kind: str
    object_key: str
    made: MadeChunk


@dataclass(frozen=True)
class NewRendition:
    """A film that was verified and stored."""

    rung: str
    object_key: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    duration_s: float
    video_codec: str
    audio_codec: str | None
    warning: str | None
