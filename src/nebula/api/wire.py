"""Sending straight to a client's socket: a body that makes too little progress, or may flow no longer, ends.

Writes never block: the socket is polled, so that a stalled reader is noticed after `stall_s` and a revocation within
little more than `check_s`, whatever the reader does. A reader that takes less than LEAST_BYTES_PER_S counts as stalled,
too. A player that pauses for longer is cut off and comes back by range. Nor does the question block whether a body may
go on: it is asked beside it, and a film goes on while the database is silent.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from nebula.api.client_socket import Pace, queued_bytes
from nebula.domain.limits import CHECK_S, STALL_S

ANSWER_S = 0.5
# One sendfile call holds no lock and moves what fits the socket's buffer; this only bounds its number.
FILE_STEP_BYTES = 1 << 24


class Withdrawn(OSError):
    """The right to these bytes ended while they were on their way."""


class Wire:
    """A client's socket while one body runs."""

    def __init__(
        self,
        client: socket.socket,
        ask: Callable[[], Future[bool]],
        moved: Callable[[int], None],
        *,
        stall_s: float = STALL_S,
        check_s: float = CHECK_S,
    ) -> None:
        self._client = client
        self._ask = ask
        self._asked: Future[bool] | None = None
        self._moved = moved
        self._stall_s = stall_s
        self._pace = Pace(stall_s)
        self._sent_bytes = 0
        self._read_bytes = 0  # by the client, when it was last waited for
        self._check_s = check_s
        self._next_check = time.monotonic() + check_s
        self._timeout = client.gettimeout()
        client.setblocking(False)
        self._poll = select.poll()
        self._poll.register(client, select.POLLOUT)

    def send(self, view: memoryview) -> None:
        """Send every byte of `view`. Raises OSError: the client is gone, stalled (TimeoutError), or Withdrawn."""
        while view:
            # The socket's own `send`: ClientSocket's keeps what does not fit.
            sent = self._progress(lambda: socket.socket.send(self._client, view))  # noqa: B023 - called at once
            view = view[sent:]

    def send_file(self, descriptor: int, offset: int, length: int) -> None:
        """Send bytes of a file without reading them here. Raises OSError as `send` does."""
        out = self._client.fileno()
        stop = offset + length
        while offset < stop:
            step = min(stop - offset, FILE_STEP_BYTES)
            sent = self._progress(lambda: os.sendfile(out, descriptor, offset, step))  # noqa: B023
            if sent == 0:
                raise OSError("the object's file ends before the object does")
            offset += sent

    def release(self) -> None:
        """Give the socket back as it was, for the connection's next request."""
        self._client.settimeout(self._timeout)

    def abort(self) -> None:
        """Reset the connection: what was not read yet is dropped, and the client sees an incomplete body."""
        with suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()

    def _progress(self, write: Callable[[], int]) -> int:
        """Return how many bytes one write took, as soon as it takes any."""
        stalled_at: float | None = None
        while True:
            now = time.monotonic()
            if now >= self._next_check:
                self._check()
            try:
                sent = write()
            except BlockingIOError:
                stalled_at = self._wait(stalled_at or now + self._stall_s)
            else:
                self._moved(sent)
                self._sent_bytes += sent
                return sent

    def _wait(self, stalled_at: float) -> float:
        """Wait until the kernel takes more; return when the client counts as stalled if it reads nothing until then."""
        began = time.monotonic()
        until = min(stalled_at, self._next_check)
        self._poll.poll(max(0.0, until - began) * 1000 + 1)
        now = time.monotonic()
        read_bytes = self._sent_bytes - queued_bytes(self._client)
        progress = max(0, read_bytes - self._read_bytes)
        self._read_bytes += progress
        if progress:
            stalled_at = now + self._stall_s
        elif now >= stalled_at:
            raise TimeoutError("the client stopped reading")
        self._pace.moved(progress)
        self._pace.waited(now - began)
        return stalled_at

    def _check(self) -> None:
        """Ask whether the body may go on, and look for the answer half a second later and on."""
        asked, self._asked = self._asked or self._ask(), None
        if not asked.done():
            self._asked = asked
        elif not asked.result():
            raise Withdrawn("revoked while it ran")
        self._next_check = time.monotonic() + (ANSWER_S if self._asked else self._check_s)
