"""Whose turn it is at a node's encoder: what is encoded is verified and stored while the next is encoded already.

A turn is taken before work is claimed, so that no claim waits in a worker's hands while another node could do it. It
ends with the work, or before, when the work needs the encoder no more; to encode again, it is taken again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.2


class Turn:
    """One piece of work's turn at `encoder`; without one, there is an encoder for it alone."""

    def __init__(
        self,
        encoder: threading.Lock | None = None,
        *,
        may_pass: Callable[[], bool] = lambda: True,
        on_pass: Callable[[], None] = lambda: None,
    ) -> None:
        self._encoder = encoder or threading.Lock()
        self._may_pass = may_pass
        self._on_pass = on_pass
        self._is_held = False

    def take(self, stop: threading.Event) -> bool:
        """Wait for the encoder, unless it is held already; False where `stop` was set before it was free."""
        while not self._is_held and not stop.is_set():
            self._is_held = self._encoder.acquire(timeout=POLL_S)
        return self._is_held

    def pass_on(self) -> None:
        """Let the next one begin beside what is left to do, where that may be: it is told."""
        if self._is_held and self._may_pass():
            self.end()
            self._on_pass()

    def end(self) -> None:
        """Free the encoder, if it is held."""
        if self._is_held:
            self._is_held = False
            self._encoder.release()
