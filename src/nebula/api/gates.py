"""Gates: how many transfers of a kind run at once, and who gives way when there is no place left.

A full gate refuses at once (503), so that nobody queues behind it, unless the newcomer has less than its share
(domain/shares.py): then it gets the place of a transfer of whoever has the most, whose connection is cut. Players and
uploads come back and go on where they were.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nebula.api.bodies import SmallBodies
from nebula.domain import limits
from nebula.domain.shares import Holder, place_to_yield
from nebula.errors import Busy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transfer:
    """What takes a place: who holds it, how to cut it off, and how many bytes it has moved so far."""

    holder: Holder
    cut: Callable[[], None] = lambda: None
    progress: Callable[[], int] = lambda: 0
    admitted: Callable[[], None] = lambda: None  # called once it has its place


class Place:
    """A place in a gate."""

    def __init__(self, transfer: Transfer, now: float) -> None:
        self.holder = transfer.holder
        self.transfer = transfer
        self.since = now
        self.age_s = 0.0  # as of the last time that the gate was full
        self.moved_bytes = 0

    def look(self, now: float) -> None:
        """Bring the figures up to date."""
        self.age_s = now - self.since
        self.moved_bytes = self.transfer.progress()


class Gate:
    """A number of places. Safe to use from many threads."""

    def __init__(self, places: float, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[Place, None] = {}

    @property
    def inside(self) -> int:
        """Return how many places are taken."""
        return len(self._taken)

    def enter(self, transfer: Transfer) -> Place:
        """Take a place. Raises Busy if none is free and nobody gives way."""
        with self._lock:
            yielded = self._yielded(transfer.holder) if len(self._taken) >= self._places else None
            if yielded is not None:
                # Before it can leave: its connection may serve the next request by then.
                yielded.transfer.cut()
                del self._taken[yielded]
            place = Place(transfer, self._clock())
            self._taken[place] = None
        if yielded is not None:
            log.info("transfer gave way kind=%s", self._what.replace(" ", "_"))
        transfer.admitted()
        return place

    def leave(self, place: Place) -> None:
        """Give a place back, if it is not somebody else's by now."""
        with self._lock:
            self._taken.pop(place, None)

    @contextmanager
    def admit(self, transfer: Transfer) -> Iterator[None]:
        """Hold a place for a block. Raises Busy as `enter` does."""
        place = self.enter(transfer)
        try:
            yield
        finally:
            self.leave(place)

    def _yielded(self, newcomer: Holder) -> Place:
        now = self._clock()
        for place in self._taken:
            place.look(now)
        yielded = place_to_yield(list(self._taken), newcomer)
        if yielded is None:
            raise Busy(f"Too many {self._what} at once; try again in a few seconds.", retry_after_s=5)
        return yielded


class Gates:
    """The gateway's gates: together they leave threads free for the rest of the API. `bodies` refuses nobody."""

    def __init__(self) -> None:
        self.streams = Gate(limits.STREAMS, "streams")
        self.bodies = SmallBodies()
        self.uploads = Gate(limits.UPLOADS, "uploads")
