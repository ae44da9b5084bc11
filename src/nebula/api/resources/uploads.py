"""Uploads: by the tus 1.0.0 protocol, or as one whole body with a file name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import falcon

from nebula.api import transfers, tus
from nebula.api.bodies import incoming
from nebula.api.gates import Gates
from nebula.api.objects import FILE
from nebula.api.requests import path_id, principal
from nebula.api.resources.files import member
from nebula.domain import checksums, media_types, names
from nebula.domain.checksums import Checksum
from nebula.domain.states import Visibility
from nebula.errors import InvalidInput, NotFound
from nebula.services.library import Library
from nebula.services.uploads.lifecycle import Uploads
from nebula.services.uploads.receiving import IncomingBody

PREFIX_SEGMENTS = 5  # "", "api", "v1", "files", "by-name"

IsAlive = Callable[[str], bool]


class UploadCollection:
    """`OPTIONS` and `POST /uploads`."""

    def __init__(self, uploads: Uploads, gates: Gates, is_alive: IsAlive) -> None:
        self._uploads = uploads
        self._gates = gates
        self._is_alive = is_alive

    def on_options(self, _req: falcon.Request, resp: falcon.Response) -> None:
        tus.write_abilities(resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        tus.begin(req, resp)
        checksum = _checksum(req)
        length = tus.length(req)
        upload = self._uploads.create(principal(req), length_bytes=length, **_announced(req))
        resp.set_header("Location", f"{req.path}/{upload.id}")
        if tus.has_body(req) and length:
            body = _body(req, checksum, self._is_alive)
            with self._gates.uploads.admit(transfers.upload(req, principal(req).account_id)):
                upload = self._uploads.append(principal(req), upload.id, 0, body)
        tus.write_progress(resp, upload)
        resp.status = falcon.HTTP_201


class Upload:
    """`HEAD`, `PATCH` and `DELETE /uploads/{id}`; `POST` does what X-HTTP-Method-Override names."""

    def __init__(self, uploads: Uploads, gates: Gates, is_alive: IsAlive) -> None:
        self._uploads = uploads
        self._gates = gates
        self._is_alive = is_alive

    def on_options(self, _req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        tus.write_abilities(resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        responders = {"HEAD": self.on_head, "PATCH": self.on_patch, "DELETE": self.on_delete}
        responder = responders.get(req.get_header("X-HTTP-Method-Override") or "")
        if responder is None:
            raise falcon.HTTPMethodNotAllowed(["HEAD", "PATCH", "DELETE", "OPTIONS"])
        responder(req, resp, upload_id)

    def on_head(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        tus.begin(req, resp)
        upload = self._uploads.find(principal(req), path_id(upload_id))
        tus.write_progress(resp, upload)
        resp.set_header("Upload-Length", str(upload.length_bytes))
        resp.set_header("Upload-Metadata", tus.metadata_header(upload))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        tus.begin(req, resp)
        if not tus.has_body(req):
            raise falcon.HTTPUnsupportedMediaType(description=f"PATCH takes Content-Type: {tus.BODY_TYPE}.")
        offset = tus.offset(req)
        body = _body(req, _checksum(req), self._is_alive)
        with self._gates.uploads.admit(transfers.upload(req, principal(req).account_id)):
            upload = self._uploads.append(principal(req), path_id(upload_id), offset, body)
        tus.write_progress(resp, upload)
        resp.status = falcon.HTTP_204

    def on_delete(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        tus.begin(req, resp)
        self._uploads.terminate(principal(req), path_id(upload_id))
        resp.status = falcon.HTTP_204


class FileByName:
    """`PUT /files/by-name/{name}`: stores the whole body as one file; stores nothing if it fails."""

    def __init__(self, uploads: Uploads, library: Library, gates: Gates, is_alive: IsAlive) -> None:
        self._uploads = uploads
        self._library = library
        self._gates = gates
        self._is_alive = is_alive

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        name = names.checked(_raw_name(req, name))
        visibility = _visibility(req.get_param("visibility"))
        only_new = _only_new(req.get_header("If-None-Match"))
        digest = req.get_header("Repr-Digest")
        sha256 = checksums.of_representation(digest) if digest is not None else None
        if req.content_length is None and not req.env.get("wsgi.input_terminated"):
            raise falcon.HTTPLengthRequired(description="Send the file with a Content-Length or chunked.")
        with self._gates.uploads.admit(transfers.upload(req, principal(req).account_id)):
            stored = self._uploads.store(
                principal(req),
                name=name,
                media_type=media_types.settled(req.content_type, name),
                visibility=visibility,
                body=_body(req, None, self._is_alive),
                sha256=sha256,
                only_new=only_new,
            )
        resp.media = FILE.json(self._library.details(principal(req), stored.file.id))
        resp.status = falcon.HTTP_201 if stored.created else falcon.HTTP_200
        resp.set_header("Location", f"{req.path.split('/by-name/', 1)[0]}/{stored.file.id}")


def _body(req: falcon.Request, checksum: Checksum | None, is_alive: IsAlive) -> IncomingBody:
    session_id = principal(req).session_id
    return incoming(req, checksum, lambda: is_alive(session_id))


def _checksum(req: falcon.Request) -> Checksum | None:
    header = req.get_header("Upload-Checksum")
    return None if header is None else checksums.of_body(header)


def _announced(req: falcon.Request) -> dict[str, Any]:
    pairs = tus.metadata(req.get_header("Upload-Metadata"))
    if "filename" not in pairs:
        raise InvalidInput("Upload-Metadata must have a filename.", code="missing_filename", field="filename")
    return {
        "name": names.checked(pairs["filename"]),
        "media_type": media_types.settled(pairs.get("filetype"), pairs["filename"]),
        "visibility": _visibility(pairs.get("visibility")),
        "sha256": checksums.of_hex(pairs["sha256"]) if "sha256" in pairs else None,
    }


def _visibility(text: str | None) -> Visibility:
    return Visibility.HOUSEHOLD if text is None else member(Visibility, "visibility", text)


def _only_new(header: str | None) -> bool:
    if header is not None and header.strip() != "*":
        raise InvalidInput("Only If-None-Match: * is meant here.", code="invalid_header", field="If-None-Match")
    return header is not None


def _raw_name(req: falcon.Request, routed: str) -> str:
    """Return the name from the raw request target, decoded once and strictly: WSGI's path hides invalid UTF-8."""
    target = str(req.env.get("RAW_URI") or "").encode("latin-1", "replace")
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):  # absolute form (RFC 9112 3.2.2)
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    try:
        name = unquote_to_bytes(b"/".join(path.split(b"/")[PREFIX_SEGMENTS:])).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("The name in the path is not UTF-8.", code="invalid_name") from None
    if name != routed:  # an encoded slash before the name, in the fixed part of the path
        raise NotFound("There is no such path.")
    return name
