"""The frozen records that the database returns, with aware UTC times. The API's objects are made from them."""

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
from nebula.domain.throttle import PowerReading, ThrottleDecision


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
    """Stored bytes, once per account and digest, and the facts known about them."""

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
    """One resumable attempt to store a file. The bytes before `offset_bytes` are acknowledged: they survive kill -9."""

    id: str
    account_id: str
    state: UploadState
    name: str
    media_type: str
    visibility: Visibility
    announced_sha256: str | None
    length_bytes: int | None  # None: an upload by name whose length was not announced
    offset_bytes: int
    object_key: str
    multipart_id: str | None
    attempt: int
    tail_attempt: int  # the attempt whose tail file holds the bytes after the last full part
    resumable: bool  # False for an upload by name: it ends if the connection breaks
    file_id: str | None
    error_code: str | None
    error: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Rendition:
    """One web-ready MP4 of a content, published only when it is complete and verified."""

    id: str
    content_id: str
    rung: str  # 'source' if the video was copied, else '1080p', '720p', ...
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
    """One text stream of a source, as WebVTT."""

    id: str
    content_id: str
    number: int  # of the stream in the source
    codec: str  # in the source
    language: str | None  # as the source names it: usually ISO 639-2
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
    file_id: str | None  # the oldest file of its content that the requesting account may see
    kind: str  # domain/kinds.py lists them
    queue: Queue
    state: JobState
    attempt: int
    failures: int  # attempts that failed; limited
    progress: float  # 0..1
    speed: float | None  # media seconds per second
    eta_s: float | None
    node: str | None
    plan: PlanAction | None
    plan_reasons: tuple[str, ...]
    rung: str | None
    command: str | None
    warning: str | None
    paused_reason: str | None  # why its worker paused it
    error_code: str | None
    error: str | None
    log: str | None  # the tail of ffmpeg's stderr
    chunks_total: int
    chunks_done: int
    chunks_repeated: int
    encoder: str | None  # the encoder that makes the picture
    rejections: int  # chunks whose codec header differed from that of the others
    restarts: int  # how often the whole picture was started again, in software
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    def withheld(self) -> Job:
        """Return what the owner sees of work on another account's private file.

        It leaves out what may quote the film or its name: ffmpeg's command and output, and the plan's reasons.
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
    token: str | None = None  # set only in the record that creating a link returns; never stored


@dataclass(frozen=True)
class Node:
    """A machine that runs workers or the gateway."""

    name: str
    version: str
    encoder: str | None
    viewers: int
    started_at: datetime
    seen_at: datetime
    power: NodePower | None  # None until its encode worker has taken a reading


@dataclass(frozen=True)
class NodePower:
    """What the encode worker of a node read last, and what it decided."""

    decision: ThrottleDecision
    since: datetime  # when the current decision began
    reading: PowerReading
    read_at: datetime
    paused_s: float  # how long its encoders have been paused, in total


@dataclass(frozen=True)
class PowerChange:
    """One row of a node's history: the decision that applied from this time on."""

    node: str
    at: datetime
    decision: ThrottleDecision
    reading: PowerReading


@dataclass(frozen=True)
class Backup:
    """What is recorded about the backup: where it goes, and how it went."""

    target: str  # an address without credentials
    kept: str  # how long backups are kept, in words
    warning: str | None  # what is wrong with the target
    set_up_at: datetime
    tried_at: datetime | None
    succeeded_at: datetime | None
    said: str | None  # the summary of the last backup that was made
    error: str | None  # why the last attempt failed, and what to do; None if it succeeded
    read_at: datetime | None  # when a part of it was last read back and found intact
    read_said: str | None
    read_error: str | None  # what is wrong with the part that was read


@dataclass(frozen=True)
class Operation:
    """Something that was done, or is to be done, to the machine itself."""

    id: str
    kind: OperationKind
    state: OperationState
    asked_by: str  # an account's name, or "push"
    commit_id: str | None  # of a deploy
    release: str | None  # the release that was serving when the operation ended
    message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
