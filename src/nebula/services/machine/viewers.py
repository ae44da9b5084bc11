"""Tells the workers of this node how many people its gateway sends films to: they are gentle then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nebula.db import nodes
from nebula.db.database import Database
from nebula.domain import limits
from nebula.errors import StoreUnavailable

log = logging.getLogger(__name__)

JOIN_S = 5.0


class Watching:
    """Notes the count in the node's row while there is any, and once when there is none any more."""

    def __init__(self, database: Database, count: Callable[[], int], *, node: str) -> None:
        self._database = database
        self._count = count
        self._node = node
        self._noted = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="viewers", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(JOIN_S)

    def note(self) -> None:
        """Note how many are watching. Raises StoreUnavailable."""
        count = self._count()
        if count or self._noted:
            self._database.write(lambda tx: nodes.note_viewers(tx, self._node, count))
            self._noted = count

    def _loop(self) -> None:
        while not self._stop.wait(limits.VIEWERS_NOTE_S):
            try:
                self.note()
            except StoreUnavailable:
                continue  # what was noted counts for a while only
            except Exception:  # a look that failed must not be the last one
                log.exception("viewers not noted node=%s", self._node)
