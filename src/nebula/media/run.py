"""One run of ffmpeg or ffprobe: bounded, stoppable, and reaped however it ends."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from nebula.errors import FfmpegFailed, MediaError, NoRoom, Stopped
from nebula.media.control import FREE, Control
from nebula.media.source import shown
from nebula.process import cpu_s, end, hold, let_go, spawn

TAIL_BYTES = 8192
MAX_LINE_BYTES = 65536
POLL_S = 0.2


@dataclass(frozen=True)
class Bounds:
    """What a run may use. `cpu_s` is seconds of processor time; `stall_s` is how long it may say nothing new."""

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
    """Run a program to its good end; return the tail of its stderr.

    `on_line` gets each line of stdout and says whether it is news. Raises Stopped, NoRoom (the disk is full),
    FfmpegFailed (a bad end, or no news for `bounds.stall_s` while not paused). `source` is kept out of the log where it
    carries credentials (a presigned URL).
    """
    process = spawn(
        argv,
        memory_bytes=bounds.memory_bytes,
        file_bytes=bounds.file_bytes,
        cpu_s=bounds.cpu_s,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    follower, used_s = _Follower(process, on_line), 0.0
    try:
        _follow(follower, _Brake(process, control.is_paused), bounds.stall_s, control)
        let_go(process)  # it closed its pipes: all that is left of it is its end
        used_s = cpu_s(process, wait_s=bounds.stall_s)
        status = process.wait(0)
    except subprocess.TimeoutExpired:
        status = end(process)
    finally:
        end(process)
        follower.close()
    log = follower.log.replace(source, shown(source))
    if status == -signal.SIGKILL and used_s > bounds.cpu_s - 1:
        raise FfmpegFailed(f"ffmpeg took more than the {bounds.cpu_s} s of processor time for this work.", log=log)
    if status != 0:
        raise failure(status, log)
    return log


def failure(status: int, log: str) -> NoRoom | FfmpegFailed:
    """Name the condition that a bad end means."""
    if "No space left on device" in log:
        return NoRoom("The disk that films are made on is full.", log=log)
    lines = [line for line in log.splitlines() if line.strip()]
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return FfmpegFailed(f"ffmpeg {how}: {lines[-1].strip()[:300]}" if lines else f"ffmpeg {how}.", log=log)


def _follow(follower: _Follower, brake: _Brake, stall_s: float, control: Control) -> None:
    heard_at = time.monotonic()
    while follower.is_open:
        if control.stop is not None and control.stop.is_set():
            raise Stopped("The work was stopped.")
        # Read first: what is held must be the program, with its death signal armed, not what becomes it.
        news = follower.read(POLL_S)
        if brake.holds() or news:
            heard_at = time.monotonic()
        if time.monotonic() - heard_at > stall_s:
            raise FfmpegFailed(f"ffmpeg made no progress for {stall_s:.0f} s.", log=follower.log)


class _Brake:
    """Holds a process's group while it is to pause."""

    def __init__(self, process: subprocess.Popen[bytes], is_paused: Callable[[], bool]) -> None:
        self._process = process
        self._is_paused = is_paused
        self._is_held = False

    def holds(self) -> bool:
        """Do what is asked at this moment; return whether the group is held now."""
        if self._is_paused() != self._is_held:
            self._is_held = not self._is_held
            (hold if self._is_held else let_go)(self._process)
        return self._is_held


class _Follower:
    """Reads a process's two pipes in the one thread that may do so: the process is killed when its thread ends."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[str], bool]) -> None:
        self._on_line = on_line
        self._tail = b""
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
        return self._tail.decode(errors="replace")

    def read(self, seconds: float) -> bool:
        """Take what comes within `seconds`; return whether any of it was news."""
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
        # Every line is taken: no short-circuit.
        return any([self._on_line(line.decode(errors="replace")) for line in lines])

    def _take_log(self, chunk: bytes) -> bool:
        self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        return False
