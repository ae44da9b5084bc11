"""Gates: limit how many transfers of a kind run at once, and choose which one ends if a gate is full.

A full gate refuses a newcomer at once (503), so that nobody queues behind it. But if the newcomer has less than its
share (domain/shares.py), it takes a place from the holder that has the most places: the connection of one of that
holder's transfers is cut. Players and uploads reconnect and continue where they were.
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
    """A transfer that needs a place: its holder, how to cut it off, and how many bytes it has moved so far."""

    holder: Holder
    cut: Callable[[], None] = lambda: None
    progress: Callable[[], int] = lambda: 0
    admitted: Callable[[], None] = lambda: None  # called when it has got its place


class Place:
    """A place in a gate."""

    def __init__(self, transfer: Transfer, now: float) -> None:
        self.holder = transfer.holder
        self.transfer = transfer
        self.since = now
        self.age_s = 0.0  # both figures are updated when the gate is full
        self.moved_bytes = 0

    def look(self, now: float) -> None:
        """Update the age and the number of moved bytes."""
        self.age_s = now - self.since
        self.moved_bytes = self.transfer.progress()


class Gate:
    """A fixed number of places. Thread-safe."""

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
        """Take a place. Raises Busy if none is free and no other transfer has to give way."""
        with self._lock:
            evicted_place = self._yielded(transfer.holder) if len(self._taken) >= self._places else None
            if evicted_place is not None:
                # Cut it before it can leave: after that, its connection may already serve the next request.
                evicted_place.transfer.cut()
                del self._taken[evicted_place]
            place = Place(transfer, self._clock())
            self._taken[place] = None
        if evicted_place is not None:
            log.info("transfer gave way kind=%s", self._what.replace(" ", "_"))
        transfer.admitted()
        return place

    def leave(self, place: Place) -> None:
        """Give a place back; does nothing if the place was already given to another transfer."""
        with self._lock:
            self._taken.pop(place, None)

    @contextmanager
    def admit(self, transfer: Transfer) -> Iterator[None]:
        """Hold a place during a `with` block. Raises Busy under the same conditions as `enter`."""
        place = self.enter(transfer)
        try:
            yield
        finally:
            self.leave(place)

    def _yielded(self, newcomer: Holder) -> Place:
        now = self._clock()
        for place in self._taken:
            place.look(now)
        evicted_place = place_to_yield(list(self._taken), newcomer)
        if evicted_place is None:
            raise Busy(f"Too many {self._what} at once; try again in a few seconds.", retry_after_s=5)
        return evicted_place


class Gates:
    """The gateway's gates. Their limits leave threads free for the rest of the API. `bodies` refuses nobody."""

    def __init__(self) -> None:
        self.streams = Gate(limits.STREAMS, "streams")
        self.bodies = SmallBodies()
        self.uploads = Gate(limits.UPLOADS, "uploads")
