"""The states of files, uploads, jobs and tasks, and the moves between them, which db/moves.py enforces."""

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


class TaskState(StrEnum):
    """How far a task is: a piece of a job that one worker does in one go."""

    WAITING = "waiting"  # for the tasks of its job that come before it
    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker holds its lease
    PAUSED = "paused"  # a worker holds its lease and waits (power)
    DONE = "done"
    FAILED = "failed"  # it gave up, and its job with it
    CANCELLED = "cancelled"  # its job ended without it


class TaskKind(StrEnum):
    """The kinds of tasks that the code names; all that there are stand in domain/kinds.py."""

    PROBE = "probe"
    MAKE_WHOLE = "make_whole"  # a film in one piece
    SPLIT = "split"  # lists the source's packets and lays out the chunks
    VIDEO_CHUNK = "video_chunk"  # a span of the picture
    AUDIO_CHUNK = "audio_chunk"  # all of the sound
    JOIN = "join"  # puts the chunks together, verifies and publishes
    SUBTITLES = "subtitles"


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
    # QUEUED to DONE or FAILED: a newer version plans it anew, and finds that nothing is, or can be, made.
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.DONE, JobState.CANCELLED, JobState.FAILED}),
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

TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset({TaskState.QUEUED, TaskState.CANCELLED}),
    TaskState.QUEUED: frozenset({TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED}),
    # to QUEUED: it failed or was given back, and is tried again; to WAITING: what it needs has to be made again.
    TaskState.RUNNING: frozenset(
        {TaskState.PAUSED, TaskState.QUEUED, TaskState.WAITING, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}
    ),
    TaskState.PAUSED: frozenset(
        {TaskState.RUNNING, TaskState.QUEUED, TaskState.WAITING, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}
    ),
    # DONE to QUEUED: what it made is lost or of no use; FAILED and CANCELLED to QUEUED: its job is retried.
    TaskState.DONE: frozenset({TaskState.QUEUED}),
    TaskState.FAILED: frozenset({TaskState.QUEUED}),
    TaskState.CANCELLED: frozenset({TaskState.QUEUED}),
}

UPLOAD_MOVES: dict[UploadState, frozenset[UploadState]] = {
    # to RECEIVING: the store lost parts, or the whole multipart: the upload goes back to what is still there.
    UploadState.RECEIVING: frozenset({UploadState.RECEIVING, UploadState.COMPLETING, UploadState.FAILED}),
    UploadState.COMPLETING: frozenset({UploadState.VERIFYING, UploadState.RECEIVING, UploadState.FAILED}),
    UploadState.VERIFYING: frozenset({UploadState.DONE, UploadState.FAILED}),
    UploadState.DONE: frozenset(),
    UploadState.FAILED: frozenset(),
}

FILM_JOBS = frozenset({JobKind.PROBE, JobKind.RENDITION})  # a file's state depends on these
LIVE_JOB_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED})
ACTIVE_TASK_STATES = frozenset({TaskState.RUNNING, TaskState.PAUSED})  # a worker holds the lease
FINISHING_UPLOAD_STATES = frozenset({UploadState.COMPLETING, UploadState.VERIFYING})
ENDED_UPLOAD_STATES = frozenset({UploadState.DONE, UploadState.FAILED})
