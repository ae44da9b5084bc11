"""The fields of the API's objects, for JSON answers and for /openapi.json."""

from __future__ import annotations

from typing import Any

from nebula.api.shapes import (
    BOOLEAN,
    FRACTION,
    ID,
    INTEGER,
    NUMBER,
    SHA256,
    SIZE,
    TENTHS,
    TEXT,
    TIME,
    Field,
    Schema,
    Shape,
    Type,
    array,
    at,
    components,
    computed,
    enum,
    given,
    mapping,
    maybe,
)
from nebula.domain import kinds, states
from nebula.domain.listing import FileDetails
from nebula.domain.records import Job, Link, Node, Operation, PowerChange, Principal, Rendition, Session, Subtitles
from nebula.domain.subtitles import language_tag
from nebula.domain.throttle import Throttle
from nebula.services.accounts import Tokens
from nebula.services.machine.backups import BackupOverview
from nebula.services.machine.status import Disk, Overview, PowerOfNode

# api/errors.py writes the problem of a refused request; `code` is stable, `detail` says what to change.
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details; `code` is stable, `detail` says what to change.",
    "properties": {name: {"type": "string"} for name in ("type", "title", "code", "detail")}
    | {"status": {"type": "integer"}},
    "required": ["type", "title", "status", "code", "detail"],
}

PING = Shape[None]("Ping", ping=given(TEXT), version=given(TEXT))
READINESS = Shape[None]("Readiness", ready=given(BOOLEAN), version=given(TEXT), services=given(mapping(TEXT)))

TOKENS = Shape[Tokens](
    "Tokens",
    access_token=TEXT,
    expires_in=INTEGER,
    refresh_token=TEXT,
    token_type=computed(TEXT, lambda _: "Bearer"),
    session_id=ID,
)
WHOAMI = Shape[Principal]("Whoami", account_id=ID, name=TEXT, role=enum(states.Role), session_id=ID)
SESSION = Shape[Session](
    "Session",
    id=ID,
    user_agent=TEXT,
    address=TEXT,
    created_at=TIME,
    last_used_at=TIME,
    expires_at=TIME,
    current=given(BOOLEAN),  # the session that sent the request
)

RENDITION = Shape[Rendition](
    "Rendition",
    id=ID,
    rung=TEXT,
    size_bytes=SIZE,
    sha256=SHA256,
    media_type=computed(TEXT, lambda _: "video/mp4"),
    width=INTEGER,
    height=INTEGER,
    duration_s=NUMBER,
    video_codec=TEXT,
    audio_codec=maybe(TEXT),
    created_at=TIME,
)
SUBTITLES = Shape[Subtitles](
    "Subtitles",
    id=ID,
    language=computed(maybe(TEXT), lambda subtitles: language_tag(subtitles.language)),  # BCP 47
    title=maybe(TEXT),
    default=at(BOOLEAN, "is_default"),
    forced=at(BOOLEAN, "is_forced"),
    hearing_impaired=at(BOOLEAN, "is_for_hearing_impaired"),
    size_bytes=SIZE,
    sha256=SHA256,
    cues=INTEGER,
)
JOB = Shape[Job](
    "Job",
    id=ID,
    file_id=maybe(ID),
    account=at(TEXT, "account_name"),  # the owner of the file that it works on
    kind=enum(kinds.job_kinds()),
    queue=enum(states.Queue),
    state=enum(states.JobState),
    progress=FRACTION,
    speed=maybe(NUMBER),
    eta_s=maybe(NUMBER),
    node=maybe(TEXT),
    attempt=INTEGER,
    chunks_total=INTEGER,
    chunks_done=INTEGER,
    chunks_repeated=INTEGER,
    encoder=maybe(TEXT),
    restarts=INTEGER,
    rejections=INTEGER,
    plan=maybe(enum(states.PlanAction)),
    plan_reasons=array(TEXT),
    rung=maybe(TEXT),
    command=maybe(TEXT),
    warning=maybe(TEXT),
    paused_reason=maybe(TEXT),
    error_code=maybe(TEXT),
    error=maybe(TEXT),
    log=maybe(TEXT),  # the tail of ffmpeg's stderr
    created_at=TIME,
    started_at=maybe(TIME),
    finished_at=maybe(TIME),
)
FILE = Shape[FileDetails](
    "File",
    id=at(ID, "file.id"),
    name=at(TEXT, "file.name"),
    size_bytes=at(SIZE, "file.content.size_bytes"),
    sha256=at(SHA256, "file.content.sha256"),
    media_type=at(TEXT, "file.media_type"),
    state=at(enum(states.FileState), "file.content.state"),
    visibility=at(enum(states.Visibility), "file.visibility"),
    account=at(TEXT, "file.account_name"),
    created_at=at(TIME, "file.created_at"),
    deleted_at=at(maybe(TIME), "file.deleted_at"),
    duration_s=at(maybe(NUMBER), "file.content.duration_s"),
    width=at(maybe(INTEGER), "file.content.width"),
    height=at(maybe(INTEGER), "file.content.height"),
    web_ready=at(BOOLEAN, "file.content.web_ready"),
    renditions=array(RENDITION.reference),
    subtitles=array(SUBTITLES.reference),
    jobs=array(JOB.reference),
)
LINK = Shape[Link](
    "Link",
    id=ID,
    url=given(maybe(TEXT)),  # only in the answer that creates the link: the token is not stored
    file_id=ID,
    name=TEXT,
    rendition_id=maybe(ID),
    subtitles_id=maybe(ID),
    quality=TEXT,
    created_at=TIME,
    expires_at=TIME,
)

