"""The spool: two directories of ids. Carries them out one after the other and records how each ended.

The id of a push is a commit; a push may be started again after a power cut. The id of a request is that of a row,
which says the kind; a request that was interrupted is not repeated.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nebula_deploy import begun as begun_of
from nebula_deploy.begun import Begun
from nebula_deploy.deploying import Deploying
from nebula_deploy.logs import Log, mark
from nebula_deploy.machine import Machine
from nebula_deploy.places import Places, Stop
from nebula_deploy.repository import COMMIT, Repository
from nebula_deploy.rows import Row
from nebula_root import handles

ROW = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BACKUP = "nebula-backup.service"
LOGS_KEPT = 100


@dataclass(frozen=True)
class Waiting:
    """One name in the spool."""

    path: Path
    since_ns: int


def put(folder: Path, name: str) -> None:
    """Add an id. An id that is waiting already keeps its turn."""
    os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


class Spool:
    """Carries out the waiting ids, the oldest first."""

    def __init__(self, places: Places, repository: Repository, machine: Machine) -> None:
        self._places = places
        self._repository = repository
        self._machine = machine

    def carry_out(self) -> None:
        """Carry out the waiting ids until none is left. A failure of one does not stop the next."""
        while waiting := self._waiting():
            for entry in waiting:
                try:
                    with self.turn(entry.path.name):
                        self._one(entry.path)
                except Exception:  # noqa: BLE001 - the next id must run; the journal has the traceback
                    traceback.print_exc()
                finally:
                    _remove(entry.path)

    @contextmanager
    def turn(self, identifier: str = "") -> Iterator[None]:
        """Wait for a running deploy to end. Complete one that was killed, unless this turn starts it again."""
        self._places.state.mkdir(parents=True, exist_ok=True)
        with self._places.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            begun = begun_of.read(self._places.begun)
            if begun is not None and (begun.commit is None or begun.commit != identifier):
                self._complete(begun)
            yield

    def deploy(self, commit: str, *, is_brought: bool = False) -> bool:
        """Deploy a commit and record the outcome; return whether it succeeded. Call it within `turn`."""
        row = Row(self._places, self._machine)

        def work(deploying: Deploying) -> str:
            return deploying.deploy(commit, is_brought=is_brought, on_begin=lambda: row.begin(commit))

        return self._logged(commit, row, work)

    def rollback(self, identifier: str, row: str | None) -> bool:
        """Roll back and record the outcome; return whether it succeeded. Call it within `turn`."""
        return self._logged(identifier, Row(self._places, self._machine, row), lambda deploying: deploying.rollback())

    def _complete(self, begun: Begun) -> None:
        is_waiting = begun.commit is not None and (self._places.pushes / begun.commit).exists()
        print("A deploy or a rollback was killed: completing or taking it back.", flush=True)
        try:
            self._deploying(_print).complete(begun, is_waiting=is_waiting)
        except (Stop, OSError) as error:
            print(f"Not all of it could be taken back: {error}", flush=True)

    def _deploying(self, say: Callable[[str], None]) -> Deploying:
        return Deploying(self._places, self._repository, self._machine, say)

    def _one(self, path: Path) -> None:
        if path.parent == self._places.pushes and COMMIT.fullmatch(path.name):
            self.deploy(path.name)
        elif path.parent == self._places.requests and ROW.fullmatch(path.name):
            self._request(path.name)
        else:
            print(f"Removed what is no id: {path.name!r}", flush=True)

    def _request(self, identifier: str) -> None:
        row = Row(self._places, self._machine, identifier)
        if (self._places.logs / f"{identifier}.log").exists():
            row.end("failed", "It was cut off in the middle. See nebula deploy status, and ask again.")
            return
        operation = json.loads(self._machine.server("operation", "take", identifier))
        if operation["kind"] == "rollback":
            self.rollback(identifier, identifier)
        elif operation["kind"] == "backup":
            self._backup(identifier, row)
        else:
            row.end("failed", "The machine does not know this kind: run playbooks/site.yml.")

    def _backup(self, identifier: str, row: Row) -> None:
        with Log(self._places.logs, identifier) as log:
            try:
                sentence = self._backed_up()
            except Stop as stop:
                log.failed(str(stop))
                row.end("failed", str(stop))
            else:
                log.done(sentence)
                row.end("done", sentence)

    def _backed_up(self) -> str:
        """Run the backup's unit to its end; return the sentence it ended with. If it failed, raise Stop with that."""
        if not (self._places.units / BACKUP).exists():
            raise Stop(
                "No backup is set up on this machine: name a target in backup_repository, and run playbooks/site.yml"
                " --tags backup."
            )
        before = mark(self._places.backup_outcome)
        try:
            self._machine.start(BACKUP)
        except Stop as stop:
            raise Stop(self._told(before) or str(stop)) from None
        return self._told(before) or "The backup is made."

    def _told(self, before: tuple[int, int]) -> str | None:
        """Return the sentence with which the backup ended; None if the outcome is still that of an earlier backup."""
        path = self._places.backup_outcome
        if mark(path) in ((0, 0), before):
            return None
        return str(json.loads(path.read_text())["sentence"])

    def _logged(self, identifier: str, row: Row, work: Callable[[Deploying], str]) -> bool:
        with Log(self._places.logs, identifier) as log:
            try:
                sentence = work(self._deploying(log.say))
            except BaseException as error:
                sentence = _sentence(error)
                row.end("failed", sentence)
                log.failed(sentence)
                if not isinstance(error, Exception):
                    raise
                return False
            row.end("done", sentence)
            log.done(sentence)
        self._tidy()
        return True

    def _waiting(self) -> list[Waiting]:
        folders = [folder for folder in (self._places.pushes, self._places.requests) if folder.is_dir()]
        ids = [Waiting(path, path.lstat().st_mtime_ns) for folder in folders for path in folder.iterdir()]
        return sorted(ids, key=lambda each: (each.since_ns, each.path.name))

    def _tidy(self) -> None:
        logs = sorted(self._places.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in logs[LOGS_KEPT:]:
            path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    handles.remove(path)
    if os.path.lexists(path):
        time.sleep(5)  # it could not be removed: without a pause it would be found again at once


def _sentence(error: BaseException) -> str:
    """Return the sentence for the pusher. Leaves out the text of an unexpected error: it may quote what was read."""
    if isinstance(error, Stop):
        return str(error)
    traceback.print_exc()
    name = type(error).__name__
    if isinstance(error, Exception):
        return f"The deployer made a mistake ({name}); journalctl -u nebula-operations.service has the rest."
    return f"It was interrupted ({name})."


def _print(line: str) -> None:
    print(line, flush=True)
