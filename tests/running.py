"""A real `nebula-server up` in its own process, with what a test wants to know about it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from tests.stores import wait_until

SERVER = Path(sys.executable).with_name("nebula-server")
ABOVE = ("NEBULA_", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "S3_", "METRICS_TOKEN")


class Up:
    """One run. As a context manager, it kills what is still running at the end."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self.err = folder / "up.out", folder / "up.err"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ABOVE)}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [SERVER, "up"], env=inherited | environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ready(self) -> Up:
        """Wait until it has printed the address and what to type next."""
        wait_until(lambda: self.has_ended or "Next, in another terminal" in self.said, 120, "up is ready")
        assert not self.has_ended, self.complaints
        return self

    @property
    def said(self) -> str:
        return self.out.read_text()

    @property
    def complaints(self) -> str:
        return self.err.read_text()

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def url(self) -> str:
        found = re.search(r" is at (http://\S+)", self.said)
        assert found, self.said
        return found[1]

    @property
    def password(self) -> str:
        found = re.search(r"its password (\S+)", self.said)
        assert found, self.said
        return found[1]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def pings(self) -> bool:
        return bool(self.get("/ping")["ping"] == "pong")

    def sign_in(self, name: str, password: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/api/v1/auth/login",
            json.dumps({"username": name, "password": password}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def part(self, word: str) -> int | None:
        """Return the process id of the part whose command line contains `word`, or None if there is no such part.

        A part leads its process group. If a part was killed, its children look like it, and `up` adopts them until they
        end; they do not lead a group.
        """
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                line = child.cmdline()
                is_program = word in line and "setpriv" not in line[0] and "/bin/sh" not in line[0]
                if is_program and os.getpgid(child.pid) == child.pid:
                    return child.pid
        return None

    def family(self) -> list[psutil.Process]:
        """Return all its descendants."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        """Send SIGKILL to `up` alone, and reap it."""
        self.process.kill()
        self.process.wait()


def has_gone(process: psutil.Process) -> bool:
    """Whether a process has ended. A zombie counts as ended."""
    try:
        return not process.is_running() or process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return True


def is_held(process: psutil.Process) -> bool:
    """Whether every thread of a process is stopped. A thread stops when it next runs, not when the signal is sent."""
    try:
        threads = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    except OSError:  # a thread has just ended
        return False
    return bool(threads) and all(thread.rpartition(")")[2].split()[0] == "T" for thread in threads)
