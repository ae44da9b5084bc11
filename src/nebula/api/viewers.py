"""Who is watching: the films whose bytes moved in the last seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RECENT_S = 10.0


class Viewer:
    """One running body; its sender notes each time bytes moved."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.moved_at = clock()
        self.moved_bytes = 0

    def moved(self, count: int = 0) -> None:
        """Note that bytes went out just now."""
        self.moved_at = self._clock()
        self.moved_bytes += count


class Viewers:
    """The running bodies of films. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watching: set[Viewer] = set()

    def enter(self, media_type: str) -> Viewer:
        """Begin a body; only films make a viewer that counts."""
        viewer = Viewer(self._clock)
        if media_type.startswith("video/"):
            with self._lock:
                self._watching.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """End a body. May be called twice."""
        with self._lock:
            self._watching.discard(viewer)

    def count(self) -> int:
        """Return how many films are being watched: a player that drops one request for the next is one viewer."""
        since = self._clock() - RECENT_S
        with self._lock:
            return sum(viewer.moved_at >= since for viewer in self._watching)