NODE = Shape[Node](
    "Node",
    name=TEXT,
    version=TEXT,
    encoder=maybe(TEXT),
    viewers=INTEGER,
    on_mains=computed(maybe(BOOLEAN), lambda node: node.power and node.power.reading.on_mains),
    percent=computed(maybe(TENTHS), lambda node: node.power and node.power.reading.percent),
    throttle=computed(maybe(enum(Throttle)), lambda node: node.power and node.power.decision.throttle),
    throttle_reasons=computed(array(TEXT), lambda node: node.power.decision.reasons if node.power else ()),
    started_at=TIME,
    seen_at=TIME,
)


def _decision(prefix: str = "") -> dict[str, Type | Field]:
    """Return the fields of a throttle decision and its power reading; `prefix` is their path in the record."""
    return {
        "throttle": at(enum(Throttle), f"{prefix}decision.throttle"),
        "reasons": at(array(TEXT), f"{prefix}decision.reasons"),
        "on_mains": at(maybe(BOOLEAN), f"{prefix}reading.on_mains"),
        "percent": at(maybe(TENTHS), f"{prefix}reading.percent"),
        "temperature_c": at(maybe(NUMBER), f"{prefix}reading.temperature_c"),
    }


POWER_CHANGE = Shape[PowerChange]("PowerChange", at=TIME, **_decision())
POWER = Shape[PowerOfNode](
    "Power",
    node=at(TEXT, "node.name"),
    encoder=at(maybe(TEXT), "node.encoder"),
    **_decision("node.power."),
    since=at(TIME, "node.power.since"),
    read_at=at(TIME, "node.power.read_at"),
    problems=at(array(TEXT), "node.power.reading.problems"),
    viewers=at(INTEGER, "node.viewers"),
    paused_s=at(TENTHS, "node.power.paused_s"),
    history=maybe(array(POWER_CHANGE.reference)),  # null for everyone but the owner
)
OPERATION = Shape[Operation](
    "Operation",
    id=ID,
    kind=enum(states.OperationKind),
    state=enum(states.OperationState),
    asked_by=TEXT,
    commit=at(maybe(TEXT), "commit_id"),
    release=maybe(TEXT),
    message=maybe(TEXT),
    created_at=TIME,
    started_at=maybe(TIME),
    finished_at=maybe(TIME),
)


def _of_backup(kind: Type, name: str) -> Field:
    """Return a field of the backup itself; null if no backup is set up."""
    return computed(maybe(kind), lambda overview: overview.backup and getattr(overview.backup, name))


BACKUP = Shape[BackupOverview](
    "Backup",
    state=enum(states.BackupState),
    running=at(BOOLEAN, "is_running"),
    target=_of_backup(TEXT, "target"),
    kept=_of_backup(TEXT, "kept"),
    warning=_of_backup(TEXT, "warning"),
    tried_at=_of_backup(TIME, "tried_at"),
    succeeded_at=_of_backup(TIME, "succeeded_at"),
    said=_of_backup(TEXT, "said"),
    error=_of_backup(TEXT, "error"),
    read_at=_of_backup(TIME, "read_at"),
    read_said=_of_backup(TEXT, "read_said"),
    read_error=_of_backup(TEXT, "read_error"),
)
DISK = Shape[Disk]("Disk", total_bytes=SIZE, free_bytes=SIZE, reserve_bytes=SIZE, objects_free_bytes=maybe(SIZE))
STATUS = Shape[Overview](
    "Status",
    version=given(TEXT),
    release=given(maybe(TEXT)),
    services=given(mapping(TEXT)),
    disk=DISK.reference,
    files=at(mapping(INTEGER), "counts.files"),
    stored_bytes=at(SIZE, "counts.stored_bytes"),
    queue=given(mapping(mapping(INTEGER))),
    uploads=at(INTEGER, "counts.uploads"),
    streams=given(INTEGER),
    nodes=computed(INTEGER, lambda overview: len(overview.nodes)),
    backup=given(maybe(BACKUP.reference)),  # null for everyone but the owner
)

SHAPES: list[Shape[Any]] = [
    PING, READINESS, TOKENS, WHOAMI, SESSION, RENDITION, SUBTITLES, JOB, FILE, LINK, NODE, POWER_CHANGE, POWER,
    OPERATION, BACKUP, DISK, STATUS,
]  # fmt: skip
SCHEMAS: dict[str, Schema] = {"Problem": PROBLEM} | components(SHAPES)
