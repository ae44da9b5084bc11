"""Listings: `{items, next_cursor}` with an ETag, so that a polling client gets 304 if nothing has changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import falcon

from nebula.domain import preconditions


def write_listing(req: falcon.Request, resp: falcon.Response, items: list[Any], next_cursor: str | None) -> None:
    """Answer with one page of a listing, or with 304 if the client already has exactly this page."""
    write_cacheable(req, resp, {"items": items, "next_cursor": next_cursor})


def write_cacheable(req: falcon.Request, resp: falcon.Response, value: Any) -> None:
    """Answer with a JSON value and its ETag, or with 304 if the client already has this value."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    resp.set_header("ETag", etag)
    resp.set_header("Cache-Control", "private, no-cache")
    if_none_match = req.get_header("If-None-Match")
    if if_none_match is not None and preconditions.matches(if_none_match, etag, weak=True):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body
