"""One upload from start to end: skips what the server has, sends the rest in pieces, and continues after interruptions.

A second run needs the upload's path at the server, and the file's size, time and digest. They are kept in a note in
the state directory, from before the first byte is sent until the server has the file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nebula_cli import output, state, tus
from nebula_cli.errors import CliError, Refused
from nebula_cli.local_files import Changed, Source
from nebula_cli.progress import Bar
from nebula_cli.retrying import Patience
from nebula_cli.signed_in import SignedIn

PIECE = 64 << 20
VERIFY_S = 3600.0
# The server forgets unfinished uploads after 7 days.
NOTE_LIFE_S = 8 * 86400
MAX_ROUNDS = 1_000_000


@dataclass(frozen=True)
class Note:
    """What a second run needs to continue the upload."""

    path: str
    size: int
    modified_ns: int
    sha256: str
    upload: str = ""  # the upload's path at the server; empty before it is created


@dataclass(frozen=True)
class Outcome:
    """The file, and whether the upload was skipped because the server had it already."""

    file: dict[str, Any]
    skipped: bool


class Upload:
    """Uploads one local file to the account under `name`."""

    def __init__(self, api: SignedIn, source: Source, name: str, *, private: bool) -> None:
        self._api, self._source, self._name, self._private = api, source, name, private
        self._notes = Notes(api, source, name)

    def run(self) -> Outcome:
        """Upload the file. After any failure it may be called again, also in another process. Raises CliError."""
        with self._notes.locked():
            try:
                return self._run()
            except CliError as error:
                note = self._notes.read()
                if note is not None and note.upload:
                    error.advise(f"What came is kept; to go on, type it again: nebula upload {self._shown()}")
                raise

    def _run(self) -> Outcome:
        digest = self._digest()
        existing = self._existing(digest)
        if existing is not None:
            self._notes.remove()
            return Outcome(existing, skipped=True)
        file_id = self._sent(digest)
        self._notes.remove()
        return Outcome(self._api.get(f"/files/{file_id}"), skipped=False)

    def _digest(self) -> str:
        note = self._notes.read()
        if note is not None:
            return note.sha256
        with Bar(f"reading {self._name}", self._source.size) as bar:
            bar.start(0)
            digest = self._source.digest(bar.add)
        self._notes.write(self._note(digest))
        return digest

    def _existing(self, digest: str) -> dict[str, Any] | None:
        """Return the account's file with this name and digest, or None.

        Restores the file if it is in the trash, and makes it private if that was asked for.
        """
        for trashed in ("false", "true"):
            for file in self._api.items("/files", {"sha256": digest, "trashed": trashed}):
                if file["name"] == self._name and file.get("account") == self._api.username:
                    return self._as_asked(file)
        return None

    def _as_asked(self, file: dict[str, Any]) -> dict[str, Any]:
        path = f"/files/{file['id']}"
        if file.get("deleted_at"):
            file = self._api.send("POST", f"{path}/restore")
        if self._private and file.get("visibility") != "private":
            file = self._api.send("PATCH", path, {"visibility": "private"})
        return file

    def _sent(self, digest: str) -> str:
        with Bar(self._name, self._source.size) as bar:
            patience = Patience(bar.say)
            for _ in range(MAX_ROUNDS):
                try:
                    status = self._caught_up(digest, bar, patience)
                    return self._file_id(status)
                except tus.Gone:
                    # The upload expired, or the server lost it: start again, but not for ever.
                    self._notes.write(self._note(digest))
                    patience.wait(Refused("The server lost the upload", code="gone", status=503, retry_after_s=0))
                except CliError as error:
                    self._end_if_hopeless(error)
                    patience.wait(error)
        raise CliError(f"{output.typed(self._source.typed)} could not be uploaded.")

    def _caught_up(self, digest: str, bar: Bar, patience: Patience) -> tus.UploadStatus:
        """Send the missing bytes; return the upload's status when the server has them all and has checked them."""
        path = self._upload_path(digest)
        status = tus.ask(self._api, path)
        bar.start(status.offset)
        while status.offset < self._source.size:
            self._source.check_unchanged()
            length = min(PIECE, self._source.size - status.offset)
            pieces = self._source.pieces(status.offset, length, bar.add)
            previous, status = status, tus.send(self._api, path, status.offset, length, pieces)
            if status.offset > previous.offset:
                patience.got_on()
            bar.at(status.offset)
        return self._settled(path, status)

    def _settled(self, path: str, upload_status: tus.UploadStatus) -> tus.UploadStatus:
        """Wait until the server has checked the digest; return the upload's status then."""
        deadline = time.monotonic() + VERIFY_S
        while upload_status.file_id is None and not upload_status.error:
            if time.monotonic() > deadline:
                raise CliError(f"The server is still checking {self._shown()}; look later: nebula ls")
            time.sleep(0.2)
            upload_status = tus.ask(self._api, path)
            if upload_status.offset < self._source.size:
                raise Refused("The server lost a part of the upload", code="lost", status=503, retry_after_s=0)
        return upload_status

    def _file_id(self, upload_status: tus.UploadStatus) -> str:
        if upload_status.file_id is None:
            self._notes.remove()
            raise CliError(f"{self._shown()} was not stored: {upload_status.error}")
        return upload_status.file_id

    def _upload_path(self, digest: str) -> str:
        note = self._notes.read()
        if note is not None and note.upload:
            return note.upload
        path = tus.create(self._api, self._source.size, self._metadata(digest))
        self._notes.write(self._note(digest, path))
        return path

    def _metadata(self, digest: str) -> dict[str, str]:
        # No filetype: the server derives it from the name, in the same way for every client.
        return {
            "filename": self._name,
            "sha256": digest,
            "visibility": "private" if self._private else "household",
        }

    def _end_if_hopeless(self, error: CliError) -> None:
        """End the upload if the file has changed, or if the server refused its bytes for good; raise that error.

        Nothing else ends it. The server keeps the bytes that it received, and the note stays here, so that a second
        run can continue.
        """
        hopeless = error if tus.refuses_for_good(error) else None
        try:
            self._source.check_unchanged()
        except Changed as change:
            hopeless = change
        if hopeless is None:
            return
        note = self._notes.read()
        self._notes.remove()
        if note is not None and note.upload:
            with suppress(CliError):  # the server removes it by itself later
                tus.end(self._api, note.upload)
        raise hopeless

    def _note(self, digest: str, upload: str = "") -> Note:
        return Note(str(self._source.path), self._source.size, self._source.modified_ns, digest, upload)

    def _shown(self) -> str:
        return output.typed(self._source.typed)


