"""Is everything as it should be? Asks every part that a server needs, and compares the store with the rows.

Nothing is changed: an object that no row names is a person's to remove (a wrong DATABASE_URL must not empty a bucket).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nebula.db import objects
from nebula.db.database import Database
from nebula.errors import NebulaError
from nebula.storage.contract import ObjectStorage

SHOWN = 20  # of a list of keys


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    is_well: bool
    text: str


class Checks:
    """The questions, in the order in which their answers explain each other."""

    def __init__(
        self,
        database: Database,
        storage: ObjectStorage,
        *,
        schema: Callable[[], str],
        queue: Callable[[], None],
        programs: Callable[[], str],
    ) -> None:
        self._database = database
        self._storage = storage
        self._schema = schema
        self._queue = queue
        self._programs = programs

    def run(self) -> Iterator[Finding]:
        """Yield a finding for each part, and for each object that is missing or unknown."""
        yield Finding("settings", True, "read and usable")
        yield _asked("database", self._database.check)
        schema = _asked("schema", self._schema)
        yield schema
        store = _asked("objects", self._storage.check)
        yield store
        yield _asked("queue", self._queue)
        yield _asked("ffmpeg", self._programs)
        if schema.is_well and store.is_well:
            yield from self._compared()

    def _compared(self) -> Iterator[Finding]:
        # A key's row comes before its object and goes after it; asked before and after, work that runs misleads nobody.
        before = self._database.read(objects.named)
        stored = {found.key for found in self._storage.list_objects()}
        after = self._database.read(objects.named)
        missing = sorted((before.needed & after.needed) - stored)
        unknown = sorted(key for key in stored if key not in before and key not in after)
        yield Finding("rows", not missing, f"{len(after.needed)} objects named, {len(missing)} of them missing")
        yield from (Finding("missing", False, text) for text in _shown(missing))
        yield Finding("store", True, f"{len(stored)} objects stored, {len(unknown)} of them unknown to this database")
        yield from (Finding("unknown", True, text) for text in _shown(unknown))


def _asked(subject: str, question: Callable[[], str | None]) -> Finding:
    try:
        return Finding(subject, True, question() or "answers")
    except NebulaError as error:
        return Finding(subject, False, error.message)


def _shown(keys: list[str]) -> list[str]:
    more = [f"... and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else []
    return keys[:SHOWN] + more
