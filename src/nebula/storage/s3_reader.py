"""Read byte ranges of S3 objects over plain HTTP: pooled connections, and a reader that continues after a lost one.

boto3's body cannot fill a caller's buffer, so requests go over http.client; s3.py decides their contents and signs
them. http.client reports a broken connection as an end (readinto returns 0, no exception), so only the byte range's own
end counts here. Every later request asks for the etag of the first answer, so that two objects are never mixed.
"""

from __future__ import annotations

import http.client
import select
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from nebula.errors import StoreUnavailable

CONNECT_S = 3.0
IDLE_CONNECTIONS = 64
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
DRAINED_BYTES = 65536
LOST = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Exchange:
    """One request's connection and response."""

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse

    @property
    def etag(self) -> str:
        """The object's etag, unquoted."""
        return (self.response.getheader("ETag") or "").strip('"')


class Connections:
    """Keeps connections to one endpoint open between requests. `stall_s` limits the silence during a request."""

    def __init__(self, endpoint: str, stall_s: float) -> None:
        self._address = urlsplit(endpoint)
        self._stall_s = stall_s
        self._tls = ssl.create_default_context() if self._address.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []
        self._guard = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def ask(self, method: str, path: str, headers: dict[str, str]) -> Exchange:
        """Send a request and read the head of its response. Raises the errors in LOST."""
        idle = self._take()
        if idle is not None:
            try:
                return _exchange(idle, method, path, headers)
            except TimeoutError:
                raise
            except LOST:
                pass  # the store has just closed it, as it may do with idle connections
        return _exchange(self._connect(), method, path, headers)

    def give_back(self, exchange: Exchange) -> None:
        """Keep the connection if its response was read to the end, else close it.

        Unread bytes would be taken for the next response.
        """
        connection = exchange.connection
        if exchange.response.isclosed() and connection.sock is not None:
            with self._guard:
                if len(self._idle) < IDLE_CONNECTIONS:
                    self._idle.append(connection)
                    return
        close(exchange)

    def _take(self) -> http.client.HTTPConnection | None:
        while True:
            with self._guard:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _has_something_to_read(connection):
                return connection
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=self._tls)
        connection.connect()
        connection.sock.settimeout(self._stall_s)
        return connection


class S3Reader:
    """A byte range of an S3 object. If no byte arrives for `patience_s`, reading raises StoreUnavailable."""

    def __init__(
        self,
        get: Callable[[int, int, str | None], Exchange],
        connections: Connections,
        start: int,
        length: int,
        etag: str | None,
        patience_s: float,
    ) -> None:
        """`get(start, length, etag)` begins a response with exactly that byte range, or raises a NebulaError."""
        self._get = get
        self._connections = connections
        self._offset = start
        self._end = start + length
        self._patience_s = patience_s
        self._exchange: Exchange | None = get(start, length, etag)
        self._etag = self._exchange.etag

    def fileno(self) -> int | None:
        """Return None: there is no file."""
        return None

    @property
    def offset(self) -> int:
        """Position of the next byte."""
        return self._offset

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer, over as many connections as are needed. Return 0 only at the end of the byte range."""
        size = min(len(buffer), self._end - self._offset)
        if size == 0:
            return 0
        deadline = time.monotonic() + self._patience_s
        pause = FIRST_PAUSE_S
        while not (count := self._attempt(buffer[:size])):
            if time.monotonic() + pause > deadline:
                raise StoreUnavailable("objects")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        self._offset += count
        if self._offset == self._end:
            self._finish()
        return count

    def _attempt(self, buffer: memoryview) -> int:
        """Return the number of bytes read, 0 if the connection or the store is lost for now."""
        try:
            if self._exchange is None:
                self._exchange = self._get(self._offset, self._end - self._offset, self._etag)
            count = self._exchange.response.readinto(buffer)
        except (*LOST, StoreUnavailable):
            count = 0
        if not count:
            self.close()
        return count

    def _finish(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._connections.give_back(exchange)

    def close(self) -> None:
        """Drop the connection: skipping its unread bytes would be expensive."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            close(exchange)


class EmptyReader:
    """An empty byte range."""

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def fileno(self) -> int | None:
        """Return None: there is no file."""
        return None

    def readinto(self, buffer: memoryview) -> int:
        """Return 0: the end of the byte range."""
        return 0

    def close(self) -> None:
        """Do nothing."""


def drain(exchange: Exchange) -> bytes:
    """Read a short response (an error) to its end, so that its connection can be kept."""
    return exchange.response.read(DRAINED_BYTES)


def close(exchange: Exchange) -> None:
    """Close the response and its connection."""
    exchange.response.close()
    exchange.connection.close()


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> Exchange:
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        if method == "HEAD":
            response.read()  # there is no body, but until this call the response counts as unread
        return Exchange(connection, response)
    except BaseException:
        connection.close()
        raise


def _has_something_to_read(connection: http.client.HTTPConnection) -> bool:
    """Return whether an idle connection has ended: only its end can be waiting to be read."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _close_all(idle: list[http.client.HTTPConnection]) -> None:
    for connection in idle:
        connection.close()