class Notes:
    """Keeps the note of one upload. It is identified by server, account, local path and name."""

    def __init__(self, api: SignedIn, source: Source, name: str) -> None:
        self._folder = state.private_directory(state.directory() / "uploads")
        self._source = source
        key = "\0".join([api.server.url, api.username, str(source.path), name])
        self._path = self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        _tidy(self._folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from uploading the same file at once: each would interrupt the other."""
        busy = f"Another nebula is uploading {output.typed(self._source.typed)}; wait for it, or end it."
        with state.locked(self._path.with_suffix(".lock"), busy=busy, wait_s=0):
            yield

    def read(self) -> Note | None:
        """Return the note; None if there is none, or if the file has changed since."""
        try:
            members = state.read_json(self._path)
            note = None if members is None else Note(**members)
        except (state.Damaged, TypeError):
            return None
        source = self._source
        fits = note is not None and (note.size, note.modified_ns) == (source.size, source.modified_ns)
        return note if fits else None

    def write(self, note: Note) -> None:
        """Store the note."""
        state.write_json(self._path, asdict(note))

    def remove(self) -> None:
        """Delete the note."""
        self._path.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    """Remove the notes of uploads that the server has removed too."""
    oldest = time.time() - NOTE_LIFE_S
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:
            continue  # another process was quicker
