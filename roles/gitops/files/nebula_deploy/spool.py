"""The spool: ids in two directories, carried out one after the other, their outcome recorded.

A push's id is a commit; it may be begun again after a power cut. A request's id is a row's, which says the kind; one
that was cut off is not repeated.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nebula_deploy.deploying import Deploying
from nebula_deploy.logs import Log, mark
from nebula_deploy.machine import Machine
from nebula_deploy.places import Places, Stop
from nebula_deploy.repository import COMMIT, MAIN, Repository

ROW = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BACKUP = "nebula-backup.service"
LOGS_KEPT = 100


@dataclass(frozen=True)
class Waiting:
    """One name in the spool."""

    path: Path
    since_ns: int


def put(folder: Path, name: str) -> None:
    """Add an id; one that waits already stays where it is."""
    os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))


class Spool:
    """Takes what waits, the oldest first."""

    def __init__(self, places: Places, repository: Repository, machine: Machine) -> None:
        self._places = places
        self._repository = repository
        self._machine = machine

    def carry_out(self) -> None:
        """Carry out whatever waits, until nothing does. No outcome of one keeps the next from its turn."""
        while waiting := self._waiting():
            for each in waiting:
                try:
                    with self.turn():
                        self._one(each.path)
                except Exception:  # noqa: BLE001 - the next one has its turn; the journal has the traceback
                    traceback.print_exc()
                finally:
                    _remove(each.path)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for whoever deploys just now."""
        self._places.state.mkdir(parents=True, exist_ok=True)
        with self._places.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def deploy(self, commit: str) -> bool:
        """Deploy a commit, in one's turn; record the outcome."""
        row = self._recorded("operation", "begin", commit)
        return self._logged(commit, row, lambda deploying: deploying.deploy(commit))

    def rollback(self, identifier: str, row: str | None) -> bool:
        """Go back, in one's turn; record the outcome."""
        return self._logged(identifier, row, lambda deploying: deploying.rollback())

    def _one(self, path: Path) -> None:
        if path.parent == self._places.pushes and COMMIT.fullmatch(path.name):
            self._push(path.name)
        elif path.parent == self._places.requests and ROW.fullmatch(path.name):
            self._request(path.name)
        else:
            print(f"Removed what is no id: {path.name!r}", flush=True)

    def _push(self, commit: str) -> None:
        if not self._repository.named(MAIN) or not self._repository.is_ancestor(commit, MAIN):
            with Log(self._places.logs, commit) as log:
                log.failed(f"{commit[:12]} is no commit of main (a push before it failed?): push again.")
            return
        self.deploy(commit)

    def _request(self, row: str) -> None:
        if (self._places.logs / f"{row}.log").exists():
            self._end(row, "failed", "It was cut off in the middle. See nebula deploy status, and ask again.")
            return
        asked = json.loads(self._machine.server("operation", "take", row))
        if asked["kind"] == "rollback":
            self.rollback(row, row)
        elif asked["kind"] == "backup":
            self._backup(row)
        else:
            self._end(row, "failed", "The machine does not know this kind: run playbooks/site.yml.")

    def _backup(self, row: str) -> None:
        with Log(self._places.logs, row) as log:
            try:
                sentence = self._backed_up()
            except Stop as stop:
                log.failed(str(stop))
                self._end(row, "failed", str(stop))
            else:
                log.done(sentence)
                self._end(row, "done", sentence)

    def _backed_up(self) -> str:
        """Run the backup's unit to its end; return its own sentence of success. Raises Stop with that of a failure."""
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
        """Return what the backup said at its end, where that is not what an earlier one said."""
        path = self._places.backup_outcome
        if mark(path) in ((0, 0), before):
            return None
        return str(json.loads(path.read_text())["sentence"])

    def _logged(self, identifier: str, row: str | None, work: Callable[[Deploying], str]) -> bool:
        with Log(self._places.logs, identifier) as log:
            try:
                sentence = work(Deploying(self._places, self._repository, self._machine, log.say))
            except Exception as error:  # noqa: BLE001 - who waits is told; the journal has the traceback
                sentence = str(error) if isinstance(error, Stop) else f"The deployer made a mistake: {error!r}."
                if not isinstance(error, Stop):
                    traceback.print_exc()
                self._end(row, "failed", sentence)
                log.failed(sentence)
                return False
            self._end(row, "done", sentence)
            log.done(sentence)
        self._tidy()
        return True

    def _recorded(self, *words: str) -> str | None:
        """Ask nebula-server for a row; a machine whose database does not answer deploys all the same."""
        if not self._places.serves:
            return None
        try:
            return self._machine.server(*words).strip()
        except Stop as stop:
            print(f"Not recorded: {stop}", flush=True)
            return None

    def _end(self, row: str | None, state: str, sentence: str) -> None:
        if row is None:
            return
        release = self._places.current.resolve().name
        try:
            self._machine.server("operation", "end", row, state, release, stdin=sentence)
        except Stop as stop:
            print(f"Not recorded: {stop}", flush=True)

    def _waiting(self) -> list[Waiting]:
        folders = [folder for folder in (self._places.pushes, self._places.requests) if folder.is_dir()]
        found = [Waiting(path, path.lstat().st_mtime_ns) for folder in folders for path in folder.iterdir()]
        return sorted(found, key=lambda each: (each.since_ns, each.path.name))

    def _tidy(self) -> None:
        logs = sorted(self._places.logs.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in logs[LOGS_KEPT:]:
            path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        time.sleep(5)  # it would be found again at once, and again
