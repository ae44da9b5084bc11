"""One download from start to end: continues where the last one stopped, verifies the digest, then renames the file.

Bytes are collected in NAME.part. If NAME.part turns out to hold other bytes, it is emptied and fetched again, once.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from urllib3 import exceptions

from nebula_cli import client, output, state
from nebula_cli.client import Answer
from nebula_cli.errors import CliError, Refused
from nebula_cli.progress import Bar
from nebula_cli.retrying import Patience
from nebula_cli.signed_in import SignedIn

READ = 1 << 20
MAX_NAME_BYTES = 255
MAX_ROUNDS = 1_000_000


class OtherBytes(CliError):
    """The bytes that were collected are not those of the file."""


class Download:
    """Downloads the original of one file, or the resource at `path`. It needs a name, a size and a digest."""

    def __init__(self, api: SignedIn, file: dict[str, Any], path: str = "") -> None:
        self._api, self._file = api, file
        self._path = path or f"/files/{file['id']}/content"
        self.name = str(file["name"])
        self._size, self._sha256 = int(file["size_bytes"]), str(file["sha256"])
        self._etag = ""

    def to_path(self, target: Path) -> bool:
        """Download to `target`; return False if it was there already. Never changes another file. Raises CliError."""
        if self._is_there(target):
            return False
        part = part_path(target, self._sha256)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "r+b", buffering=0) as sink:
            if not state.try_lock(sink.fileno()) or not _is_still(part, sink):
                raise CliError(f"Another nebula is downloading to {output.clean(str(part))}; wait for it, or end it.")
            self._gathered(sink)
            os.fsync(sink.fileno())
            self._is_there(target)
            part.rename(target)
        return True

    def to_stdout(self) -> None:
        """Write the bytes to stdout. Raises CliError at the end if they are wrong."""
        sink = sys.stdout.buffer
        digest = hashlib.sha256()

        def pass_on(piece: bytes) -> None:
            digest.update(piece)
            sink.write(piece)

        self._fetch(0, pass_on)
        sink.flush()
        self._verify(digest.hexdigest())

    def _gathered(self, sink: BinaryIO) -> None:
        try:
            self._gather(sink)
        except OtherBytes:
            sink.truncate(0)
            output.say("The part that was there is of another file; fetching it whole.")
            try:
                self._gather(sink)
            except OtherBytes:
                sink.truncate(0)
                raise

    def _gather(self, sink: BinaryIO) -> None:
        digest, have = hashlib.sha256(), 0
        sink.seek(0)
        while have < self._size and (piece := sink.read(min(READ, self._size - have))):
            digest.update(piece)
            have += len(piece)
        sink.truncate(have)

        def keep(piece: bytes) -> None:
            digest.update(piece)
            _write_all(sink, piece)

        self._fetch(have, keep)
        self._verify(digest.hexdigest())

    def _fetch(self, have: int, keep: Callable[[bytes], None]) -> None:
        with Bar(self._file["name"], self._size) as bar:
            bar.start(have)
            patience = Patience(bar.say)
            for _ in range(MAX_ROUNDS):
                if have == self._size:
                    return
                try:
                    for piece in self._pieces(have):
                        keep(piece)
                        have += len(piece)
                        bar.at(have)
                        patience.got_on()
                    if have < self._size:
                        raise Refused("The body ended early", code="short", status=503)
                except CliError as error:
                    patience.wait(error)

    def _pieces(self, have: int) -> Iterator[bytes]:
        """Yield the bytes from `have` on, until the end or until the connection breaks."""
        if have and not self._etag:
            self._etag = self._api.request("HEAD", self._path).headers.get("ETag", "")
        headers = {"Range": f"bytes={have}-", "If-Range": self._etag} if have else {}
        with self._api.stream(self._path, headers) as response:
            if response.status not in {200, 206}:
                answer = Answer(response.status, response.headers, response.read())
                raise client.problem(answer, self._api.server)
            self._etag = response.headers.get("ETag", "")
            skip = have - _start(response.status, response.headers.get("Content-Range", ""))
            try:
                for piece in response.stream(READ):
                    yield from _after(piece, skip)
                    skip = max(0, skip - len(piece))
            except exceptions.HTTPError as error:
                raise self._api.server.unreachable(error) from error

    def _is_there(self, target: Path) -> bool:
        """Return whether the target already is this file. Raises CliError if it is anything else."""
        if not os.path.lexists(target):
            return False
        if target.is_file() and target.stat().st_size == self._size and _digest_of(target) == self._sha256:
            return True
        quoted_path = output.typed(str(target))
        raise CliError(
            f"{quoted_path} is there already and is something else; move it away, or choose another: --to PATH"
        )

    def _verify(self, digest: str) -> None:
        if digest != self._sha256:
            name = output.clean(self._file["name"])
            raise OtherBytes(
                f"What came is not {name!r} (its SHA-256 differs); try again, and if it stays so: nebula info"
            )


def target_path(name: str, to: str) -> Path:
    """Return where a file is written: to `to`, or under the last segment of its name.

    The latter applies inside `to` if `to` is a directory, or inside the current directory if `to` is empty.
    """
    last = name.rsplit("/", 1)[-1]
    path = Path(to or ".")
    if path.is_dir():
        return path / last
    if to.endswith("/") or not path.parent.is_dir():
        raise CliError(
            f"There is no directory {output.clean(to if to.endswith('/') else str(path.parent))!r}; make it."
        )
    return path


def part_path(target: Path, sha256: str) -> Path:
    """Return the path in which bytes are collected: NAME.part, or a short name if that would be too long."""
    name = f"{target.name}.part"
    return target.with_name(name if len(os.fsencode(name)) <= MAX_NAME_BYTES else f"{sha256[:16]}.part")


def _is_still(part: Path, sink: BinaryIO) -> bool:
    """Return whether the path still names the open file.

    Another process may have finished and renamed it between opening and locking.
    """
    try:
        return os.path.samestat(part.stat(), os.fstat(sink.fileno()))
    except FileNotFoundError:
        return False


def _start(status: int, content_range: str) -> int:
    """Return the offset at which a body starts; a 200 is the whole file, even if a range was asked for."""
    match = re.match(r"bytes (\d+)-", content_range, re.ASCII) if status == 206 else None
    return int(match[1]) if match else 0


def _after(piece: bytes, skip: int) -> Iterator[bytes]:
    rest = piece[skip:] if skip > 0 else piece
    if rest:
        yield rest


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(READ):
            digest.update(piece)
    return digest.hexdigest()


def _write_all(sink: BinaryIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[sink.write(view) :]
