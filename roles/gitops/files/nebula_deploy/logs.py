"""The log of a push or a request. The deployer writes it line by line, and the waiting pusher reads along."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

DONE, FAILED = "Done: ", "Not done: "
POLL_S = 0.2


class Log:
    """A new log of one id, which replaces its old one. Each line goes to the journal (stdout), too.

    A full disk does not stop a deploy: a line that cannot be written to the file is in the journal only.
    """

    def __init__(self, folder: Path, identifier: str) -> None:
        self._file: TextIO | None = None
        with suppress(OSError):
            self._file = _begin(folder, identifier)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            if self._file is not None:
                self._file.close()

    def say(self, line: str) -> None:
        """Add a line."""
        with suppress(OSError):
            print(line, flush=True)
        with suppress(OSError):
            if self._file is not None:
                self._file.write(f"{line}\n")
                self._file.flush()

    def done(self, sentence: str) -> None:
        """Add the last line of an operation that succeeded."""
        self.say(f"{DONE}{sentence}")

    def failed(self, sentence: str) -> None:
        """Add the last line of an operation that failed."""
        self.say(f"{FAILED}{sentence}")


def _begin(folder: Path, identifier: str) -> TextIO:
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{identifier}.new"
    fresh.unlink(missing_ok=True)
    file = fresh.open("x", encoding="utf-8")
    fresh.chmod(0o644)
    # A new file, so that a follower does not mistake the last line of the old log for the end of this one.
    os.replace(fresh, folder / f"{identifier}.log")
    return file


def mark(path: Path) -> tuple[int, int]:
    """Return inode and change time, which tell a log from one that replaces it; (0, 0) if there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_ctime_ns


def follow(path: Path, before: tuple[int, int], show: Callable[[str], None], seconds: float, hint: str) -> bool | None:
    """Show a log's lines until its last one; return whether the operation succeeded, None if it did not end in time.

    `before` is the mark of the log that was there before. `hint` is shown once if the new log takes a while to begin.
    """
    deadline, hinted = time.monotonic() + seconds, time.monotonic() + 3
    while mark(path)[0] in (0, before[0]):
        now = time.monotonic()
        if now > deadline:
            return None
        if hint and now > hinted:
            show(hint)
            hint = ""
        time.sleep(POLL_S)
    with path.open(encoding="utf-8", errors="replace") as file:
        pending = ""
        while time.monotonic() < deadline:
            pending += file.readline()
            if not pending.endswith("\n"):
                time.sleep(POLL_S)
                continue
            line, pending = pending.rstrip("\n"), ""
            show(line)
            if line.startswith((DONE, FAILED)):
                return line.startswith(DONE)
    return None
