"""A cache of who sessions belong to, for five seconds, so that not every request asks the database.

A session that this process ends is refused at once; one that another process ends, within LIFE_S.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nebula.domain.records import Principal

LIFE_S = 5.0
MOST = 10_000


@dataclass(frozen=True)
class _Known:
    principal: Principal | None  # None: the session has ended, which is final
    asked_at: float


class SessionCache:
    """The cache. It is bounded, and threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._seen: dict[str, None] = {}

    def find(self, session_id: str, ask: Callable[[], Principal | None]) -> Principal | None:
        """Return whose session this is, or None if it has ended. Calls `ask`, which asks the database, if not known."""
        asked_at = self.now()
        known = self._known.get(session_id)
        if known is not None and asked_at - known.asked_at < LIFE_S:
            return known.principal
        return self.keep(session_id, ask(), asked_at)

    def keep(self, session_id: str, principal: Principal | None, asked_at: float) -> Principal | None:
        """Store what the database answered at `asked_at`; return it, or None if the session has ended meanwhile."""
        with self._lock:
            earlier = self._known.get(session_id)
            if earlier is not None and earlier.principal is None:
                return None
            if len(self._known) >= MOST:
                self._forget_old()
            self._known[session_id] = _Known(principal, asked_at)
            return principal

    def now(self) -> float:
        """Return the time on the clock by which answers expire."""
        return self._clock()

    def end(self, session_ids: Iterable[str]) -> None:
        """Refuse these sessions from now on. Call this after the commit that ended them."""
        with self._lock:
            for session_id in session_ids:
                self._known[session_id] = _Known(None, self._clock())

    def has_seen(self, jti: str) -> bool:
        """Return whether the database already knows that this access token was used."""
        return jti in self._seen

    def note_seen(self, jti: str) -> None:
        """Remember that the database knows that this access token was used."""
        with self._lock:
            if len(self._seen) >= MOST:
                # Forgetting is harmless: it costs one more database write per token.
                self._seen.clear()
            self._seen[jti] = None

    def _forget_old(self) -> None:
        oldest = self._clock() - LIFE_S
        self._known = {key: known for key, known in self._known.items() if known.asked_at > oldest}
        if len(self._known) >= MOST:
            self._known.clear()
