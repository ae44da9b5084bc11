"""The headers of tus 1.0.0: read strictly, and written."""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import format_datetime

import falcon

from nebula.domain.checksums import SIZES
from nebula.domain.limits import MAX_UPLOAD_BYTES
from nebula.domain.records import Upload
from nebula.domain.states import UploadState
from nebula.errors import InvalidInput, PreconditionFailed

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
BODY_TYPE = "application/offset+octet-stream"
KEY = re.compile(r"[^ ,\x00-\x1f\x7f-\U0010ffff]+")
KNOWN = frozenset({"filename", "filetype", "sha256", "visibility"})
MAX_DIGITS = 18


def begin(req: falcon.Request, resp: falcon.Response) -> None:
    """Write the headers of every tus answer. Raises PreconditionFailed if the client has another tus version."""
    resp.set_header("Tus-Resumable", VERSION)
    resp.set_header("Cache-Control", "no-store")
    if req.get_header("Tus-Resumable") != VERSION:
        resp.set_header("Tus-Version", VERSION)
        raise PreconditionFailed(f"This is tus {VERSION}: send Tus-Resumable: {VERSION}.", code="tus_version")


def write_abilities(resp: falcon.Response) -> None:
    """Answer OPTIONS with the version, the extensions and the limits."""
    resp.status = falcon.HTTP_204
    resp.set_headers(
        {
            "Tus-Resumable": VERSION,
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(MAX_UPLOAD_BYTES),
            "Tus-Checksum-Algorithm": ",".join(SIZES),
        }
    )


def has_body(req: falcon.Request) -> bool:
    """Return whether the request carries bytes of the upload."""
    return media_type(req) == BODY_TYPE


def media_type(req: falcon.Request) -> str:
    """Return the Content-Type without its parameters."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def length(req: falcon.Request) -> int:
    """Return Upload-Length. Raises InvalidInput for an upload of deferred length or a concatenation."""
    if req.get_header("Upload-Defer-Length") is not None:
        raise InvalidInput("Upload-Defer-Length is not supported: send Upload-Length.", code="length_required")
    if req.get_header("Upload-Concat") is not None:
        raise InvalidInput("Upload-Concat is not supported: send one upload.", code="concat_unsupported")
    return _number(req, "Upload-Length")


def offset(req: falcon.Request) -> int:
    """Return Upload-Offset."""
    return _number(req, "Upload-Offset")


def metadata(header: str | None) -> dict[str, str]:
    """Return the known keys of an Upload-Metadata header with their values; skips unknown keys."""
    pairs: dict[str, str] = {}
    seen_keys: set[str] = set()
    for pair in (header or "").split(",") if (header or "").strip() else []:
        key, _, text = pair.strip().partition(" ")
        if not KEY.fullmatch(key) or key in seen_keys:
            raise _invalid("takes 'key base64' pairs joined by commas, each key once")
        seen_keys.add(key)
        if key in KNOWN:
            pairs[key] = _text(key, text.strip())
    return pairs


def write_progress(resp: falcon.Response, upload: Upload) -> None:
    """Write the headers that say how far an upload is."""
    resp.set_header("Upload-Offset", str(upload.offset_bytes))
    resp.set_header("Upload-Expires", format_datetime(upload.expires_at, usegmt=True))
    if upload.file_id is not None:
        resp.set_header("Nebula-File-Id", upload.file_id)
    elif upload.state is UploadState.FAILED:
        resp.set_header("Nebula-Upload-Error", f"{upload.error_code}: {upload.error}")
    elif upload.state is not UploadState.RECEIVING:
        resp.set_header("Nebula-Upload-State", "verifying")


def metadata_header(upload: Upload) -> str:
    """Return the Upload-Metadata header with the stored metadata of an upload."""
    pairs = {"filename": upload.name, "filetype": upload.media_type, "visibility": str(upload.visibility)}
    if upload.announced_sha256 is not None:
        pairs["sha256"] = upload.announced_sha256
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in pairs.items())


def _number(req: falcon.Request, name: str) -> int:
    text = req.get_header(name)
    if text is None:
        raise InvalidInput(f"The header {name} is missing.", code="missing_header", field=name)
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise InvalidInput(f"{name} must be a whole number.", code="invalid_header", field=name)
    return int(text)


def _text(key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _invalid(f"holds no UTF-8 text in base64 as {key}") from None


def _invalid(why: str) -> InvalidInput:
    return InvalidInput(f"Upload-Metadata {why}.", code="invalid_metadata", field="Upload-Metadata")
