"""Listings: `{items, next_cursor}` with an ETag, so that a client that polls gets 304 while nothing changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import falcon

from nebula.domain import preconditions


def write_listing(req: falcon.Request, resp: falcon.Response, items: list[Any], next_cursor: str | None) -> None:
    """Answer with a page, or with 304 if the client has this very page."""
    write_cacheable(req, resp, {"items": items, "next_cursor": next_cursor})


def write_cacheable(req: falcon.Request, resp: falcon.Response, value: Any) -> None:
    """Answer with a JSON value and its ETag, or with 304."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    resp.set_header("ETag", etag)
    resp.set_header("Cache-Control", "private, no-cache")
    known = req.get_header("If-None-Match")
    if known is not None and preconditions.matches(known, etag, weak=True):
        resp.status = falcon.HTTP_304
        return
    resp.content_type = falcon.MEDIA_JSON
    resp.data = body
