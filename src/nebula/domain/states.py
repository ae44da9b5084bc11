"""The states of files, uploads and jobs, and the moves between them."""

from __future__ import annotations

from enum import StrEnum


class FileState(StrEnum):
    """What a file can be used for (kept with its content)."""

    STORED = "stored"  # the original is there; no film is made of it
    PROCESSING = "processing"  # the original is there; a film is being made
    READY = "ready"  # a web-ready representation can be played
    FAILED = "failed"  # the film-making failed; the original is there


class Visibility(StrEnum):
    """Who may see a file."""

    HOUSEHOLD = "household"  # every account
    PRIVATE = "private"  # the account that stored it


class UploadState(StrEnum):
    """How far an upload is."""

    RECEIVING = "receiving"  # bytes are missing
    COMPLETING = "completing"  # every byte came; the store is joining the parts
    VERIFYING = "verifying"  # the object is there; its digest is being found
    DONE = "done"  # the file row exists
    FAILED = "failed"  # the bytes were not those announced; nothing is kept


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds its lease
    PAUSED = "paused"  # a worker holds its lease and waits (power), or nobody does: a person paused it
    DONE = "done"  # its result is published
    FAILED = "failed"  # it gave up; `error` says why, retry starts it anew
    CANCELLED = "cancelled"  # a person stopped it, or its last file went


class JobKind(StrEnum):
    """What a job makes."""

    PROBE = "probe"  # media facts and the plan
    RENDITION = "rendition"  # one web-ready representation
    SUBTITLES = "subtitles"  # WebVTT of every text stream; a file's state does not wait for it


class JobStage(StrEnum):
    """What the next claim of a job does. A film that is encoded in chunks goes through three."""

    WHOLE = "whole"  # everything, in one claim
    SPLIT = "split"  # list the source's packets and lay out the chunks
    CHUNKS = "chunks"  # nothing: the chunks are claimed, each for itself
    JOIN = "join"  # put the chunks together, verify and publish


class ChunkState(StrEnum):
    """How far a chunk is."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds its lease
    DONE = "done"  # it is verified and stored
    FAILED = "failed"  # it gave up, and its job with it


class ChunkKind(StrEnum):
    """What a chunk holds."""

    VIDEO = "video"  # a span of the picture
    AUDIO = "audio"  # all of the sound


class Queue(StrEnum):
    """Which worker takes a job."""

    QUICK = "quick"  # seconds to minutes: probes, remuxes, the sweep
    ENCODE = "encode"  # minutes to hours: one at a time per node


class PlanAction(StrEnum):
    """The four ways to make a film playable everywhere, cheapest first."""

    NOTHING = "nothing"
    REMUX = "remux"
    COPY_VIDEO = "copy_video"
    ENCODE = "encode"


class OperationKind(StrEnum):
    """What is done to the machine itself, outside of the gateway."""

    BACKUP = "backup"
    ROLLBACK = "rollback"  # to the release that served before
    DEPLOY = "deploy"  # of a commit that was pushed: never asked for over HTTP


class OperationState(StrEnum):
    """How far an operation is."""

    QUEUED = "queued"  # its id is in the spool
    RUNNING = "running"  # the machine carries it out
    DONE = "done"
    FAILED = "failed"  # `message` says why


class BackupState(StrEnum):
    """How the backup is."""

    NONE = "none"  # no target is set up
    WAITING = "waiting"  # it is set up; the first one is to come
    OK = "ok"
    FAILING = "failing"  # the last try, or the last reading of it, ended badly
    OVERDUE = "overdue"  # none was made for too long


class Role(StrEnum):
    """What an account may do."""

    OWNER = "owner"
    MEMBER = "member"


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED, JobState.FAILED}),
    # RUNNING to RUNNING is a take-over after a lease ran out; to QUEUED is a lease given back.
    JobState.RUNNING: frozenset(
        {JobState.RUNNING, JobState.QUEUED, JobState.PAUSED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    ),
    # PAUSED to DONE: only its encoder is held; what was made already is published.
    # PAUSED to PAUSED: a person pauses what its node's power pauses already.
    JobState.PAUSED: frozenset(
        {JobState.RUNNING, JobState.PAUSED, JobState.QUEUED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}

UPLOAD_MOVES: dict[UploadState, frozenset[UploadState]] = {
    UploadState.RECEIVING: frozenset({UploadState.COMPLETING, UploadState.FAILED}),
    # back to RECEIVING: the store lost the multipart, the upload starts again at offset 0.
    UploadState.COMPLETING: frozenset({UploadState.VERIFYING, UploadState.RECEIVING, UploadState.FAILED}),
    UploadState.VERIFYING: frozenset({UploadState.DONE, UploadState.FAILED}),
    UploadState.DONE: frozenset(),
    UploadState.FAILED: frozenset(),
}

LIVE_JOB_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED})
