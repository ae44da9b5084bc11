"""The API's description, served at /openapi.json. One test compares it with the routes; another calls the API."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import falcon

import nebula
from nebula.api.objects import (
    FILE,
    JOB,
    LINK,
    NODE,
    OPERATION,
    PING,
    POWER,
    READINESS,
    SCHEMAS,
    SESSION,
    STATUS,
    TOKENS,
    WHOAMI,
)
from nebula.api.shapes import BOOLEAN, ID, INTEGER, TEXT, Schema, Shape, Type, array, closed, enum, maybe, some
from nebula.domain import states
from nebula.domain.listing import MAX_PAGE_SIZE, PAGE_SIZE

V1 = "/api/v1"
BYTES = Type({"type": "string", "format": "binary"})
PROBLEM: Schema = {"$ref": "#/components/schemas/Problem"}
ANY_OBJECT = Type({"type": "object"})


@dataclass(frozen=True)
class Operation:
    """One method of one path: its summary, its parameters and its answers."""

    method: str
    path: str
    summary: str
    answers: dict[int, Type | None]
    body: Schema | None = None
    body_type: str = falcon.MEDIA_JSON
    answer_type: str = falcon.MEDIA_JSON
    query: dict[str, Type] = field(default_factory=dict)
    headers: dict[str, Type] = field(default_factory=dict)
    public: bool = False


def _one_of(*values: str) -> Type:
    return Type({"type": "string", "enum": list(values)})


def listing(shape: Shape[Any]) -> Type:
    """Return the type of a page of a listing of `shape`."""
    return Type(closed(items=array(shape.reference), next_cursor=maybe(TEXT)))


PAGED = {
    "cursor": TEXT,
    "limit": Type({"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}),
}
TUS = {"Tus-Resumable": _one_of("1.0.0")}
CREDENTIALS = closed(username=TEXT, password=TEXT)
CONTENT: dict[int, Type | None] = {200: BYTES, 206: BYTES, 304: None}


def _content(path: str, summary: str, *, public: bool = False) -> list[Operation]:
    shared: dict[str, Any] = {"answers": CONTENT, "answer_type": "*/*", "public": public}
    return [Operation(method, path, summary, headers={"Range": TEXT}, **shared) for method in ("get", "head")]


OPERATIONS: list[Operation] = [
    Operation("get", "/ping", "Whether the gateway answers", {200: PING.reference}, public=True),
    Operation("get", "/healthz", "The same, for probes", {200: PING.reference}, public=True),
    Operation("get", "/readyz", "Each dependency", {200: READINESS.reference, 503: READINESS.reference}, public=True),
    Operation("get", "/metrics", "Prometheus text", {200: TEXT}, answer_type="text/plain", public=True),
    Operation("get", "/openapi.json", "This description", {200: ANY_OBJECT}, public=True),
    Operation("post", f"{V1}/auth/login", "Sign in", {200: TOKENS.reference}, body=CREDENTIALS, public=True),
    Operation(
        "post",
        f"{V1}/auth/refresh",
        "Spend a refresh token for new tokens",
        {200: TOKENS.reference},
        body=closed(refresh_token=TEXT),
        public=True,
    ),
    Operation("post", f"{V1}/auth/logout", "End this session", {204: None}),
    Operation(
        "post",
        f"{V1}/auth/password",
        "Change the password; every other session ends",
        {204: None},
        body=closed(old_password=TEXT, new_password=TEXT),
    ),
    Operation("get", f"{V1}/auth/whoami", "The account and session that ask", {200: WHOAMI.reference}),
    Operation("get", f"{V1}/auth/sessions", "Signed-in devices", {200: listing(SESSION)}),
    Operation("delete", f"{V1}/auth/sessions/{{session_id}}", "Sign a device out", {204: None}),
    Operation(
        "get",
        f"{V1}/files",
        "Files, the newest first",
        {200: listing(FILE), 304: None},
        query={"q": TEXT, "sha256": TEXT, "state": enum(states.FileState), "trashed": BOOLEAN, **PAGED},
    ),
    Operation("get", f"{V1}/files/{{file_id}}", "One file", {200: FILE.reference, 304: None}),
    Operation(
        "patch",
        f"{V1}/files/{{file_id}}",
        "Rename a file or change who sees it",
        {200: FILE.reference},
        body=some(name=TEXT, visibility=enum(states.Visibility)),
    ),
    Operation("delete", f"{V1}/files/{{file_id}}", "To the trash; from there, for good", {204: None}),
    Operation("post", f"{V1}/files/{{file_id}}/restore", "Out of the trash", {200: FILE.reference}),
    Operation(
        "put",
        f"{V1}/files/by-name/{{name}}",
        "Store a file in one request",
        {200: FILE.reference, 201: FILE.reference},
        body=BYTES.schema,
        body_type="application/octet-stream",
        query={"visibility": enum(states.Visibility)},
        headers={"Repr-Digest": TEXT, "If-None-Match": TEXT},
    ),
    *_content(f"{V1}/files/{{file_id}}/content", "The original's bytes"),
    *_content(f"{V1}/files/{{file_id}}/renditions/{{rendition_id}}/content", "A rendition's bytes"),
    *_content(f"{V1}/files/{{file_id}}/subtitles/{{subtitles_id}}/content", "Subtitles, as WebVTT"),
    *[
        Operation(
            method,
            f"{V1}/files/{{file_id}}/stream",
            "The best representation, by redirect",
            {307: None},
            query={"for": _one_of("web", "any")},
        )
        for method in ("get", "head")
    ],
    Operation(
        "post",
        f"{V1}/files/{{file_id}}/links",
        "An opaque URL for any player",
        {201: LINK.reference},
        body=some(expires_s=INTEGER, quality=TEXT, subtitles_id=ID),
    ),
    Operation("get", f"{V1}/links", "Links that are alive", {200: listing(LINK), 304: None}),
    Operation("delete", f"{V1}/links/{{link_id}}", "Revoke a link", {204: None}),
    *_content("/s/{token}", "What a link opens", public=True),
    *_content("/s/{token}/{name}", "The same, with a name for players", public=True),
    Operation("options", f"{V1}/uploads", "What tus offers here", {204: None}),
    Operation(
        "post",
        f"{V1}/uploads",
        "Begin a tus upload",
        {201: None},
        headers=TUS | {"Upload-Length": INTEGER, "Upload-Metadata": TEXT},
    ),
    Operation("options", f"{V1}/uploads/{{upload_id}}", "The same", {204: None}),
    Operation(
        "post",
        f"{V1}/uploads/{{upload_id}}",
        "HEAD, PATCH or DELETE, for clients that cannot send those",
        {200: None, 204: None},
        headers=TUS | {"X-HTTP-Method-Override": _one_of("HEAD", "PATCH", "DELETE")},
    ),
    Operation("head", f"{V1}/uploads/{{upload_id}}", "How far a tus upload is", {200: None}, headers=TUS),
    Operation(
        "patch",
        f"{V1}/uploads/{{upload_id}}",
        "Append bytes",
        {204: None},
        body=BYTES.schema,
        body_type="application/offset+octet-stream",
        headers=TUS | {"Upload-Offset": INTEGER, "Upload-Checksum": TEXT},
    ),
    Operation("delete", f"{V1}/uploads/{{upload_id}}", "Give an upload up", {204: None}, headers=TUS),
    Operation(
        "get",
        f"{V1}/jobs",
        "Jobs, the newest first",
        {200: listing(JOB), 304: None},
        query={"state": enum(states.JobState), "live": BOOLEAN, **PAGED},
    ),
    Operation("get", f"{V1}/jobs/{{job_id}}", "One job", {200: JOB.reference, 304: None}),
    Operation("post", f"{V1}/jobs/{{job_id}}/retry", "Start an ended job anew", {200: JOB.reference}),
    Operation("post", f"{V1}/jobs/{{job_id}}/cancel", "Stop a job", {200: JOB.reference}),
    Operation("post", f"{V1}/jobs/{{job_id}}/pause", "Stop a job until it is resumed", {200: JOB.reference}),
    Operation("post", f"{V1}/jobs/{{job_id}}/resume", "Let a paused job go on", {200: JOB.reference}),
    Operation("delete", f"{V1}/jobs/{{job_id}}", "Stop a job and forget it", {204: None}),
    Operation("get", f"{V1}/status", "Services, disk, queue", {200: STATUS.reference}),
    Operation("get", f"{V1}/nodes", "Worker nodes (owner)", {200: listing(NODE), 304: None}),
    Operation(
        "get", f"{V1}/power", "Power of each node, what its encoder may do, why", {200: listing(POWER), 304: None}
    ),
    Operation(
        "get",
        f"{V1}/operations",
        "Backups, rollbacks and deploys, the newest first (owner)",
        {200: listing(OPERATION), 304: None},
    ),
    Operation(
        "post",
        f"{V1}/operations",
        "Ask the machine for a backup or a rollback (owner)",
        {202: OPERATION.reference},
        body=closed(kind=enum(states.OperationKind)),
    ),
]


def description() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation_json(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nebula",
            "version": nebula.__version__,
            "description": "An old laptop as a private cloud. Errors are RFC 9457 problems with a stable `code`.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"session": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


class Description:
    """`GET /openapi.json`."""

    public = True

    def __init__(self) -> None:
        self._body = json.dumps(description()).encode()

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._body


def _operation_json(operation: Operation) -> dict[str, Any]:
    path_words = re.sub(r"[^a-z]+", "_", operation.path.removeprefix(V1).lower()).strip("_")
    document: dict[str, Any] = {
        "operationId": f"{operation.method}_{path_words}",
        "summary": operation.summary,
        "parameters": [
            *[_parameter("path", name, _path_type(name)) for name in re.findall(r"{(\w+)}", operation.path)],
            *[_parameter("query", name, kind) for name, kind in operation.query.items()],
            *[_parameter("header", name, kind) for name, kind in operation.headers.items()],
        ],
        "responses": {
            **{str(status): _answer(operation, kind) for status, kind in operation.answers.items()},
            "default": _problem(operation),
        },
    }
    if operation.body is not None:
        document["requestBody"] = {"required": True, "content": {operation.body_type: {"schema": operation.body}}}
    if operation.public:
        document["security"] = []
    return document


def _parameter(place: str, name: str, kind: Type) -> dict[str, Any]:
    return {"in": place, "name": name, "required": place == "path" or name == "Tus-Resumable", "schema": kind.schema}


def _path_type(name: str) -> Type:
    return TEXT if name in {"name", "token"} else ID


def _answer(operation: Operation, kind: Type | None) -> dict[str, Any]:
    if kind is None or operation.method == "head":
        return {"description": "No body"}
    return {"description": operation.summary, "content": {operation.answer_type: {"schema": kind.schema}}}


def _problem(operation: Operation) -> dict[str, Any]:
    if operation.method == "head":
        return {"description": "A problem"}
    return {
        "description": "A problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
