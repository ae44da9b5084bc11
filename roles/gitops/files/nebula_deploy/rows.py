"""The database row of an operation. It shows people how the operation ended (nebula deploy status)."""

from __future__ import annotations

from nebula_deploy.machine import Machine
from nebula_deploy.places import Places, Stop


class Row:
    """The row of one operation, if there is one. If the database does not answer, the deploy goes on without it."""

    def __init__(self, places: Places, machine: Machine, identifier: str | None = None) -> None:
        self._places = places
        self._machine = machine
        self._identifier = identifier

    def begin(self, commit: str) -> None:
        """Create the row of a deploy."""
        if self._places.serves:
            self._identifier = self._asked("operation", "begin", commit)

    def end(self, state: str, sentence: str) -> None:
        """Record how the operation ended, with the release that runs now."""
        if self._identifier is not None:
            release = self._places.current.resolve().name
            self._asked("operation", "end", self._identifier, state, release, stdin=sentence)

    def _asked(self, *words: str, stdin: str = "") -> str | None:
        try:
            return self._machine.server(*words, stdin=stdin).strip()
        except (Stop, OSError) as error:
            print(f"Not recorded: {error}", flush=True)
            return None
