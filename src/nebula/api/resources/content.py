"""The bytes of originals, renditions and subtitles, and a redirect to the best of them for a player."""

from __future__ import annotations

import falcon

from nebula.api.delivery import Delivery
from nebula.api.requests import principal
from nebula.errors import InvalidInput
from nebula.services.playback import ANY, WEB, Playback


class Original:
    """`GET|HEAD /files/{id}/content`."""

    def __init__(self, playback: Playback, delivery: Delivery) -> None:
        self._playback = playback
        self._delivery = delivery

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        self._delivery.answer(req, resp, self._playback.original(principal(req), file_id))

    on_head = on_get


class RenditionContent:
    """`GET|HEAD /files/{id}/renditions/{rid}/content`."""

    def __init__(self, playback: Playback, delivery: Delivery) -> None:
        self._playback = playback
        self._delivery = delivery

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str, rendition_id: str) -> None:
        self._delivery.answer(req, resp, self._playback.rendition(principal(req), file_id, rendition_id))

    on_head = on_get


class SubtitlesContent:
    """`GET|HEAD /files/{id}/subtitles/{sid}/content`."""

    def __init__(self, playback: Playback, delivery: Delivery) -> None:
        self._playback = playback
        self._delivery = delivery

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str, subtitles_id: str) -> None:
        self._delivery.answer(req, resp, self._playback.subtitles(principal(req), file_id, subtitles_id))

    on_head = on_get


class Stream:
    """`GET|HEAD /files/{id}/stream?for=web|any`: 307 to the best representation. It changes as renditions are made."""

    def __init__(self, playback: Playback, prefix: str) -> None:
        self._playback = playback
        self._prefix = prefix

    def on_get(self, req: falcon.Request, resp: falcon.Response, file_id: str) -> None:
        purpose = req.get_param("for") or WEB
        if purpose not in {WEB, ANY}:
            raise InvalidInput("for must be web or any.", code="invalid_query", field="for")
        resp.status = falcon.HTTP_307
        resp.location = self._prefix + self._playback.stream_path(principal(req), file_id, purpose)
        resp.set_header("Cache-Control", "no-store")

    on_head = on_get
