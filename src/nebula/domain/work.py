"""What is passed around of jobs and tasks: frozen values, without a database."""

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
    encoder: str = SOFTWARE  # the node's own family
    may_run_all: bool = True  # False: nothing that needs mains power


@dataclass(frozen=True)
class TaskAttempt:
    """One attempt at a task."""

    job_id: str
    kind: str
    number: int  # within its step of the job
    attempt: int

    @property
    def shown(self) -> str:
        """Name it in the journal."""
        chunk = f" chunk={self.number}" if KINDS[self.kind].is_part else ""
        return f"job={self.job_id} task={self.kind}{chunk} attempt={self.attempt}"


@dataclass(frozen=True)
class Claim(TaskAttempt):
    """A task as the worker that holds it sees it; `attempt` guards every change that it makes."""

    task_id: str
    payload: str | None  # what is to be done, as JSON
    plan_version: int | None
    content: Content
    facts: str | None  # MediaFacts as JSON, once probed
    plan: PlanAction | None
    rung: str | None
    encoder: str | None  # that the film is bound to
    restarts: int  # more than none: hardware failed at it before
    name: str  # of the content's oldest file, for a probe; else empty
    media_type: str


@dataclass(frozen=True)
class NewTask:
    """A task to be added to a job. It waits for those of the job whose `step` is lower."""

    kind: str
    step: int = 0
    number: int = 0
    payload: str | None = None  # as JSON
    media_s: float = 0.0  # how much of the film it makes; the job's progress is reckoned with it
    queue: Queue | None = None  # None: its kind's
    plan_version: int | None = None  # None: any version of the code does it
    attempt: int = 0  # it counts on from here
    object_key: str | None = None  # with `result`: it is done already, and this is stored of it
    result: str | None = None  # as JSON
    is_done: bool = False


@dataclass(frozen=True)
class NewJob:
    """A job to be added, with its first task."""

    task: NewTask
    plan: Plan | None = None
    reasons: tuple[str, ...] = ()  # where there is no plan
    rank: int = 0  # added to its priority; more than 0: no film needs it to be playable
    place: int = 0  # lists show it so many places after those that are added with it


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed."""

    code: str
    error: str
    log: str | None = None
    is_permanent: bool = False


@dataclass(frozen=True)
class MadeChunk:
    """A chunk that was made and verified; `key` names what is in it, `build` what made it."""

    encoder: str
    key: str
    build: str
    size_bytes: int
    fingerprint: str = ""
    start_s: float | None = None  # on its own clock, where its first picture is
    warning: str | None = None

    def to_json(self) -> str:
        """Return it as JSON; `from_json` of it equals this."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MadeChunk:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class StoredChunk:
    """A chunk that is verified and stored."""

    number: int
    kind: str
    object_key: str
    made: MadeChunk


@dataclass(frozen=True)
class NewRendition:
    """A film that is verified and stored."""

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
