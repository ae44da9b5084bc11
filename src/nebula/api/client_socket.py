"""A client's socket in a thread: it waits for bytes only while they come fast enough, and never waits to send.

If the kernel does not take a whole answer at once, the rest is kept here and the worker's poller sends it
(connections.py). Streamed bodies do not use this (wire.py): their sender waits for the reader, and has a place in the
streams' gate.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

from nebula.domain.limits import LEAST_BYTES_PER_S, STALL_S


class Pace:
    """Checks that a client sends or reads fast enough. Only the time that is spent waiting for the client counts."""

    def __init__(self, window_s: float = STALL_S, least_bytes_per_s: float = LEAST_BYTES_PER_S) -> None:
        self._window_s = window_s
        self._least_bytes = window_s * least_bytes_per_s
        self._moved_bytes = 0
        self._waited_s = 0.0

    def moved(self, count: int) -> None:
        """Count bytes that were sent or received."""
        self._moved_bytes += count

    def waited(self, seconds: float) -> None:
        """Count waiting time. Raises TimeoutError if too few bytes moved in a whole window of it."""
        self._waited_s += seconds
        if self._waited_s < self._window_s:
            return
        if self._moved_bytes < self._least_bytes:
            raise TimeoutError("the client is too slow")
        self._waited_s = 0.0
        self._moved_bytes = 0


def queued_bytes(client: socket.socket) -> int:
    """Return how many bytes the kernel still holds for the client; 0 if the socket is closed.

    The kernel takes megabytes at once, and then nothing until a third of them is sent. So the number of bytes that it
    took says little about how much the reader has read.
    """
    try:
        return int.from_bytes(fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):
        return 0


class ClientSocket(socket.socket):
    """A connected socket. It takes over the descriptor of `accepted`, which must not be used any more."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address = ""  # of the client that sent the current request
        self.unsent = bytearray()
        self.received_bytes = 0
        self.release_turn: Callable[[], None] = lambda: None
        self._pace = Pace()

    def begin_request(self, address: str) -> None:
        """Prepare for use in a thread: reads block, with a timeout."""
        self.address = address
        self.received_bytes = 0
        self.settimeout(STALL_S)
        self._pace = Pace()

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive bytes. Raises TimeoutError if none come in time, or if they come too slowly."""
        began = time.monotonic()
        data = super().recv(size, flags)
        self._count(len(data), began)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer. Raises TimeoutError under the same conditions as `recv`."""
        began = time.monotonic()
        count = super().recv_into(buffer, nbytes, flags)
        self._count(count, began)
        return count

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what the kernel takes now, and keep the rest in `unsent`."""
        sent = 0 if self.unsent else self._write(data)
        self.unsent += memoryview(data)[sent:]

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Do the same as `sendall`: gunicorn sends its 100 Continue with `send`."""
        self.sendall(data, flags)
        return len(data)

    def take_unsent(self) -> bytes:
        """Return and clear the unsent bytes; the caller must send them."""
        data = bytes(self.unsent)
        self.unsent.clear()
        return data

    def send_unsent(self) -> bool:
        """Send as many unsent bytes as the kernel takes now; returns True if none are left. Raises OSError."""
        if self.unsent:
            del self.unsent[: self._write(self.unsent)]
        return not self.unsent

    def _write(self, data: Any) -> int:
        """Return how many bytes the kernel takes now.

        Python's own `send` waits for the reader if the socket has a timeout, whatever the flags are. The descriptor
        itself does not block.
        """
        try:
            return os.write(self.fileno(), data)
        except BlockingIOError:
            return 0

    def _count(self, count: int, began: float) -> None:
        self.received_bytes += count
        self._pace.moved(count)
        self._pace.waited(time.monotonic() - began)
