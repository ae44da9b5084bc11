"""A TCP proxy between Nebula and a store, to break what is between them: cut, refuse, stall, delay."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from tests.stores import free_port

CHUNK_BYTES = 65536


class Proxy:
    """Forwards its own port to another on this machine. A context manager; safe to use from the test's thread."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.delay_s = 0.0  # before each chunk, in both directions
        self.connections = 0  # accepted so far
        self._budget: int | None = None  # bytes that still pass to the client before everything is cut
        self._flowing = threading.Event()
        self._flowing.set()
        self._guard = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = free_port()  # it is to be the same after `refuse`
        self.accept()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection; new ones are accepted."""
        with self._guard:
            for end in self._sockets:
                _end(end)

    def cut_after(self, size_bytes: int) -> None:
        """Let that many more bytes through to the client, then cut every connection, once."""
        with self._guard:
            self._budget = size_bytes

    def stall(self) -> None:
        """Accept, and pass nothing on, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on again."""
        self._flowing.set()

    def refuse(self) -> None:
        """End every connection and refuse new ones, until `accept`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _end(listener)
            self._threads[0].join()
            self._threads.pop(0)
            listener.close()
        self.cut()

    def accept(self) -> None:
        """Accept connections, on the same port as before."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
            self._threads.insert(0, self._start(self._serve, self._listener))

    def close(self) -> None:
        """End everything and leave no thread behind."""
        self.refuse()
        self.flow()
        for thread in list(self._threads):
            self.cut()
            thread.join()

    def _start(self, body: Callable[..., None], *words: object) -> threading.Thread:
        thread = threading.Thread(target=body, args=words, daemon=True)
        thread.start()
        return thread

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            # The kernel would hold megabytes for a client that does not read: too much to break anything in the middle.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
            self.connections += 1
            self._threads.append(self._start(self._forward, client))

    def _forward(self, client: socket.socket) -> None:
        with client:
            try:
                store = socket.create_connection(("127.0.0.1", self.target_port), 5)
            except OSError:
                return
            with store:
                store.settimeout(None)
                with self._guard:
                    self._sockets |= {client, store}
                upward = self._start(self._pump, client, store, False)
                self._pump(store, client, True)
                upward.join()
                with self._guard:
                    self._sockets -= {client, store}

    def _pump(self, source: socket.socket, sink: socket.socket, downward: bool) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                self._flowing.wait()
                time.sleep(self.delay_s)
                allowed, spent = self._allowed(chunk) if downward else (chunk, False)
                sink.sendall(allowed)
                if spent:
                    self.cut()
        except OSError:
            pass
        finally:
            _end(source)
            _end(sink)

    def _allowed(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return what may pass of a chunk, and whether that was the last of what may."""
        with self._guard:
            if self._budget is None:
                return chunk, False
            chunk = chunk[: self._budget]
            self._budget -= len(chunk)
            if self._budget:
                return chunk, False
            self._budget = None
            return chunk, True


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
