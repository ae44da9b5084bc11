"""Trying again after a connection broke: growing waits, a bound, and a word about it."""

from __future__ import annotations

import time
from collections.abc import Callable

from nebula_cli.errors import CliError, Refused, Unreachable

TRIES = 8
LONGEST_S = 30.0
# Busy, a store that is away, a body that stalled, a newer attempt: the same may work in a moment.
PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})
BROKE_OFF = "incomplete_body"  # a 400 that says nothing about the bytes: they did not all arrive


class Patience:
    """How often one transfer has failed since it last got on."""

    def __init__(self, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        self._say, self._sleep = say, sleep
        self._failures = 0

    def got_on(self) -> None:
        """Bytes have moved: begin to count anew."""
        self._failures = 0

    def wait(self, error: CliError) -> None:
        """Wait before the next try. Raises `error` itself where waiting cannot help, or has not helped often enough."""
        self._failures += 1
        if not may_pass(error) or self._failures >= TRIES:
            raise error
        pause_s = min(LONGEST_S, 2.0 ** (self._failures - 1))
        if isinstance(error, Refused) and error.retry_after_s is not None:
            pause_s = min(2 * LONGEST_S, error.retry_after_s)
        if pause_s > 0:
            self._say(f"{error.what}; trying again in {pause_s:.0f} s ({self._failures} of {TRIES - 1})")
            self._sleep(pause_s)


def may_pass(error: CliError) -> bool:
    """Return whether the same request may work later."""
    if isinstance(error, Refused):
        return error.status in PASSING or error.code == BROKE_OFF
    return isinstance(error, Unreachable)
