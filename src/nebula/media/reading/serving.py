"""Serves one source to ffmpeg on this machine, so that ffmpeg needs neither the store's address nor a signature.

ffmpeg gets http://127.0.0.1:PORT/NAME?TOKEN, which answers range requests and never redirects. The token is random, is
valid for this source only and expires with the block, so it does no harm in a log. An error of the store is kept as the
`trouble`, because neither ffmpeg's messages nor its exit code tell it from a damaged file, and text in a file can
imitate any message.
"""

from __future__ import annotations

import re
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

BLOCK_BYTES = 256 << 10
HEAD_S = 30.0  # for a request's head; a body has no time limit, because its reader may be paused


class Reader(Protocol):
    """A byte range of the source, read in order."""

    def readinto(self, buffer: memoryview) -> int: ...

    def close(self) -> None: ...


@dataclass
class Served:
    """A served source. `open_span(start, length)` opens a byte range of it; any error of reading is the `trouble`."""

    size_bytes: int
    open_span: Callable[[int, int], Reader]
    path: str
    url: str = ""
    trouble: Exception | None = None


@contextmanager
def serving(name: str, size_bytes: int, open_span: Callable[[int, int], Reader]) -> Iterator[Served]:
    """Serve a source while the block runs. `name` appears in commands and logs, to tell what was read."""
    served = Served(size_bytes, open_span, path=f"/{name}?{secrets.token_urlsafe(24)}")
    with _Server(served) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="source", daemon=True)
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_address[1]}{served.path}"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, served: Served) -> None:
        self.served = served
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep the error as `trouble`. An OSError is not kept: ffmpeg closed the connection, for example to seek."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.served.trouble = self.served.trouble or error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = HEAD_S
    server: _Server

    def do_GET(self) -> None:
        served = self.server.served
        self.connection.settimeout(None)
        if not secrets.compare_digest(self.path.encode(), served.path.encode()) or served.trouble is not None:
            return self._refuse(404)
        start, end = _span(self.headers.get("Range", ""), served.size_bytes)
        if start >= end:
            return self._refuse(416)
        reader = served.open_span(start, end - start)
        try:
            self._send(reader, start, end)
        finally:
            reader.close()

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, reader: Reader, start: int, end: int) -> None:
        # ffmpeg leaves bytes unread in the socket when it seeks. A small buffer wastes few reads of the store.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOCK_BYTES)
        self.send_response(206)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{self.server.served.size_bytes}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Connection", "close")
        self.end_headers()
        buffer = memoryview(bytearray(BLOCK_BYTES))
        while count := reader.readinto(buffer):
            self.wfile.write(buffer[:count])

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing: standard error is the worker's journal."""


def _span(asked: str, size_bytes: int) -> tuple[int, int]:
    """Return the first byte of a Range header and the byte after its last; the whole source if it is invalid."""
    match = re.fullmatch(r"bytes=(\d{1,18})-(\d{0,18})", asked)
    if match is None:
        return 0, size_bytes
    return int(match[1]), min(size_bytes, int(match[2]) + 1) if match[2] else size_bytes
