"""The checks of a server: whether each dependency answers, and whether the store has the objects that the rows name.

Nothing is changed. If no row names an object, a person must remove it: a wrong DATABASE_URL must not empty a bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nebula.db import objects
from nebula.db.database import Database
from nebula.errors import NebulaError
from nebula.storage.contract import ObjectStorage

SHOWN = 20  # at most so many keys of a list are reported


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    is_well: bool
    text: str


class Checks:
    """Runs the checks in an order in which an earlier answer explains later ones."""

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
        """Yield a finding for each dependency, and for each object that is missing or unknown (SHOWN of each)."""
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
        # A row is written before its object is stored, and removed after its object is deleted. So the rows are read
        # before and after the listing, and work that runs meanwhile causes no false finding.
        before = self._database.read(objects.named)
        stored = {stored_object.key for stored_object in self._storage.list_objects()}
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
