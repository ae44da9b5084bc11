"""Gates: how many of a kind are served at once. A full gate refuses at once (503), so that nobody queues behind it."""

from __future__ import annotations

import threading
from types import TracebackType

from nebula.api.bodies import SmallBodies
from nebula.domain import limits
from nebula.errors import Busy


class Gate:
    """A counted door. Use as a context manager, or `enter` and `leave` where a body outlives the responder."""

    def __init__(self, places: int, what: str) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._what = what
        self._lock = threading.Lock()
        self.inside = 0

    def enter(self) -> None:
        """Take a place. Raises Busy where there is none."""
        if not self._places.acquire(blocking=False):
            raise Busy(f"Too many {self._what} at once; try again in a few seconds.", retry_after_s=5)
        with self._lock:
            self.inside += 1

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self.inside -= 1
        self._places.release()

    def __enter__(self) -> None:
        self.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Gates:
    """The gateway's gates: together they leave threads free for the rest of the API. `bodies` refuses nobody."""

    def __init__(self) -> None:
        self.streams = Gate(limits.STREAMS, "streams")
        self.bodies = SmallBodies()
        self.uploads = Gate(limits.UPLOADS, "uploads")
