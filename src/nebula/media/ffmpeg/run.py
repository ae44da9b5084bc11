"""Runs ffmpeg or ffprobe once: with limits, stoppable, and reaped in every case."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from nebula.errors import FfmpegFailed, FfmpegStalled, MediaError, Stopped
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.source import shown
from nebula.process import cpu_s, end, hold, let_go, spawn

TAIL_BYTES = 8192
MAX_LINE_BYTES = 65536
POLL_S = 0.2
# The program gets only the variables with which it is found and finds its drivers. The rest of the worker's
# environment may hold secrets.
_CLEAN = (
    *("/bin/sh", "-c"),
    'exec env -i PATH="$PATH" LC_ALL=C.UTF-8 ${LD_LIBRARY_PATH+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"}'
    ' ${LIBVA_DRIVERS_PATH+"LIBVA_DRIVERS_PATH=$LIBVA_DRIVERS_PATH"}'
    ' ${LIBVA_DRIVER_NAME+"LIBVA_DRIVER_NAME=$LIBVA_DRIVER_NAME"} "$@"',
    "sh",
)


@dataclass(frozen=True)
class Bounds:
    """The limits of a run. `cpu_s` is seconds of processor time, `stall_s` how long it may report nothing new."""

    memory_bytes: int | None = None
    file_bytes: int | None = None
    cpu_s: int = 300
    stall_s: float = 120.0


def run(
    argv: Sequence[str],
    *,
    source: str,
    on_line: Callable[[str], bool],
    bounds: Bounds,
    control: Control = FREE,
) -> str:
    """Run a program, which must succeed; return the tail of its stderr.

    `on_line` gets each line of stdout and returns whether it is news. Raises Stopped, FfmpegFailed (the program
    failed), FfmpegStalled (no news for `bounds.stall_s` while not paused), and what `control.check_source` and
    `control.check_room` raise. The program's stderr has no effect on the result: it may be text from the file. The
    token of a source's URL is kept out of the log.
    """
    try:
        status, log = _run(argv, source, on_line, bounds, control)
        control.check_source()  # a program whose input was cut short may exit 0
        if status != 0:
            raise failure(status, log)
    except FfmpegFailed:
        control.check_source()
        control.check_room()
        raise
    return log


def _run(
    argv: Sequence[str], source: str, on_line: Callable[[str], bool], bounds: Bounds, control: Control
) -> tuple[int, str]:
    """Run a program to its end, good or bad; return its exit status and the tail of its stderr."""
    process = spawn(
        [*_CLEAN, *argv],
        memory_bytes=bounds.memory_bytes,
        file_bytes=bounds.file_bytes,
        cpu_s=bounds.cpu_s,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    follower, used_s = _Follower(process, on_line, source), 0.0
    try:
        _follow(follower, _Brake(process, control.is_paused), bounds.stall_s, control)
        let_go(process)  # it closed its pipes, so it only has to exit
        used_s = cpu_s(process, wait_s=bounds.stall_s)
        status = process.wait(0)
    except subprocess.TimeoutExpired:
        status = end(process)
    finally:
        end(process)
        follower.close()
    log = follower.log
    if status == -signal.SIGKILL and used_s > bounds.cpu_s - 1:
        raise FfmpegFailed(f"ffmpeg took more than the {bounds.cpu_s} s of processor time for this work.", log=log)
    return status, log


def failure(status: int, log: str) -> FfmpegFailed:
    """Return the error for a failed run; its message ends with the last line of the log, for people to read."""
    lines = [line for line in log.splitlines() if line.strip()]
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    message = f"ffmpeg {how}: {lines[-1].strip()[:300]}" if lines else f"ffmpeg {how}."
    return FfmpegFailed(message, log=log, status=status)


def _follow(follower: _Follower, brake: _Brake, stall_s: float, control: Control) -> None:
    heard_at = time.monotonic()
    while follower.is_open:
        if control.stop is not None and control.stop.is_set():
            raise Stopped("The work was stopped.")
        # Read before suspending. What is suspended must be the program, with its death signal armed, not its launcher.
        news = follower.read(POLL_S)
        if brake.holds() or news:
            heard_at = time.monotonic()
        if time.monotonic() - heard_at > stall_s:
            raise FfmpegStalled(f"ffmpeg made no progress for {stall_s:.0f} s.", log=follower.log)


class _Brake:
    """Suspends a process group while `is_paused` returns True."""

    def __init__(self, process: subprocess.Popen[bytes], is_paused: Callable[[], bool]) -> None:
        self._process = process
        self._is_paused = is_paused
        self._is_held = False

    def holds(self) -> bool:
        """Suspend or resume the group if `is_paused` changed; return whether it is suspended now."""
        if self._is_paused() != self._is_held:
            self._is_held = not self._is_held
            (hold if self._is_held else let_go)(self._process)
        return self._is_held


class _Follower:
    """Reads a process's two pipes in the thread that started it: the process is killed when that thread ends."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[str], bool], source: str) -> None:
        self._on_line = on_line
        self._tail = _Tail(source)
        self._rest = b""
        self._pipes: list[IO[bytes]] = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipes[0], selectors.EVENT_READ, self._take_lines)
        self._selector.register(self._pipes[1], selectors.EVENT_READ, self._take_log)

    @property
    def is_open(self) -> bool:
        return bool(self._selector.get_map())

    @property
    def log(self) -> str:
        return self._tail.text

    def read(self, seconds: float) -> bool:
        """Read what arrives within `seconds`; return whether any of it was news."""
        news = False
        for key, _ in self._selector.select(seconds):
            chunk = os.read(key.fd, MAX_LINE_BYTES)
            if chunk:
                news |= key.data(chunk)
            else:
                self._selector.unregister(key.fileobj)
        return news

    def close(self) -> None:
        self._selector.close()
        for pipe in self._pipes:
            pipe.close()

    def _take_lines(self, chunk: bytes) -> bool:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise MediaError("ffmpeg's answer about this file makes no sense: one line without an end.")
        # A list, so that every line is processed: a generator would stop at the first news.
        return any([self._on_line(line.decode(errors="replace")) for line in lines])

    def _take_log(self, chunk: bytes) -> bool:
        self._tail.add(chunk)
        return False


class _Tail:
    """The tail of a program's stderr, without the token of its source's URL or any piece of that token."""

    def __init__(self, source: str) -> None:
        self._source = source.encode()
        self._shown = shown(source).encode()
        self._kept = b""
        self._is_cut = False

    def add(self, chunk: bytes) -> None:
        self._kept += chunk
        # Keep more than is shown, so that a URL that crosses the start of the shown text is complete.
        most = TAIL_BYTES + 2 * len(self._source)
        self._is_cut |= len(self._kept) > most
        self._kept = self._kept[-most:]

    @property
    def text(self) -> str:
        tail = self._kept.replace(self._source, self._shown) if self._source else self._kept
        if self._is_cut:
            tail = tail[self._cut_address(tail) :]
        return tail[-TAIL_BYTES:].decode(errors="replace")

    def _cut_address(self, kept: bytes) -> int:
        """Return how many bytes at the beginning are the rest of a URL that was cut."""
        return next((size for size in range(len(self._source), 0, -1) if kept.startswith(self._source[-size:])), 0)
