"""Files: list, details, rename, share, trash, restore, purge."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, TypeVar

import falcon

from nebula.api.listings import write_cacheable, write_listing
from nebula.api.objects import FILE
from nebula.api.requests import JsonBodies, principal, query_int
from nebula.domain.listing import MAX_PAGE_SIZE, PAGE_SIZE, FileQuery, Position
from nebula.domain.states import FileState, Visibility
from nebula.errors import InvalidInput
from nebula.services.library import Library

E = TypeVar("E", bound=StrEnum)

MAX_QUERY_CHARACTERS = 1024


class Files:
    """`GET /files`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        page = self._library.page(principal(req), _query(req))
        write_listing(req, resp, [FILE.json(details) for details in page.items], page.next_cursor)


class File:
    """`GET`, `PATCH`, `DELETE /files/{id}` and `POST /files/{id}/restore`."""

    def __init__(self, library: Library, bodies: JsonBodies) -> None:
        self._library = library
        self._bodies = bodies

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        write_cacheable(req, resp, FILE.json(self._library.details(principal(req), file_id)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        changes: dict[str, Any] = self._bodies.read_some(req, name=str, visibility=str)
        if "visibility" in changes:
            changes["visibility"] = member(Visibility, "visibility", changes["visibility"])
        resp.media = FILE.json(self._library.change(principal(req), file_id, **changes))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        self._library.remove(principal(req), file_id)
        resp.status = falcon.HTTP_204

    def on_post_restore(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        resp.media = FILE.json(self._library.restore(principal(req), file_id))


def member(kind: type[E], name: str, text: str) -> E:
    """Return the enum member with the value `text`. Raises InvalidInput that lists the known values."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(kind)
        raise InvalidInput(f"{name} must be one of: {known}.", code="invalid_field", field=name) from None


def text_param(req: falcon.Request, name: str) -> str | None:
    """Return a text parameter of the query. Raises InvalidInput if it is too long or has a NUL character."""
    text = req.get_param(name)
    if text is not None and ("\x00" in text or len(text) > MAX_QUERY_CHARACTERS):
        raise InvalidInput(f"{name} is not usable.", code="invalid_query", field=name)
    return text


def position_param(req: falcon.Request) -> Position | None:
    """Return the position that `cursor` names; None for the first page."""
    cursor = text_param(req, "cursor")
    return None if cursor is None else Position.from_cursor(cursor)


def flag_param(req: falcon.Request, name: str) -> bool:
    """Return a boolean parameter of the query; False if it is absent. Raises InvalidInput for other words."""
    text = req.get_param(name)
    if text not in {None, "true", "false"}:
        raise InvalidInput(f"{name} must be true or false.", code="invalid_query", field=name)
    return text == "true"


def _query(req: falcon.Request) -> FileQuery:
    state, sha256 = text_param(req, "state"), text_param(req, "sha256")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise InvalidInput("sha256 must be 64 hexadecimal digits.", code="invalid_query", field="sha256")
    return FileQuery(
        q=text_param(req, "q"),
        sha256=sha256,
        state=None if state is None else member(FileState, "state", state),
        trashed=flag_param(req, "trashed"),
        after=position_param(req),
        limit=query_int(req, "limit", PAGE_SIZE, least=1, most=MAX_PAGE_SIZE),
    )
