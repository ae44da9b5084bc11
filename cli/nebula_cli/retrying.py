"""Retrying after a connection broke: the waits grow, the number of tries is limited, and each retry is announced."""

from __future__ import annotations

import time
from collections.abc import Callable

from nebula_cli.errors import CliError, Refused, Unreachable

TRIES = 8
LONGEST_S = 30.0
# Server busy, object store unreachable, body stalled, newer attempt running: the same request may work in a moment.
PASSING = frozenset({408, 409, 429, 500, 502, 503, 504})
BROKE_OFF = "incomplete_body"  # a 400 that does not mean that the bytes are wrong, only that some did not arrive


class Patience:
    """Counts how often one transfer has failed since it last made progress."""

    def __init__(self, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> None:
        self._say, self._sleep = say, sleep
        self._failures = 0

    def got_on(self) -> None:
        """Reset the count, because bytes were transferred."""
        self._failures = 0

    def wait(self, error: CliError) -> None:
        """Wait before the next try. Raises `error` itself if waiting cannot help, or after `TRIES` failures."""
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
    """Return whether the same request may succeed later."""
    if isinstance(error, Refused):
        return error.status in PASSING or error.code == BROKE_OFF
    return isinstance(error, Unreachable)
