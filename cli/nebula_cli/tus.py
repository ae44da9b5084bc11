"""The client's half of tus 1.0.0 (tus.io/protocols/resumable-upload): create, ask where it stands, send on, end."""

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
# Problems that say that the server will never take these bytes. Everything else may pass, or a person can help.
FOR_GOOD = frozenset({"digest_mismatch", "checksum_mismatch", "body_too_long"})


@dataclass(frozen=True)
class Standing:
    """How far an upload is at the server."""

    offset: int
    file_id: str | None  # where everything came and was checked
    error: str  # why the server gave it up; else empty


class Gone(CliError):
    """The server has no such upload any more."""


def refuses_for_good(error: CliError) -> bool:
    """Return whether the server said that it will never take an upload's bytes: only then is there nothing to keep."""
    return isinstance(error, Refused) and error.code in FOR_GOOD


def create(api: SignedIn, size: int, metadata: dict[str, str]) -> str:
    """Create an upload; return its path at the server."""
    packed = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items())
    headers = {**VERSION, "Upload-Length": str(size), "Upload-Metadata": packed}
    answer = api.request("POST", "/uploads", headers=headers)
    location = answer.headers.get("Location", "")
    if not location:
        raise Unreachable(f"{api.server.url} did not say where the upload goes; see nebula ping")
    # Only the path is taken: the token goes to the server that was signed in at, whatever a Location says.
    return urlsplit(urljoin(f"{api.server.url}{V1}/uploads", location)).path


def ask(api: SignedIn, path: str) -> Standing:
    """Return how far the upload is. Raises Gone."""
    return _standing(api, _authorised(api, "HEAD", path))


def send(api: SignedIn, path: str, offset: int, length: int, body: Iterable[bytes]) -> Standing:
    """Send bytes from `offset` on; return how far the upload is then. Raises Gone, or what the server refuses."""
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
        # The body is spent: who sends asks again how far the upload is.
        raise Refused("The access token ran out", code="token_ran_out", status=503, retry_after_s=0)
    return _standing(api, answer)


def end(api: SignedIn, path: str) -> None:
    """Tell the server to forget the upload; that it is gone already is as good."""
    _authorised(api, "DELETE", path)


def _authorised(api: SignedIn, method: str, path: str) -> Answer:
    token = api.access_token()
    answer = api.send_once(method, path, VERSION)
    if answer.status == 401:
        api.renew(token)
        answer = api.send_once(method, path, VERSION)
    return answer


def _standing(api: SignedIn, answer: Answer) -> Standing:
    if answer.status in {404, 410}:
        if "Tus-Resumable" in answer.headers:
            raise Gone("The server has no such upload any more.")
        # A proxy's answer, or another program's: it knows nothing of the upload.
        raise client.not_nebula(answer, api.server)
    client.checked(answer, api.server)
    offset = answer.headers.get("Upload-Offset", "")
    if not (offset.isascii() and offset.isdigit()):
        raise Unreachable(f"{api.server.url} did not say how far the upload is; see nebula ping")
    return Standing(
        offset=int(offset),
        file_id=answer.headers.get("Nebula-File-Id"),
        error=output.clean(answer.headers.get("Nebula-Upload-Error", "")),
    )
