"""The client's half of tus 1.0.0 (tus.io/protocols/resumable-upload): create an upload, ask its offset, send, end."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from nebula_cli import client, output
from nebula_cli.client import V1, Answer
from nebula_cli.errors import CliError, Refused, Unreachable
from nebula_cli.signed_in import SignedIn

VERSION = {"Tus-Resumable": "1.0.0"}
# Problems which mean that the server will never accept these bytes. Others may pass by themselves or be fixed.
FOR_GOOD = frozenset({"digest_mismatch", "checksum_mismatch", "body_too_long"})


@dataclass(frozen=True)
class UploadStatus:
    """The status of an upload at the server."""

    offset: int
    file_id: str | None  # set once all bytes have arrived and were checked
    error: str  # why the server gave the upload up; empty if it did not


class Gone(CliError):
    """The server does not have this upload any more."""


def refuses_for_good(error: CliError) -> bool:
    """Return whether the server will never accept an upload's bytes; in all other cases the upload is worth keeping."""
    return isinstance(error, Refused) and error.code in FOR_GOOD


def create(api: SignedIn, size: int, metadata: dict[str, str]) -> str:
    """Create an upload; return its path at the server."""
    packed = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
    headers = {**VERSION, "Upload-Length": str(size), "Upload-Metadata": packed}
    answer = api.request("POST", "/uploads", headers=headers)
    location = answer.headers.get("Location", "")
    if not location:
        raise Unreachable(f"{api.server.url} did not say where the upload goes; see nebula ping")
    # Use only the path: whatever a Location says, the token goes only to the server at which the person signed in.
    return urlsplit(urljoin(f"{api.server.url}{V1}/uploads", location)).path


def ask(api: SignedIn, path: str) -> UploadStatus:
    """Return the status of the upload. Raises Gone."""
    return _upload_status(api, _authorised(api, "HEAD", path))


def send(api: SignedIn, path: str, offset: int, length: int, body: Iterable[bytes]) -> UploadStatus:
    """Send bytes from `offset` on; return the upload's status after that. Raises Gone, or Refused."""
    headers = {
        **VERSION,
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(length),
    }
    token = api.access_token()
    answer = api.send_once("PATCH", path, headers, body)
    if answer.status == 401:
        api.renew(token)
        # The body is consumed, so the caller must ask for the offset again.
        raise Refused("The access token ran out", code="token_ran_out", status=503, retry_after_s=0)
    return _upload_status(api, answer)


def end(api: SignedIn, path: str) -> None:
    """Tell the server to remove the upload; it is no error if it is already removed."""
    _authorised(api, "DELETE", path)


def _authorised(api: SignedIn, method: str, path: str) -> Answer:
    token = api.access_token()
    answer = api.send_once(method, path, VERSION)
    if answer.status == 401:
        api.renew(token)
        answer = api.send_once(method, path, VERSION)
    return answer


def _upload_status(api: SignedIn, answer: Answer) -> UploadStatus:
    if answer.status in {404, 410}:
        if "Tus-Resumable" in answer.headers:
            raise Gone("The server has no such upload any more.")
        # The answer came from a proxy or another program, which knows nothing about the upload.
        raise client.not_nebula(answer, api.server)
    client.checked(answer, api.server)
    offset = answer.headers.get("Upload-Offset", "")
    if not (offset.isascii() and offset.isdigit()):
        raise Unreachable(f"{api.server.url} did not say how far the upload is; see nebula ping")
    return UploadStatus(
        offset=int(offset),
        file_id=answer.headers.get("Nebula-File-Id"),
        error=output.clean(answer.headers.get("Nebula-Upload-Error", "")),
    )
