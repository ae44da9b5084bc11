"""Local files to upload: read in pieces, digested, and checked for changes during the upload."""

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
    """The file changed after the upload began."""


class Source:
    """One regular file, with its size and time from when the command started."""

    def __init__(self, typed: str) -> None:
        self.path = Path(typed).absolute()
        self.typed = typed
        status = _file_status(self.path, typed)
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns

    def name_in(self, folder: str) -> str:
        """Return the file's name at the server: its own name, with the folder in front if one is given."""
        name = os.path.basename(os.path.normpath(self.typed))
        return f"{folder.rstrip('/')}/{name}" if folder else name

    def digest(self, read: Callable[[int], None]) -> str:
        """Return the SHA-256 in hex; call `read` with the size of each piece. Raises Changed."""
        digest = hashlib.sha256()
        with self.path.open("rb", buffering=0) as file:
            while piece := file.read(DIGEST_READ):
                digest.update(piece)
                read(len(piece))
        self.check_unchanged()
        return digest.hexdigest()

    def pieces(self, offset: int, length: int, sent: Callable[[int], None]) -> Iterator[bytes]:
        """Yield `length` bytes from `offset` in pieces. Raises Changed.

        Calls `sent` with the size of a piece when the next piece is asked for.
        """
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            while length > 0:
                piece = self._read(file, min(SEND_READ, length))
                yield piece
                length -= len(piece)
                sent(len(piece))

    def check_unchanged(self) -> None:
        """Raise Changed if the file's size or time has changed since the start; CliError if they cannot be read."""
        try:
            status = self.path.stat()
        except OSError as error:  # an unplugged disk does not mean that the file has changed
            raise self._unreadable(error) from error
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            raise self._changed()

    def _read(self, file: FileIO, most: int) -> bytes:
        try:
            piece = file.read(most)
        except OSError as error:  # unconverted, it would be taken for an error of the connection
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


def _file_status(path: Path, typed: str) -> os.stat_result:
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
