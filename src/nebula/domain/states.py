"""The states of files, uploads, jobs and tasks, and the allowed moves between them. db/moves.py enforces the moves."""

from __future__ import annotations

from enum import StrEnum


class FileState(StrEnum):
    """What a file can be used for. The state is stored with the file's content."""

    STORED = "stored"  # the original is stored; no film is made from it
    PROCESSING = "processing"  # the original is stored; a film is being made
    READY = "ready"  # a web-ready representation can be played
    FAILED = "failed"  # making the film failed; the original is still stored


class Visibility(StrEnum):
    """Who may see a file."""

    HOUSEHOLD = "household"  # every account
    PRIVATE = "private"  # the account that stored it


class UploadState(StrEnum):
    """The progress of an upload."""

    RECEIVING = "receiving"  # bytes are missing
    COMPLETING = "completing"  # all bytes have arrived; the store is joining the parts
    VERIFYING = "verifying"  # the object is stored; its digest is being computed
    DONE = "done"  # the file row exists
    FAILED = "failed"  # the bytes were not those that were announced; nothing is kept


class JobState(StrEnum):
    """The progress of a job."""

    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker has its lease
    PAUSED = "paused"  # a worker has its lease and waits for power; or a person paused it, and no worker has its lease
    DONE = "done"  # its result is published
    FAILED = "failed"  # it gave up; `error` says why; a retry starts it again
    CANCELLED = "cancelled"  # a person stopped it, or its last file was deleted


class JobKind(StrEnum):
    """What a job makes."""

    PROBE = "probe"  # media facts and the plan
    RENDITION = "rendition"  # one web-ready representation
    SUBTITLES = "subtitles"  # WebVTT for every text stream; the file's state does not depend on it


class TaskState(StrEnum):
    """The progress of a task, which is a piece of a job that one worker does in one go."""

    WAITING = "waiting"  # waits for the earlier tasks of its job
    QUEUED = "queued"  # waits for a worker
    RUNNING = "running"  # a worker has its lease
    PAUSED = "paused"  # a worker has its lease and waits for power
    DONE = "done"
    FAILED = "failed"  # it gave up, and its job failed with it
    CANCELLED = "cancelled"  # its job ended without it


class TaskKind(StrEnum):
    """The kinds of tasks that the code refers to by name. domain/kinds.py lists all kinds."""

    PROBE = "probe"
    MAKE_WHOLE = "make_whole"  # makes a film in one piece
    SPLIT = "split"  # lists the source's packets and plans the chunks
    VIDEO_CHUNK = "video_chunk"  # encodes an interval of the picture
    AUDIO_CHUNK = "audio_chunk"  # encodes all of the sound
    JOIN = "join"  # joins the chunks, then verifies and publishes the film
    SUBTITLES = "subtitles"


class Queue(StrEnum):
    """Which workers take a task."""

    QUICK = "quick"  # seconds to minutes: probes, remuxes, the sweep
    ENCODE = "encode"  # minutes to hours: one at a time per node


class PlanAction(StrEnum):
    """The four ways to make a film playable everywhere, cheapest first."""

    NOTHING = "nothing"
    REMUX = "remux"
    COPY_VIDEO = "copy_video"
    ENCODE = "encode"


class OperationKind(StrEnum):
    """What can be done to the machine itself, outside the gateway."""

    BACKUP = "backup"
    ROLLBACK = "rollback"  # returns to the previous release
    DEPLOY = "deploy"  # deploys a commit that was pushed; cannot be requested over HTTP


class OperationState(StrEnum):
    """The progress of an operation."""

    QUEUED = "queued"  # its id is in the spool
    RUNNING = "running"  # the machine is carrying it out
    DONE = "done"
    FAILED = "failed"  # `message` says why


class BackupState(StrEnum):
    """The condition of the backup."""

    NONE = "none"  # no target is set up
    WAITING = "waiting"  # a target is set up; no backup has been made yet
    OK = "ok"
    FAILING = "failing"  # the last backup failed, or reading it back failed
    OVERDUE = "overdue"  # no backup has been made for too long


class Role(StrEnum):
    """What an account may do."""

    OWNER = "owner"
    MEMBER = "member"


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    # QUEUED to DONE or FAILED: a newer version plans the job again and finds that no film is needed or possible.
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.DONE, JobState.CANCELLED, JobState.FAILED}),
    # RUNNING to RUNNING: another worker takes over after a lease expired. RUNNING to QUEUED: a lease was given back.
    JobState.RUNNING: frozenset(
        {JobState.RUNNING, JobState.QUEUED, JobState.PAUSED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    ),
    # PAUSED to DONE: a pause stops only the encoder; what was made before is still published.
    # PAUSED to PAUSED: a person pauses a job that is already paused because of its node's power.
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
    # to QUEUED: it failed or was given back, and is tried again; to WAITING: what it depends on must be made again.
    TaskState.RUNNING: frozenset(
        {TaskState.PAUSED, TaskState.QUEUED, TaskState.WAITING, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}
    ),
    TaskState.PAUSED: frozenset(
        {TaskState.RUNNING, TaskState.QUEUED, TaskState.WAITING, TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}
    ),
    # DONE to QUEUED: its result is lost or unusable; FAILED and CANCELLED to QUEUED: its job is retried.
    TaskState.DONE: frozenset({TaskState.QUEUED}),
    TaskState.FAILED: frozenset({TaskState.QUEUED}),
    TaskState.CANCELLED: frozenset({TaskState.QUEUED}),
}

UPLOAD_MOVES: dict[UploadState, frozenset[UploadState]] = {
    # to RECEIVING: the store lost parts, or the whole multipart upload; the upload goes back to what is still stored.
    UploadState.RECEIVING: frozenset({UploadState.RECEIVING, UploadState.COMPLETING, UploadState.FAILED}),
    UploadState.COMPLETING: frozenset({UploadState.VERIFYING, UploadState.RECEIVING, UploadState.FAILED}),
    UploadState.VERIFYING: frozenset({UploadState.DONE, UploadState.FAILED}),
    UploadState.DONE: frozenset(),
    UploadState.FAILED: frozenset(),
}

FILM_JOBS = frozenset({JobKind.PROBE, JobKind.RENDITION})  # a file's state depends on these
LIVE_JOB_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.PAUSED})
ACTIVE_TASK_STATES = frozenset({TaskState.RUNNING, TaskState.PAUSED})  # a worker has the lease
FINISHING_UPLOAD_STATES = frozenset({UploadState.COMPLETING, UploadState.VERIFYING})
ENDED_UPLOAD_STATES = frozenset({UploadState.DONE, UploadState.FAILED})
