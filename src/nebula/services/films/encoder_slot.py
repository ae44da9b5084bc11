"""Lets one task at a time use a node's encoder; while one result is verified and stored, the next is already encoded.

A worker takes a turn before it claims a task, so that no claimed task waits here while another node could do it. The
turn ends with the task, or earlier if the task no longer needs the encoder. To encode again, take the turn again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.2


class Turn:
    """The turn of one task at `encoder`. Without `encoder`, the task has an encoder of its own."""

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
        """Wait for the encoder, unless this turn has it already. Returns False if `stop` is set first."""
        while not self._is_held and not stop.is_set():
            self._is_held = self._encoder.acquire(timeout=POLL_S)
        return self._is_held

    def pass_on(self) -> None:
        """Free the encoder for the next task and call `on_pass`, if `may_pass` allows it."""
        if self._is_held and self._may_pass():
            self.end()
            self._on_pass()

    def end(self) -> None:
        """Free the encoder, if this turn has it."""
        if self._is_held:
            self._is_held = False
            self._encoder.release()
