"""Tells the workers of this node how many viewers its gateway sends films to, so that they can slow the encoder."""

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
    """Writes the number of viewers to the node's row while there are any, and once more when there are none left."""

    def __init__(self, database: Database, count: Callable[[], int], *, node: str) -> None:
        self._database = database
        self._count = count
        self._node = node
        self._noted = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="viewers", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(JOIN_S)

    def note(self) -> None:
        """Write how many viewers there are now. Raises StoreUnavailable."""
        count = self._count()
        if count or self._noted:
            self._database.write(lambda tx: nodes.note_viewers(tx, self._node, count))
            self._noted = count

    def _loop(self) -> None:
        while not self._stop.wait(limits.VIEWERS_NOTE_S):
            try:
                self.note()
            except StoreUnavailable:
                continue  # readers ignore an old number, so a missed one does no harm
            except Exception:  # an error must not end the thread
                log.exception("viewers not noted node=%s", self._node)
