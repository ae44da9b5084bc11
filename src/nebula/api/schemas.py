"""The API's objects as JSON Schemas, for openapi.py; a test holds real answers against them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from nebula.domain import states
from nebula.domain.throttle import Throttle

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
ID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
SIZE: Schema = {"type": "integer", "minimum": 0}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def maybe(schema: Schema) -> Schema:
    """Return a schema that also takes null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """Return a reference to one of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def listing(item: str) -> Schema:
    """Return the schema of a page of `item`."""
    return closed(items={"type": "array", "items": ref(item)}, next_cursor=maybe(TEXT))


def closed(**properties: Schema) -> Schema:
    """Return an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def some(**properties: Schema) -> Schema:
    """Return an object with any of these properties and no other."""
    return closed(**properties) | {"required": []}


def enum(kind: type[StrEnum]) -> Schema:
    """Return the members of an enum as text."""
    return {"type": "string", "enum": [str(member) for member in kind]}


DECISION: dict[str, Schema] = {
    "throttle": enum(Throttle),
    "reasons": {"type": "array", "items": TEXT},
    "on_mains": maybe(FLAG),
    "percent": maybe(NUMBER),
    "temperature_c": maybe(NUMBER),
}

SCHEMAS: dict[str, Schema] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457 problem details; `code` is stable, `detail` says what to change.",
        "properties": {"type": TEXT, "title": TEXT, "status": WHOLE, "code": TEXT, "detail": TEXT},
        "required": ["type", "title", "status", "code", "detail"],
    },
    "Ping": closed(ping=TEXT, version=TEXT),
    "Readiness": closed(ready=FLAG, version=TEXT, services={"type": "object", "additionalProperties": TEXT}),
    "Tokens": closed(access_token=TEXT, expires_in=WHOLE, refresh_token=TEXT, token_type=TEXT, session_id=ID),
    "Whoami": closed(account_id=ID, name=TEXT, role=enum(states.Role), session_id=ID),
    "Session": closed(
        id=ID, user_agent=TEXT, address=TEXT, created_at=TIME, last_used_at=TIME, expires_at=TIME, current=FLAG
    ),
    "Rendition": closed(
        id=ID,
        rung=TEXT,
        size_bytes=SIZE,
        sha256=SHA256,
        media_type=TEXT,
        width=WHOLE,
        height=WHOLE,
        duration_s=NUMBER,
        video_codec=TEXT,
        audio_codec=maybe(TEXT),
        created_at=TIME,
    ),
    "Subtitles": closed(
        id=ID,
        language=maybe(TEXT),
        title=maybe(TEXT),
        default=FLAG,
        forced=FLAG,
        hearing_impaired=FLAG,
        size_bytes=SIZE,
        sha256=SHA256,
        cues=WHOLE,
    ),
    "Job": closed(
        id=ID,
        file_id=maybe(ID),
        account=TEXT,
        kind=enum(states.JobKind),
        queue=enum(states.Queue),
        state=enum(states.JobState),
        progress={"type": "number", "minimum": 0, "maximum": 1},
        speed=maybe(NUMBER),
        eta_s=maybe(NUMBER),
        node=maybe(TEXT),
        attempt=WHOLE,
        chunks_total=WHOLE,
        chunks_done=WHOLE,
        chunks_repeated=WHOLE,
        encoder=maybe(TEXT),
        restarts=WHOLE,
        rejections=WHOLE,
        plan=maybe(enum(states.PlanAction)),
        plan_reasons={"type": "array", "items": TEXT},
        rung=maybe(TEXT),
        command=maybe(TEXT),
        warning=maybe(TEXT),
        paused_reason=maybe(TEXT),
        error_code=maybe(TEXT),
        error=maybe(TEXT),
        log=maybe(TEXT),
        created_at=TIME,
        started_at=maybe(TIME),
        finished_at=maybe(TIME),
    ),
    "File": closed(
        id=ID,
        name=TEXT,
        size_bytes=SIZE,
        sha256=SHA256,
        media_type=TEXT,
        state=enum(states.FileState),
        visibility=enum(states.Visibility),
        account=TEXT,
        created_at=TIME,
        deleted_at=maybe(TIME),
        duration_s=maybe(NUMBER),
        width=maybe(WHOLE),
        height=maybe(WHOLE),
        web_ready=FLAG,
        renditions={"type": "array", "items": ref("Rendition")},
        subtitles={"type": "array", "items": ref("Subtitles")},
        jobs={"type": "array", "items": ref("Job")},
    ),
    "Link": closed(
        id=ID,
        url=maybe(TEXT),
        file_id=ID,
        name=TEXT,
        rendition_id=maybe(ID),
        subtitles_id=maybe(ID),
        quality=TEXT,
        created_at=TIME,
        expires_at=TIME,
    ),
    "Node": closed(
        name=TEXT,
        version=TEXT,
        encoder=maybe(TEXT),
        viewers=WHOLE,
        on_mains=maybe(FLAG),
        percent=maybe(NUMBER),
        throttle=maybe(enum(Throttle)),
        throttle_reasons={"type": "array", "items": TEXT},
        started_at=TIME,
        seen_at=TIME,
    ),
    "Power": closed(
        node=TEXT,
        encoder=maybe(TEXT),
        **DECISION,
        since=TIME,
        read_at=TIME,
        problems={"type": "array", "items": TEXT},
        viewers=WHOLE,
        paused_s=NUMBER,
        history=maybe({"type": "array", "items": ref("PowerChange")}),
    ),
    "PowerChange": closed(at=TIME, **DECISION),
    "Operation": closed(
        id=ID,
        kind=enum(states.OperationKind),
        state=enum(states.OperationState),
        asked_by=TEXT,
        commit=maybe(TEXT),
        release=maybe(TEXT),
        message=maybe(TEXT),
        created_at=TIME,
        started_at=maybe(TIME),
        finished_at=maybe(TIME),
    ),
    "Backup": closed(
        state=enum(states.BackupState),
        running=FLAG,
        target=maybe(TEXT),
        kept=maybe(TEXT),
        warning=maybe(TEXT),
        tried_at=maybe(TIME),
        succeeded_at=maybe(TIME),
        said=maybe(TEXT),
        error=maybe(TEXT),
        read_at=maybe(TIME),
        read_said=maybe(TEXT),
        read_error=maybe(TEXT),
    ),
    "Status": closed(
        version=TEXT,
        release=maybe(TEXT),
        services={"type": "object", "additionalProperties": TEXT},
        disk=closed(total_bytes=SIZE, free_bytes=SIZE, reserve_bytes=SIZE, objects_free_bytes=maybe(SIZE)),
        files={"type": "object", "additionalProperties": WHOLE},
        stored_bytes=SIZE,
        queue={"type": "object", "additionalProperties": {"type": "object", "additionalProperties": WHOLE}},
        uploads=WHOLE,
        streams=WHOLE,
        nodes=WHOLE,
        backup=maybe(ref("Backup")),
    ),
}
