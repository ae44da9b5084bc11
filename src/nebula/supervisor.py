"""Keep processes alive: start them, restart those that die, and leave nothing behind at the end.

A supervised process, here called a part, dies with this process (process.spawn), even with kill -9. If a part dies, the
processes that it leaves behind become children of this process (PR_SET_CHILD_SUBREAPER) and are killed. The output of
each part goes to a log file of its own, which has a size limit.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from nebula import process
from nebula.errors import NebulaError

PR_SET_CHILD_SUBREAPER = 36
LOG_BYTES = 4 << 20  # limit of each of a part's two log files
LINE_BYTES = 16 << 10
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 60.0  # a part that lived this long is restarted with the first delay again
TRIES_BEFORE_READY = 5
GRACE_S = 15.0
POLL_S = 0.5


class ProcessKeepsDying(NebulaError):
    """A part keeps ending before all parts were ready; `log` in the details is the end of its log."""

    code = "part_keeps_dying"


class Log:
    """A part's log: writes lines from its pipe to NAME.log. The lines before them are in NAME.log.1."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def take(self, pipe: IO[bytes]) -> None:
        """Copy the pipe into the file until the part closes it."""
        # Never blocks the part and never ends early: if the log cannot be written, only lines are lost.
        while line := pipe.readline(LINE_BYTES):
            try:
                self._write(line)
            except OSError:
                continue
        pipe.close()

    def tail(self, lines: int = 15) -> str:
        """Return the log's last lines."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - lines * 400))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _write(self, line: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size > LOG_BYTES:
            self.path.replace(self.path.with_suffix(".log.1"))
        with self.path.open("ab") as file:
            file.write(line)


@dataclass
class ManagedProcess:
    """One process that is kept alive."""

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    log: Log
    inherits: tuple[int, ...] = ()  # descriptors
    deaths: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _started_at: float = 0.0
    _due_at: float = 0.0
    _delay_s: float = FIRST_DELAY_S

    @property
    def pid(self) -> int | None:
        """The id of its process, if it has one."""
        return None if self._process is None else self._process.pid

    def start_if_due(self) -> None:
        """Start it, unless it is running or died a moment ago. It lives as long as the thread that calls this."""
        if self._process is not None or time.monotonic() < self._due_at:
            return
        self._process = process.spawn(
            self.argv,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=self.inherits,
        )
        self._started_at = time.monotonic()
        threading.Thread(target=self.log.take, args=[self._process.stdout], daemon=True).start()

    def bury(self) -> str | None:
        """If it has died, reap its whole group; return how it ended and when it starts again. Else return None."""
        if self._process is None or not _has_ended(self._process):
            return None
        status = process.end(self._process, grace_s=0)
        self._process = None
        self.deaths += 1
        if time.monotonic() - self._started_at > STEADY_S:
            self._delay_s = FIRST_DELAY_S
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, LONGEST_DELAY_S)
        self._due_at = time.monotonic() + delay_s
        return f"{self.name} {_ending(status)}; starting it again in {delay_s:g} s"

    def ask_to_end(self) -> None:
        """Send SIGTERM only to the part itself, so that it ends its own children in its own order."""
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Kill what is left of it, and reap it."""
        if self._process is not None:
            process.end(self._process, grace_s=0)
            self._process = None


class Supervisor:
    """Runs parts until a signal.

    Must run in the main thread, which receives the signals and is the parent of the parts.
    """

    def __init__(self, parts: Sequence[ManagedProcess], say: Callable[[str], None]) -> None:
        self._parts = parts
        self._say = say
        self._signals_taken: list[int] = []
        self._is_ready = False

    def run(self, is_ready: Callable[[], bool], on_ready: Callable[[], None]) -> int:
        """Keep every part alive; return the signal that ended the run.

        `on_ready` runs once, when `is_ready` first returns True. Raises ProcessKeepsDying if a part never gets ready.
        """
        _adopt_orphans()
        with self._signals() as wakes:
            try:
                while not self._signals_taken:
                    self._tend()
                    if not self._is_ready and is_ready():
                        self._is_ready = True
                        on_ready()
                    _wait(wakes, POLL_S if self._is_ready else POLL_S / 5)
            finally:
                self._end_all(wakes)
        return self._signals_taken[0]

    def _tend(self) -> None:
        for part in self._parts:
            ending = part.bury()
            if ending is not None:
                self._say(ending)
                if not self._is_ready and part.deaths >= TRIES_BEFORE_READY:
                    raise ProcessKeepsDying(f"The {part.name} does not start.", log=part.log.tail(), path=part.log.path)
            part.start_if_due()
        _kill_orphans(self._pids())

    def _end_all(self, wakes: int) -> None:
        taken = len(self._signals_taken)
        self._say("stopping" + (" (Ctrl-C again: at once)" if signal.SIGINT in self._signals_taken else ""))
        for part in self._parts:
            part.ask_to_end()
        deadline = time.monotonic() + GRACE_S
        # A second signal in the meantime comes from a person who does not want to wait.
        while self._pids() and time.monotonic() < deadline and len(self._signals_taken) == taken:
            for part in self._parts:
                part.bury()
            _wait(wakes, 0.1)
        for part in self._parts:
            part.end()
        _kill_orphans(set())

    def _pids(self) -> set[int]:
        return {part.pid for part in self._parts if part.pid is not None}

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Handle the signals; yield a descriptor that becomes readable with each of them."""
        wakes, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        before |= {number: signal.signal(number, self._note) for number in (signal.SIGHUP, signal.SIGCHLD)}
        waker = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            yield wakes
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wakes)
            os.close(wake)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._signals_taken.append(number)


def _wait(wakes: int, seconds: float) -> None:
    if select.select([wakes], [], [], seconds)[0]:
        os.read(wakes, 4096)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    # WNOWAIT leaves the process unreaped: until it is reaped, its group's id cannot be given to another group.
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _kill_orphans(own: set[int]) -> None:
    """Kill and reap children that are not parts: processes that a dead part left behind."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, _read(listing).split()):
            if pid in own:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)  # a process that takes longer is reaped in the next round
            except (ProcessLookupError, ChildProcessError):
                continue


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the thread has just ended
        return ""
