"""What the backup's tests share: a machine in a folder, with a real database, a real MinIO and a real restic."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from nebula_backup.places import Places
from tests.static.source import ROOT
from tests.stores import wait_until

PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
from nebula_backup.__main__ import main
from nebula_backup.places import Places
sys.exit(main(sys.argv[3:], Places(Path(sys.argv[2]))))
"""
PROGRAMS = f"{ROOT}/roles/base/files:{ROOT}/roles/backup/files"
PASSWORD = "correct-horse"
# Stands in for nebula-server, which takes a second for each word: what it is told lies in files.
STAND_IN = """cd {noted}
case "$1 $2" in
"backup hold") touch held ;;
"backup release") rm held 2>/dev/null || {{ echo "nebula-server: Nothing is held any more." && exit 5; }} ;;
"backup "*) cat >"$2" ;;
*) echo "The schema is at revision 0001, as this version needs it." ;;
esac"""


def missing() -> str:
    """Return what this machine lacks for a backup; "" where it is all there."""
    return "" if shutil.which("restic") else "restic is not installed: apt-get install restic"


class Backed:
    """A machine as role backup leaves it; the target is a directory beside it, nebula-server a stand-in."""

    def __init__(self, folder: Path, database_url: str, objects: Path) -> None:
        self.folder, self.database_url = folder, database_url
        self._noted = folder / "noted"
        self._noted.mkdir()
        self.places = Places(folder / "machine")
        self.target = folder / "target"
        self.target.mkdir()
        for path in (self.places.settings.parent / "secrets", self.places.server.parent):
            path.mkdir(parents=True)
        self.settings: dict[str, Any] = {
            "repository": str(self.target),
            "mount": "",
            "same_disk_accepted": False,
            "objects": str(objects),
            "host": "laptop",
            "bucket": "nebula-uploads",
            "keep": {"daily": 7, "weekly": 5, "monthly": 12},
            "read_weeks": 2,
        }
        self.set_up()
        self.secret("backup_password", PASSWORD)
        self.secret("backup_environment", "{}")
        self.secret("database_url", database_url)
        self.serve(STAND_IN.format(noted=self._noted))

    def set_up(self, **changes: Any) -> None:
        """Write the settings, with changes, as role backup does."""
        self.settings |= changes
        self.places.settings.write_text(json.dumps(self.settings))

    def secret(self, name: str, text: str) -> None:
        (self.places.settings.parent / "secrets" / name).write_text(text)

    def serve(self, script: str) -> None:
        """Let nebula-server on this machine be a script of sh."""
        self.places.server.write_text(f"#!/bin/sh\n{script}\n")
        self.places.server.chmod(0o755)

    def serve_really(self, environ: dict[str, str]) -> None:
        """Let it be the real one, of a server with this environment."""
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in environ.items())
        self.serve(f'exec env {words} {Path(sys.executable).parent}/nebula-server "$@"')

    def noted(self, step: str) -> str | None:
        """What the stand-in was told at that step last."""
        path = self._noted / step
        return path.read_text() if path.exists() else None

    @property
    def is_held(self) -> bool:
        """Whether the stand-in holds purges."""
        return (self._noted / "held").exists()

    def begin(self, command: str) -> subprocess.Popen[str]:
        """Start the program as systemd does."""
        return subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, PROGRAMS, self.places.root, command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run the program to its end; return what it said."""
        with self.begin(command) as running:
            said, _ = running.communicate(timeout=300)
        assert (running.returncode != 0) is fails, said
        return said

    @property
    def outcome(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.places.outcome.read_text())
        return found

    def restic(self, *words: str) -> str:
        done = subprocess.run(
            ["restic", *words],
            env=os.environ | {"RESTIC_REPOSITORY": str(self.target), "RESTIC_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.restic("snapshots", "--json"))
        return found


def end_group(running: subprocess.Popen[str], number: signal.Signals) -> None:
    """Send a signal to a program and what it started, as systemd does; return when the last of it was reaped.

    Until then restic takes a dead one for one that runs, and leaves its lock alone.
    """
    started = psutil.Process(running.pid).children(recursive=True)
    os.killpg(running.pid, number)
    wait_until(lambda: not any(psutil.pid_exists(one.pid) for one in started), 60, "the end of what it started")
