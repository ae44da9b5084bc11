"""Viewers: counts the films whose bytes were sent in the last seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RECENT_S = 10.0


class Viewer:
    """One response body that is being sent. Its sender reports the bytes that it sends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.moved_at = clock()
        self.moved_bytes = 0

    def moved(self, count: int = 0) -> None:
        """Record that `count` bytes were sent just now."""
        self.moved_at = self._clock()
        self.moved_bytes += count


class Viewers:
    """The response bodies of films that are being sent. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watching: set[Viewer] = set()

    def enter(self, media_type: str) -> Viewer:
        """Return the viewer for a new response body. Only films (`video/`) are counted."""
        viewer = Viewer(self._clock)
        if media_type.startswith("video/"):
            with self._lock:
                self._watching.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Stop counting a viewer. May be called twice."""
        with self._lock:
            self._watching.discard(viewer)

    def count(self) -> int:
        """Return how many films are being watched. A player that drops one request for the next counts once."""
        recent_since = self._clock() - RECENT_S
        with self._lock:
            return sum(viewer.moved_at >= recent_since for viewer in self._watching)
