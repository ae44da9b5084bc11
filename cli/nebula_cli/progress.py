"""A progress bar: one line on stderr, rewritten during a transfer. Prints nothing if stderr is not a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import time

from nebula_cli import formats, output

REDRAW_S = 0.1


class Bar:
    """Shows the progress of one transfer. Use it as a context manager, which clears the line at the end.

    NEBULA_PROGRESS=1 shows the bar even if stderr is not a terminal.
    """

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = output.clean(label), total
        self._done = self._first = 0
        self._drawn_at = float("-inf")
        self._began_at = time.monotonic()
        self._shown = output.is_terminal(sys.stderr) or os.environ.get("NEBULA_PROGRESS") == "1"

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()

    def start(self, done: int) -> None:
        """Set the byte at which the transfer starts or restarts; the speed is measured from here."""
        self._first, self._began_at = done, time.monotonic()
        self.at(done)

    def at(self, done: int) -> None:
        """Set how many bytes are done."""
        self._done = done
        now = time.monotonic()
        if self._shown and (now - self._drawn_at >= REDRAW_S or done == self._total):
            self._drawn_at = now
            self._write(self._text(now)[: shutil.get_terminal_size().columns - 1])

    def add(self, count: int) -> None:
        """Add `count` to the bytes that are done."""
        self.at(self._done + count)

    def say(self, text: str) -> None:
        """Print a message in place of the bar; the bar returns with the next bytes."""
        self.clear()
        output.say(text)

    def clear(self) -> None:
        """Clear the line of the bar."""
        if self._shown:
            self._write("")

    def _text(self, now: float) -> str:
        percent = 100 * self._done // self._total if self._total else 100
        speed = (self._done - self._first) / max(now - self._began_at, 0.001)
        left = formats.duration((self._total - self._done) / speed) if speed else "?"
        amount = f"{formats.size(self._done)} of {formats.size(self._total)}"
        return f"{percent:3} %  {amount}  {formats.size(speed)}/s  {left} left  {self._label}"

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
