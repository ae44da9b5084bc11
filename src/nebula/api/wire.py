"""Send a response body straight to the client's socket; stop if the client is too slow or its access is revoked.

Writes never block: the socket is polled. So a stalled reader is noticed after `stall_s`, and a revocation soon after
`check_s`, whatever the reader does. A reader that takes less than LEAST_BYTES_PER_S counts as stalled too. A player
that pauses for longer is cut off, and continues later with a range request. The check whether a body may continue runs
in another thread, so it does not block either: a film goes on while the database does not answer.
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
# A sendfile call holds no lock and sends only what fits into the socket's buffer; this only limits its argument.
FILE_STEP_BYTES = 1 << 24


class Withdrawn(OSError):
    """The access was revoked while the body was being sent."""


class Wire:
    """A client's socket while one response body is sent to it."""

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
        self._read_bytes = 0  # by the client, as of the last wait for it
        self._check_s = check_s
        self._next_check = time.monotonic() + check_s
        self._timeout = client.gettimeout()
        client.setblocking(False)
        self._poll = select.poll()
        self._poll.register(client, select.POLLOUT)

    def send(self, view: memoryview) -> None:
        """Send all of `view`. Raises OSError if the client is gone, TimeoutError if it stalls, Withdrawn if revoked."""
        while view:
            # Call the base class's `send`: that of ClientSocket stores the bytes that the kernel does not take.
            sent = self._progress(lambda: socket.socket.send(self._client, view))  # noqa: B023 - called at once
            view = view[sent:]

    def send_file(self, descriptor: int, offset: int, length: int) -> None:
        """Send bytes of a file with sendfile. Raises the same errors as `send`."""
        client_descriptor = self._client.fileno()
        stop = offset + length
        while offset < stop:
            step_bytes = min(stop - offset, FILE_STEP_BYTES)
            sent = self._progress(lambda: os.sendfile(client_descriptor, descriptor, offset, step_bytes))  # noqa: B023
            if sent == 0:
                raise OSError("the object's file ends before the object does")
            offset += sent

    def release(self) -> None:
        """Restore the socket's timeout for the next request of the connection."""
        self._client.settimeout(self._timeout)

    def abort(self) -> None:
        """Reset the connection: unsent bytes are dropped, and the client sees that the body is incomplete."""
        with suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()

    def _progress(self, write: Callable[[], int]) -> int:
        """Repeat a write until it takes some bytes; return how many."""
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
        """Wait until the kernel takes more; return when the client counts as stalled if it reads nothing more."""
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
        """Ask in another thread whether the body may go on; look for the answer every ANSWER_S. Raises Withdrawn."""
        answer, self._asked = self._asked or self._ask(), None
        if not answer.done():
            self._asked = answer
        elif not answer.result():
            raise Withdrawn("revoked while it ran")
        self._next_check = time.monotonic() + (ANSWER_S if self._asked else self._check_s)
