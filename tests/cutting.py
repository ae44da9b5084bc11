"""A TCP proxy that breaks connections: after so many bytes up or down, so many times; or stalls or answers them."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

READ = 16 * 1024
METHODS = (b"GET /", b"HEAD /", b"POST /", b"PATCH /", b"DELETE /")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: closing sends RST


class CuttingProxy:
    """Passes connections on to a port. `cuts` are left to make; each one needs its bytes to have passed."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.cut_after_up: int | None = None
        self.cut_after_down: int | None = None
        self.cuts = 0
        self.last_words = b""  # what the client is told at a cut; without, the connection is reset
        self.stall_after_up: int | None = None
        self.stalled = threading.Event()
        self.slow_s = 0.0  # before each piece on the way up
        self.up_bytes = self.down_bytes = 0
        self.ended = 0  # connections that the gateway ended
        self.requests: list[str] = []  # the first line of each, as it came from the client
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def break_all(self) -> None:
        """Break the connections that stand."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._ends += [near, far]
            for source, sink, is_up in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pump, args=(source, sink, near, far, is_up), daemon=True).start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, near: socket.socket, far: socket.socket, is_up: bool
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(READ):
                passed += len(piece)
                self._count(len(piece), is_up)
                if is_up and piece.startswith(METHODS):
                    self.requests.append(piece.partition(b"\r\n")[0].decode())
                if self._shall_cut(passed, is_up):
                    self._cut(near, far)
                    break
                if is_up and self.stall_after_up is not None and passed >= self.stall_after_up:
                    self.stalled.set()
                    # Nothing passes any more until the sender goes.
                    while source.recv(READ):
                        pass
                    break
                if is_up:
                    time.sleep(self.slow_s)
                sink.sendall(piece)
        self.ended += not is_up
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _cut(self, near: socket.socket, far: socket.socket) -> None:
        if not self.last_words:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return
        far.shutdown(socket.SHUT_WR)  # the gateway keeps what came; its own answer reaches nobody
        near.sendall(self.last_words)
        near.shutdown(socket.SHUT_WR)
        while near.recv(READ):  # who still sends would be reset before it reads
            pass

    def _count(self, count: int, is_up: bool) -> None:
        with self._lock:
            if is_up:
                self.up_bytes += count
            else:
                self.down_bytes += count

    def _shall_cut(self, passed: int, is_up: bool) -> bool:
        limit = self.cut_after_up if is_up else self.cut_after_down
        with self._lock:
            if limit is None or passed < limit or self.cuts == 0:
                return False
            self.cuts -= 1
            return True
