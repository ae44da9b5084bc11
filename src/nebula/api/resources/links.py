"""Links: an account creates, lists and revokes its own; anyone who has a link can open it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import falcon

from nebula.api.delivery import Delivery
from nebula.api.listings import write_listing
from nebula.api.objects import LINK
from nebula.api.requests import JsonBodies, principal
from nebula.domain.names import last_segment, with_suffix
from nebula.domain.records import Link
from nebula.services.links import Links
from nebula.services.playback import subtitles_name

MP4 = ".mp4"


class FileLinks:
    """`POST /files/{id}/links`."""

    def __init__(self, links: Links, bodies: JsonBodies) -> None:
        self._links = links
        self._bodies = bodies

    def on_post(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        requester = principal(req)
        options = self._bodies.read_some(req, expires_s=int, quality=str, subtitles_id=str) if _has_body(req) else {}
        resp.status = falcon.HTTP_201
        resp.set_header("Cache-Control", "no-store")
        resp.media = link_json(self._links.create(requester, file_id, **options), req.prefix)


class AllLinks:
    """`GET /links` and `DELETE /links/{id}`."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        write_listing(req, resp, [link_json(link, req.prefix) for link in self._links.list(principal(req))], None)

    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, link_id: str) -> None:
        self._links.revoke(principal(req), link_id)
        resp.status = falcon.HTTP_204


class OpenLink:
    """`GET|HEAD /s/{token}[/{name}]`: the token is the credential; the name is only for people and players."""

    public = True

    def __init__(self, links: Links, delivery: Delivery) -> None:
        self._links = links
        self._delivery = delivery

    def on_get(self, req: falcon.Request, resp: falcon.Response, token: str, name: str | None = None) -> None:
        self._delivery.answer(req, resp, self._links.open(token))

    on_head = on_get


def link_json(link: Link, base: str) -> dict[str, Any]:
    """Return a link as JSON. `url` is null except in the answer that creates the link: the token is not stored."""
    url = None if link.token is None else f"{base}/s/{link.token}/{quote(_shown_name(link), safe='')}"
    return LINK.json(link, url=url)


def _shown_name(link: Link) -> str:
    # Players guess the format from the extension.
    if link.subtitles_id is not None:
        return last_segment(subtitles_name(link.name, link.subtitles_language))
    return last_segment(link.name if link.rendition_id is None else with_suffix(link.name, MP4))


def _has_body(req: falcon.Request) -> bool:
    return bool(req.content_length) or "chunked" in (req.get_header("Transfer-Encoding") or "").lower()
