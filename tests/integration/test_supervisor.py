"""Keeping processes alive, with parts that misbehave. Each run is a process of its own: a supervisor takes signals."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from nebula import supervisor
from nebula.supervisor import Log
from tests.running import has_gone
from tests.stores import wait_until

RUN = """
import os, sys
from pathlib import Path
from nebula.supervisor import Log, ManagedProcess, ProcessKeepsDying, Supervisor

def say(text):
    print(text, flush=True)

log = Log(Path(sys.argv[1]))
part = ManagedProcess("part", ["/bin/sh", "-c", sys.argv[2]], os.environ, log)
try:
    number = Supervisor([part], say).run(lambda: READY, lambda: say("ready"))
except ProcessKeepsDying as error:
    sys.exit(f"{error.message} {error.details['log']}")
print("signal", number)
"""


@contextmanager
def supervised(script: str, folder: Path, *, ready: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor over one part, a shell script."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN.replace("READY", str(ready)), str(folder / "part.log"), script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def noted(path: Path) -> int:
    """Wait for a process id that a script writes."""
    wait_until(lambda: path.exists() and path.read_text().strip(), 30, f"{path.name} is written")
    return int(path.read_text())


def test_part_that_never_starts_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    with supervised("echo no such setting; exit 3", tmp_path, ready=False) as process:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "The part does not start. no such setting" in err
        assert out.count("part ended with status 3; starting it again in ") == supervisor.TRIES_BEFORE_READY


def test_part_that_dies_again_and_again_is_started_less_and_less_often(tmp_path: Path) -> None:
    with supervised("exit 3", tmp_path) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(4)]
    assert "ready" in said
    waits = [line.rpartition("in ")[2] for line in said if "starting it again" in line]
    assert waits == ["0.5 s", "1 s", "2 s"]


def test_what_a_dead_part_leaves_behind_is_killed(tmp_path: Path) -> None:
    stray = tmp_path / "stray"
    script = f"[ -e {stray} ] && exec sleep 1000; setsid sleep 1000 & echo $! > {stray}; exit 3"
    with supervised(script, tmp_path):
        pid = noted(stray)
        wait_until(lambda: not psutil.pid_exists(pid), 30, "the stray is gone")


def test_part_that_does_not_want_to_end_is_killed_at_the_second_signal(tmp_path: Path) -> None:
    own = tmp_path / "own"
    script = f"trap '' TERM; echo $$ > {own}; while :; do sleep 1; done"
    with supervised(script, tmp_path) as process:
        part = psutil.Process(noted(own))
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        wait_until(lambda: "stopping" in process.stdout.readline(), 30, "it says that it stops")
        assert not has_gone(part)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert out.strip() == f"signal {int(signal.SIGINT)}"
        assert has_gone(part)


def test_log_keeps_two_files_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 1000)
    log = Log(tmp_path / "log" / "part.log")
    log.take(io.BytesIO(b"".join(b"line %d\n" % number for number in range(1000))))
    kept = sorted(path.name for path in log.path.parent.iterdir())
    assert kept == ["part.log", "part.log.1"]
    assert all(path.stat().st_size < 1100 for path in log.path.parent.iterdir())
    assert log.tail(2) == "line 998\nline 999"


def test_log_that_cannot_be_written_does_not_stop_the_part(tmp_path: Path) -> None:
    log = Log(tmp_path / "part.log")
    log.path.mkdir()  # a file of that name cannot be opened
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(b"one\ntwo\n")
    taken = os.fdopen(reading, "rb")
    log.take(taken)
    assert taken.closed
