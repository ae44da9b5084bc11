"""A client's socket in a thread: it waits for bytes only while they come fast enough, and never for a reader.

An answer that the kernel does not take at once is kept here, and the worker's poller sends the rest (connections.py).
A body that is streamed goes past this (wire.py): its sender does wait for the reader, in a place of the streams' gate.
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
    """Tells whether a client moves enough bytes, counting only the time that is spent waiting for it."""

    def __init__(self, window_s: float = STALL_S, least_bytes_per_s: float = LEAST_BYTES_PER_S) -> None:
        self._window_s = window_s
        self._least_bytes = window_s * least_bytes_per_s
        self._moved_bytes = 0
        self._waited_s = 0.0

    def moved(self, count: int) -> None:
        """Count bytes."""
        self._moved_bytes += count

    def waited(self, seconds: float) -> None:
        """Count time. Raises TimeoutError if a window of it has passed with too few bytes."""
        self._waited_s += seconds
        if self._waited_s < self._window_s:
            return
        if self._moved_bytes < self._least_bytes:
            raise TimeoutError("the client is too slow")
        self._waited_s = 0.0
        self._moved_bytes = 0


def queued_bytes(client: socket.socket) -> int:
    """Return how many bytes the kernel still holds for the client; 0 for a socket that is closed.

    It takes megabytes at once, and then none until a third of them is out: what it took says little about the reader.
    """
    try:
        return int.from_bytes(fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):
        return 0


class ClientSocket(socket.socket):
    """A connected socket that takes the place of the one that it was made from."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.address = ""  # of the client that sent the request under way
        self.unsent = bytearray()
        self.received_bytes = 0
        self.release_turn: Callable[[], None] = lambda: None
        self._pace = Pace()

    def begin_request(self, address: str) -> None:
        """Prepare for a thread: reads block, with a timeout."""
        self.address = address
        self.received_bytes = 0
        self.settimeout(STALL_S)
        self._pace = Pace()

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive. Raises TimeoutError also if bytes come too slowly to go on with."""
        began = time.monotonic()
        data = super().recv(size, flags)
        self._count(len(data), began)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer, as `recv` does."""
        began = time.monotonic()
        count = super().recv_into(buffer, nbytes, flags)
        self._count(count, began)
        return count

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what the kernel takes now and keep the rest."""
        sent = 0 if self.unsent else self._write(data)
        self.unsent += memoryview(data)[sent:]

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send as `sendall` does: gunicorn sends its 100 Continue by this name."""
        self.sendall(data, flags)
        return len(data)

    def take_unsent(self) -> bytes:
        """Return what was kept, which is now the caller's to send."""
        data = bytes(self.unsent)
        self.unsent.clear()
        return data

    def send_unsent(self) -> bool:
        """Send of what was kept what the kernel takes now; return whether that was all. Raises OSError."""
        if self.unsent:
            del self.unsent[: self._write(self.unsent)]
        return not self.unsent

    def _write(self, data: Any) -> int:
        """Return how many bytes the kernel takes now.

        With a timeout set, Python's own `send` waits for the reader, whatever its flags say; the descriptor itself does
        not block.
        """
        try:
            return os.write(self.fileno(), data)
        except BlockingIOError:
            return 0

    def _count(self, count: int, began: float) -> None:
        self.received_bytes += count
        self._pace.moved(count)
        self._pace.waited(time.monotonic() - began)
