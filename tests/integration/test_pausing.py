"""A run that is paused is held still by the kernel, and ends as any other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from nebula.errors import Stopped
from nebula.media.ffmpeg import run as run_module
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.run import Bounds, run
from tests.running import has_gone, is_held
from tests.stores import wait_until

# Two processes that count as fast as they can; the first one says where it is.
BUSY = "(while :; do :; done) & i=0; while :; do i=$((i+1)); case $i in *0000) echo $i;; esac; done"


class Running:
    """`run` in a thread of its own."""

    def __init__(self, script: str, stall_s: float = 60.0) -> None:
        self.pause, self.stop = threading.Event(), threading.Event()
        self.lines: list[str] = []
        self._stall_s = stall_s
        self._pool = ThreadPoolExecutor(1)
        self._script = script
        self.end: Future[str] = self._pool.submit(self._run)

    def _run(self) -> str:
        return run(
            ["sh", "-c", self._script],
            source="",
            on_line=self._take,
            bounds=Bounds(stall_s=self._stall_s),
            control=Control(stop=self.stop, is_paused=self.pause.is_set),
        )

    def _take(self, line: str) -> bool:
        self.lines.append(line)
        return True

    def processes(self) -> list[psutil.Process]:
        """Return the run's living processes: stores that other tests need are children of this one too."""
        found = []
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if self._script in child.cmdline():
                    found += [child, *child.children(recursive=True)]
        # What has ended stays as it is while the shell that would reap it is held.
        return [one for one in found if not has_gone(one)]

    def cpu_s(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self.processes())

    def hold(self) -> None:
        self.pause.set()
        wait_until(lambda: (found := self.processes()) and all(map(is_held, found)), what="the pause")

    def close(self) -> None:
        self.stop.set()
        self._pool.shutdown()


@pytest.fixture
def busy() -> Iterator[Running]:
    with contextlib.closing(Running(BUSY)) as running:
        wait_until(lambda: len(running.lines) > 1, what="the first lines")
        yield running


def test_paused_run_takes_no_processor_and_goes_on_where_it_was(busy: Running) -> None:
    busy.hold()
    assert len(busy.processes()) == 2
    cpu_s, count = busy.cpu_s(), len(busy.lines)
    time.sleep(1)
    assert busy.cpu_s() == cpu_s
    busy.pause.clear()
    wait_until(lambda: len(busy.lines) > count + 1, what="more lines")
    numbers = [int(line) for line in busy.lines]
    assert numbers == list(range(10000, 10000 * len(numbers) + 1, 10000))


def test_paused_run_ends_when_it_is_stopped(busy: Running) -> None:
    busy.hold()
    held = busy.processes()
    busy.stop.set()
    with pytest.raises(Stopped):
        busy.end.result(20)
    wait_until(lambda: all(has_gone(one) for one in held), what="the end of the whole group")


class Clock:
    """Stands for the module `time` of a run: it goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Go on, and wait until the run has seen it: it looks twice in a round at the most."""
        self.now += seconds
        seen = self.looks + 4
        wait_until(lambda: self.looks >= seen, what="a look at the clock")


def test_time_of_a_pause_is_no_stall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock()
    monkeypatch.setattr(run_module, "time", clock)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    # A shell that starts no other process: while one begins, its parent cannot be stopped.
    script = f"echo begun; read go <{gate}; echo ended"
    with gate.open("r+b", buffering=0) as opened, contextlib.closing(Running(script, stall_s=60.0)) as running:
        wait_until(lambda: running.lines, what="the first line")
        running.hold()
        for _ in range(3):
            clock.pass_time(45)
        running.pause.clear()
        opened.write(b"go\n")
        assert running.end.result(20) == ""
        assert running.lines == ["begun", "ended"]


def test_held_program_dies_when_its_parent_is_killed() -> None:
    program = textwrap.dedent("""
        import os, signal, sys, time
        from nebula.process import hold, spawn
        child = spawn(["sh", "-c", "echo begun; exec sleep 600"], stdout=-1)
        child.stdout.readline()
        hold(child)
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False).stdout
    wait_until(lambda: not psutil.pid_exists(int(told)), what="the end of the child")
