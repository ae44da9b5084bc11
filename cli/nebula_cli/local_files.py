"""Local files that are uploaded: read in pieces, digested, and watched for changes underneath."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from nebula_cli import output
from nebula_cli.errors import CliError, UsageError

DIGEST_READ = 1 << 20
SEND_READ = 256 * 1024


class Changed(CliError):
    """The file is not the one that the upload began with."""


class Source:
    """One regular file as it was when the command started."""

    def __init__(self, typed: str) -> None:
        self.path = Path(typed).absolute()
        self.typed = typed
        status = _standing(self.path, typed)
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns

    def name_in(self, folder: str) -> str:
        """Return what the file is to be called: its own name, in a folder where one is given."""
        name = os.path.basename(os.path.normpath(self.typed))
        return f"{folder.rstrip('/')}/{name}" if folder else name

    def digest(self, read: Callable[[int], None]) -> str:
        """Return the SHA-256 in hex; `read` hears of each piece's size. Raises Changed."""
        digest = hashlib.sha256()
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(DIGEST_READ):
                digest.update(piece)
                read(len(piece))
        self.check_unchanged()
        return digest.hexdigest()

    def pieces(self, offset: int, length: int, sent: Callable[[int], None]) -> Iterator[bytes]:
        """Yield `length` bytes from `offset`; `sent` hears of each piece once the next is asked for. Raises Changed."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            while length > 0:
                piece = self._read(file, min(SEND_READ, length))
                yield piece
                length -= len(piece)
                sent(len(piece))

    def check_unchanged(self) -> None:
        """Raise Changed if size or time of the file are no longer those of the start; CliError if nobody can tell."""
        try:
            status = self.path.stat()
        except OSError as error:  # a disk that was unplugged is not another file
            raise self._unreadable(error) from error
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            raise self._changed()

    def _read(self, file: FileIO, most: int) -> bytes:
        try:
            piece = file.read(most)
        except OSError as error:  # as it is, it would be taken for the connection's
            raise self._unreadable(error) from error
        if not piece:
            raise self._changed()
        return piece

    def _unreadable(self, error: OSError) -> CliError:
        return CliError(f"Cannot read {output.typed(self.typed)}: {error.strerror}.")

    def _changed(self) -> Changed:
        quoted_path = output.typed(self.typed)
        return Changed(
            f"{quoted_path} changed while it was being uploaded; when it is complete: nebula upload {quoted_path}"
        )


def _standing(path: Path, typed: str) -> os.stat_result:
    clean_path = output.clean(typed)
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
            return status
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"Cannot read {clean_path!r}: {why}. Nothing was uploaded.") from error
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{clean_path!r} is a directory; name the files in it. Nothing was uploaded.")
    raise UsageError(f"{clean_path!r} is no regular file. Nothing was uploaded.")
