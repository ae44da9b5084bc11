"""What leaves the database: frozen records, with aware UTC times. The API's objects are made from these."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from nebula.domain.states import (
    FileState,
    JobState,
    OperationKind,
    OperationState,
    PlanAction,
    Queue,
    Role,
    UploadState,
    Visibility,
)
from nebula.domain.throttle import Decision, PowerReading


@dataclass(frozen=True)
class Account:
    """A person who signs in."""

    id: str
    name: str
    role: Role
    password_hash: str
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True)
class Principal:
    """Who is asking: an account, and the session it signed in with."""

    account_id: str
    name: str
    role: Role
    session_id: str

    @property
    def is_owner(self) -> bool:
        return self.role is Role.OWNER


@dataclass(frozen=True)
class Session:
    """One signed-in device: a token family."""

    id: str
    account_id: str
    user_agent: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class Content:
    """Stored bytes, once per account and digest, with what is known of them."""

    id: str
    account_id: str
    sha256: str
    size_bytes: int
    object_key: str
    media_type: str
    state: FileState
    web_ready: bool  # the original itself plays everywhere
    duration_s: float | None
    width: int | None
    height: int | None
    created_at: datetime


@dataclass(frozen=True)
class File:
    """A name that a person gave to a content."""

    id: str
    account_id: str
    account_name: str
    name: str
    media_type: str
    visibility: Visibility
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    content: Content


@dataclass(frozen=True)
class Upload:
    """One resumable attempt to store a file. `offset_bytes` is acknowledged: it survives kill -9."""

    id: str
    account_id: str
    state: UploadState
    name: str
    media_type: str
    visibility: Visibility
    announced_sha256: str | None
    length_bytes: int | None  # None: a by-name body whose length was not announced
    offset_bytes: int
    object_key: str
    multipart_id: str | None
    attempt: int
    tail_attempt: int  # the attempt whose tail file holds the bytes after the last full part
    resumable: bool  # False: a by-name body; a cut connection ends it
    file_id: str | None
    error_code: str | None
    error: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Rendition:
    """One web-ready MP4 of a content, published whole and verified."""

    id: str
    content_id: str
    rung: str  # 'source' where the video was copied, else '1080p', '720p', ...
    object_key: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    duration_s: float
    video_codec: str
    audio_codec: str | None
    created_at: datetime


@dataclass(frozen=True)
class Subtitles:
    """One stream of text of a source, as WebVTT."""

    id: str
    content_id: str
    number: int  # of the stream in the source
    codec: str  # in the source
    language: str | None  # as the source says it: ISO 639-2 mostly
    title: str | None
    is_default: bool
    is_forced: bool
    is_for_hearing_impaired: bool
    object_key: str
    size_bytes: int
    sha256: str
    cues: int
    created_at: datetime


@dataclass(frozen=True)
class Job:
    """A requested piece of work on a content."""

    id: str
    content_id: str
    account_id: str
    account_name: str
    file_id: str | None  # the oldest file of its content that the asking account may see
    kind: str  # domain/kinds.py lists them
    queue: Queue
    state: JobState
    attempt: int
    failures: int  # attempts that ended badly; bounded
    progress: float  # 0..1
    speed: float | None  # media seconds per second
    eta_s: float | None
    node: str | None
    plan: PlanAction | None
    plan_reasons: tuple[str, ...]
    rung: str | None
    command: str | None
    warning: str | None
    paused_reason: str | None  # why its worker holds it still
    error_code: str | None
    error: str | None
    log: str | None  # the tail of ffmpeg's stderr
    chunks_total: int
    chunks_done: int
    chunks_repeated: int
    encoder: str | None  # that the picture is made with
    rejections: int  # chunks whose header was not that of the others
    restarts: int  # how often the whole picture was begun again, in software
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    def withheld(self) -> Job:
        """Return what the owner is told of work on another account's private file.

        It leaves out all that may quote the film or its name: ffmpeg's command and words, and the plan's reasons.
        """
        return replace(self, file_id=None, plan_reasons=(), command=None, log=None, error=None, warning=None)


@dataclass(frozen=True)
class Link:
    """An opaque, expiring, revocable URL for one representation of one file."""

    id: str
    account_id: str
    file_id: str
    name: str  # of the file
    rendition_id: str | None  # None: the original, or subtitles
    subtitles_id: str | None
    subtitles_language: str | None
    quality: str  # 'original', the rung of the rendition, or 'subtitles'
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    token: str | None = None  # only in the record that creating returns; never stored


@dataclass(frozen=True)
class Node:
    """A machine that runs workers or the gateway."""

    name: str
    version: str
    encoder: str | None
    viewers: int
    started_at: datetime
    seen_at: datetime
    power: NodePower | None  # None until its encode worker took a reading


@dataclass(frozen=True)
class NodePower:
    """What the encode worker of a node read last, and what it made of it."""

    decision: Decision
    since: datetime  # that the decision is this one
    reading: PowerReading
    read_at: datetime
    paused_s: float  # how long its encoders were held still, in all


@dataclass(frozen=True)
class PowerChange:
    """One row of a node's history: from then on its encoder might do this."""

    node: str
    at: datetime
    decision: Decision
    reading: PowerReading


@dataclass(frozen=True)
class Backup:
    """What is noted of the backup that is set up: where it goes, and how it went."""

    target: str  # an address without credentials
    kept: str  # for how long, in words
    warning: str | None  # what is wrong with the target
    set_up_at: datetime
    tried_at: datetime | None
    succeeded_at: datetime | None
    said: str | None  # of the last one that was made
    error: str | None  # why the last try failed, and what to do; None where it did not
    read_at: datetime | None  # when a part of it was read last and found whole
    read_said: str | None
    read_error: str | None  # what is wrong with what was read


@dataclass(frozen=True)
class Operation:
    """Something that was done, or is to be done, to the machine itself."""

    id: str
    kind: OperationKind
    state: OperationState
    asked_by: str  # an account's name, or "push"
    commit_id: str | None  # of a deploy
    release: str | None  # that served when it had ended
    message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
