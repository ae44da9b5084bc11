"""A run that is paused is held still by the kernel, and ends as any other."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psutil
import pytest

from nebula.errors import Stopped
from nebula.media.run import Bounds, run
from tests.running import has_gone
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
        self.before = set(psutil.Process().children(recursive=True))
        self.end: Future[str] = self._pool.submit(self._run)

    def _run(self) -> str:
        return run(
            ["sh", "-c", self._script],
            source="",
            on_line=self._take,
            bounds=Bounds(stall_s=self._stall_s),
            stop=self.stop,
            is_paused=self.pause.is_set,
        )

    def _take(self, line: str) -> bool:
        self.lines.append(line)
        return True

    def processes(self) -> list[psutil.Process]:
        return [one for one in psutil.Process().children(recursive=True) if one not in self.before]

    def cpu_s(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self.processes())

    def hold(self) -> None:
        self.pause.set()
        wait_until(lambda: {one.status() for one in self.processes()} == {psutil.STATUS_STOPPED}, what="the pause")

    def close(self) -> None:
        self.stop.set()
        self._pool.shutdown()


@pytest.fixture
def busy() -> Iterator[Running]:
    running = Running(BUSY)
    wait_until(lambda: len(running.lines) > 1, what="the first lines")
    yield running
    running.close()


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


def test_time_of_a_pause_is_no_stall() -> None:
    running = Running("echo begun; sleep 2.5; echo ended", stall_s=2.0)
    wait_until(lambda: running.lines, what="the first line")
    running.hold()
    time.sleep(3)
    running.pause.clear()
    assert running.end.result(20) == ""
    assert running.lines == ["begun", "ended"]
    running.close()


def test_held_program_dies_when_its_parent_is_killed() -> None:
    program = textwrap.dedent("""
        import os, signal, sys, time
        from nebula.process import hold, spawn
        child = spawn(["sh", "-c", "echo begun; sleep 600"], stdout=-1)
        child.stdout.readline()
        hold(child)
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False).stdout
    wait_until(lambda: not psutil.pid_exists(int(told)), what="the end of the child")
