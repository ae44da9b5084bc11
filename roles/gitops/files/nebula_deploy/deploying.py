"""The steps of a deploy and of a rollback. Nothing that serves changes before the link is switched.

Before the switch a migration only adds to the schema, so the old code still runs on it and can be restored
automatically. A revision removes things only after the new release has shown that it serves.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nebula_deploy import begun as begun_of
from nebula_deploy import checks, revisions
from nebula_deploy.begun import Begun
from nebula_deploy.places import Places, Stop
from nebula_deploy.releases import Release, Releases
from nebula_deploy.repository import DEPLOYED, MAIN, Repository
from nebula_deploy.revisions import Course, Graph
from nebula_root import handles

Say = Callable[[str], None]


class Steps(Protocol):
    """What a deploy needs from the machine; `machine.Machine` implements it."""

    def unpack(self, archive: bytes, source: Path) -> None: ...
    def build(self, release: Path) -> None: ...
    def schema(self) -> str | None: ...
    def migrate(self, release: Path, *words: str) -> None: ...
    def dump(self, target: Path) -> None: ...
    def restart(self) -> None: ...
    def wait_until_ready(self) -> None: ...
    def last_words(self, since: float) -> list[str]: ...
    def other_nodes(self) -> list[str]: ...


class Deploying:
    """Deploys a commit or rolls back. Only one of them runs at a time: spool.py holds the lock."""

    def __init__(self, places: Places, repository: Repository, machine: Steps, say: Say) -> None:
        self._places = places
        self._repository = repository
        self._machine = machine
        self._say = say
        self._releases = Releases(places)

    def deploy(self, commit: str, *, is_brought: bool = False, on_begin: Callable[[], None] = lambda: None) -> str:
        """Deploy a commit; return the sentence of success. If it raises, the release that served before serves again.

        `is_brought` means that the commit did not come by a push, so `main` must still be moved to it. `on_begin` is
        called first; an exception from it ends the deploy in the same way.
        """
        with self._noted(commit):
            on_begin()
            if is_brought:
                self._repository.move(MAIN, commit)
            self._require_in_main(commit)
            return self._deploy(commit)

    def rollback(self) -> str:
        """Go back to the release that served before; return the sentence of success. Raises the error that ends it."""
        with self._noted(None):
            return self._rollback()

    def complete(self, begun: Begun, *, is_waiting: bool = False) -> None:
        """Undo a deploy or rollback that was interrupted, or record that its release serves. Idempotent.

        Afterwards `main` names the commit that runs, so the same commit can be pushed again, and a corrected one can
        follow it. If the commit waits in the spool (`is_waiting`), `main` is left as it is.
        """
        self._leave_unproven()
        current = self._releases.current()
        runs = self._repository.named(current.commit) if current and current.commit else None
        for path in self._releases.of(begun.commit) if begun.commit else []:
            self._forget(path)
        self._repository.move(DEPLOYED, runs)
        main = self._repository.named(MAIN)
        if main in (begun.commit, begun.deployed) and not is_waiting:
            self._repository.move(MAIN, runs, only_from=main)
        begun_of.forget(self._places.begun)

    @contextmanager
    def _noted(self, commit: str | None) -> Iterator[None]:
        """Note what begins. A failure is undone here; if this process is killed, the next start undoes it."""
        begun = Begun(commit, None)
        try:
            begun = Begun(commit, self._repository.named(DEPLOYED))
            begun_of.note(self._places.begun, begun)
            yield
            begun_of.forget(self._places.begun)
        except BaseException as error:
            self._take_back(begun)
            raise _told(error) from error

    def _take_back(self, begun: Begun) -> None:
        try:
            self.complete(begun)
        except (Stop, OSError) as error:
            self._say(f"Not all of it could be taken back; the next deploy or rollback completes that: {error}")

    def _leave_unproven(self) -> None:
        """Go back from a release that was linked but has not shown that it serves."""
        current = self._releases.current()
        previous = next(iter(self._releases.kept()), None)
        if current is not None and previous is not None and not self._releases.has_served(current.path):
            self._say(f"{current.name} was cut off before it served. {self._go_back(previous.path)}")

    def _require_in_main(self, commit: str) -> None:
        if not self._repository.named(MAIN) or not self._repository.is_ancestor(commit, MAIN):
            raise Stop(f"{commit[:12]} is no commit of main (a push before it failed?): push again.")

    def _rollback(self) -> str:
        current = self._releases.current()
        target = self._releases.before(current) if current else None
        if current is None or target is None:
            raise Stop("There is no release before this one: nothing to go back to.")
        self._say(f"Going back from {current.name} to {target.name}.")
        if self._places.serves:
            self._check_way_back(target)
        self._serve(target.path, current.path)
        commit = self._repository.named(target.commit) if target.commit else None
        self._repository.move(DEPLOYED, commit)
        self._repository.move(MAIN, commit)
        return f"{target.name} serves again."

    def _check_way_back(self, target: Release) -> None:
        history = self._history(target.path)
        try:
            revisions.course(self._known(history), self._machine.schema(), revisions.head(history))
        except Stop as stop:
            raise Stop(f"There is no way back to {target.name}. {stop}") from None

    def _deploy(self, commit: str) -> str:
        name = self._repository.release_name(commit)
        path, old = self._places.releases / name, self._old(name)
        self._say(f"Deploying {commit[:12]}: {self._repository.subject(commit)}")
        if old is not None and old.name == name:
            self._settle(path, commit)
            return f"{name} serves already."
        history = checks.check(self._repository, commit)
        self._make(path, commit)
        if self._places.serves:
            self._prepare_schema(path, history)
        self._serve(path, old.path if old else None, commit)
        self._repository.move(DEPLOYED, commit)
        try:
            self._finish(path, commit, old)
        except (Stop, OSError) as error:
            self._say(f"It serves; what comes after that was cut short: {error}")
        return f"{name} serves."

    def _finish(self, path: Path, commit: str, old: Release | None) -> None:
        """Do the work that is left once the release serves. No failure here undoes the release."""
        self._finish_schema(path)
        for name in self._releases.prune():
            self._say(f"Removed the release {name}.")
        self._say_what_is_due(self._due(commit, old))

    def _old(self, name: str) -> Release | None:
        """Return the release that serves: `current`, or the one before it if a deploy was cut off after its switch."""
        current = self._releases.current()
        if current is None or current.name != name or current.deployed_at or self._releases.is_first(current.path):
            return current
        return next(iter(self._releases.kept()), None)

    def _make(self, path: Path, commit: str) -> None:
        if self._releases.is_built(path):
            self._say(f"The release {path.name} is still there.")
            return
        self._releases.check_room()
        self._say(f"Building {path.name}.")
        self._releases.begin(path)
        self._machine.unpack(self._repository.archive(commit), path / "source")
        self._machine.build(path)
        self._releases.finish(path)

    def _prepare_schema(self, path: Path, history: Graph) -> None:
        schema, head = self._machine.schema(), revisions.head(history)
        course = revisions.course(self._known(history), schema, head)
        self._machine.dump(self._places.dumps / f"{path.name}.dump")
        if course is Course.KEEP:
            self._say(f"The schema is at revision {schema} of a later version, and stays: it only added.")
        elif schema != head:
            self._say(f"Bringing the schema from revision {schema} to {head}.")
            self._machine.migrate(path, "--expand")

    def _finish_schema(self, path: Path) -> None:
        """Remove the parts of the schema that only older code needed."""
        if not self._places.serves:
            return
        history = self._history(path)
        schema, head = self._machine.schema(), revisions.head(history)
        if schema == head or revisions.course(self._known(history), schema, head) is Course.KEEP:
            return
        self._say(f"It serves: bringing the schema to revision {head}, which takes away what older versions needed.")
        try:
            self._machine.migrate(path)
        except Stop as stop:
            self._say(f"What older versions needed of the schema is still there: {stop} Repair the revision, and push.")

    def _serve(self, path: Path, old: Path | None, commit: str | None = None) -> None:
        """Switch, restart, wait until it serves, and note that. On failure restore the old one and raise Stop."""
        began = time.time()
        self._say("Switching; running players and uploads go on by themselves.")
        try:
            self._releases.switch(path)
            self._machine.restart()
            self._machine.wait_until_ready()
            if commit is not None:
                self._releases.mark(path, commit)
        except BaseException as error:
            readable_error = _told(error)
            try:
                for line in self._machine.last_words(began):
                    self._say(f"  {line}")
            finally:
                outcome = self._go_back(old)
                self._say(outcome)
            if isinstance(readable_error, Stop):
                raise Stop(f"{readable_error} {outcome}") from error
            raise

    def _go_back(self, old: Path | None) -> str:
        if old is None:
            return "There is no release before it to go back to."
        self._releases.switch(old)
        try:
            self._machine.restart()
            self._machine.wait_until_ready()
        except Stop as stop:
            return f"{old.name} is back, but does not serve either: {stop}"
        return f"{old.name} is back and serves."

    def _settle(self, path: Path, commit: str) -> None:
        self._releases.mark(path, commit)
        self._repository.move(DEPLOYED, commit)

    def _forget(self, path: Path) -> None:
        """Remove a failed release, unless it runs or once served. The dump stays: a migration may have run."""
        current = self._releases.current()
        if (current is None or current.path != path) and not self._releases.has_served(path):
            handles.remove(path)

    def _known(self, history: Graph) -> Graph:
        """Return these revisions together with all that were ever on this machine; remember them."""
        current = self._releases.current()
        return revisions.remember(self._places.revisions, (self._history(current.path) if current else {}) | history)

    def _history(self, release: Path) -> Graph:
        """Return the schema's history in a release. The build may have replaced its files by anything."""
        folder = f"source/{revisions.FOLDER}"
        try:
            names = [name for name in handles.names(release, folder) if name.endswith(".py") and name != "__init__.py"]
        except FileNotFoundError:
            names = []
        return revisions.graph(revisions.parse(name, handles.read_text(release, folder + name)) for name in names)

    def _due(self, commit: str, old: Release | None) -> bool:
        before = self._repository.named(old.commit) if old and old.commit else None
        return before is not None and self._repository.changed(before, commit, "systemd", "roles", "playbooks")

    def _say_what_is_due(self, site_is_due: bool) -> None:
        if site_is_due:
            self._say(
                "It changes systemd/, roles/ or playbooks/: run ansible-playbook playbooks/site.yml for that part."
            )
        behind = self._machine.other_nodes() if self._places.serves else []
        if behind:
            self._say(f"Worker nodes run what they had: {', '.join(behind)}. Bring them along: playbooks/deploy.yml.")


def _told(error: BaseException) -> BaseException:
    """Return a Stop with a readable sentence for a timeout or an OSError, else the error itself."""
    if isinstance(error, subprocess.TimeoutExpired):
        return Stop(f"{Path(error.cmd[0]).name} did not end within {error.timeout:g} s.")
    if isinstance(error, OSError):
        return Stop(f"The machine could not read or write: {error}.")
    return error
