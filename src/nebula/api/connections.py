"""The gunicorn worker: a connection holds a thread only from a complete header to the end of its answer.

gunicorn's own threaded worker (27.0.1) gives a connection a thread at accept, waits there without end for a slow
header, and closes on its main loop, waiting up to two seconds for each client that does not: a few hundred silent
connections stop it. Here everything that waits for a client waits in the poller: for a header (HEADER_S in all), for
the next request (keepalive), for the end of a closed connection (LINGER_S). What runs in a thread has a socket timeout.

HTTP/1.1 without TLS only: the network is the tailnet, and `tailscale serve` ends HTTPS in front of a unix socket.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import selectors
import socket
import time
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors, get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

from nebula.api import hosts
from nebula.domain.limits import HEADER_S, STALL_S

log = logging.getLogger(__name__)

RECEIVE_BYTES = 64 * 1024
MAX_HEADER_BYTES = 64 * 1024
LINGER_S = 2.0
MAX_DISCARDED_BYTES = 8 * 1024 * 1024
# How long a body that nobody read may take to come before the connection is closed instead of used again.
UNREAD_S = 0.1
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

# The end of a header, or a line that ends without a carriage return: gunicorn refuses that one at once.
_HEADER_END = re.compile(rb"\r\n\r\n|[^\r]\n|\A\n")

REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    errors.LimitRequestLine: (414, "uri_too_long", "The request's first line is too long."),
    errors.LimitRequestHeaders: (431, "header_too_large", "The request's header is too large."),
    errors.ExpectationFailed: (417, "expectation_failed", "Only Expect: 100-continue can be met."),
    errors.UnsupportedTransferCoding: (400, "transfer_coding", "Only the transfer coding chunked is known here."),
}
BAD_REQUEST = (400, "bad_request", "This is not an HTTP/1.1 request.")
HEADER_STALLED = (408, "header_stalled", "The request's header did not come in time.")


class Connection(TConn):  # type: ignore[misc]
    """A client's connection, with what was received of its next request."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.initialized = True
        self.parser = get_parser(cfg, sock, client)
        self.received = bytearray()
        self.refusal: Exception | None = None
        self.is_closing = False
        self.discarded = 0

    def take(self, data: bytes) -> bool:
        """Add to the request; return whether a thread can go on with it."""
        seen = max(0, len(self.received) - 3)
        self.received += data
        if _HEADER_END.search(self.received, seen):
            return True
        if len(self.received) > MAX_HEADER_BYTES:
            self.refusal = errors.LimitRequestHeaders("header too large")
        return self.refusal is not None

    def hand_over(self) -> None:
        """Give what was received to the parser, and make the socket one for a thread."""
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()
        self.sock.settimeout(STALL_S)

    def take_back(self) -> bool:
        """Take what the parser read beyond the last request; return whether that is a request already."""
        self.sock.setblocking(False)
        ahead = self.parser.unreader.take_buffered()
        return bool(ahead) and self.take(ahead)


class ConnectionWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, with everything that waits for a client in the poller."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.resting: dict[Connection, float] = {}  # in the poller, each until its deadline

    # On the main loop

    def accept(self, listener: socket.socket) -> None:
        """Take a connection into the poller."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                time.sleep(0.05)  # the listener stays readable: without a pause the loop would spin
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, client, address, listener.getsockname())
        self._rest(connection, HEADER_S)

    def finish_request(self, connection: Connection, done: Future[bool]) -> None:
        """Keep the connection for its next request, or close it without waiting for the client here."""
        try:
            keep = not done.cancelled() and done.result() and connection.sock.fileno() >= 0
            if not keep:
                self._linger(connection)
            elif connection.take_back():
                self._dispatch(connection)
            else:
                self._rest(connection, HEADER_S if connection.received else self.cfg.keepalive)
        except OSError:
            self._forget(connection)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close what rested too long."""
        now = time.monotonic()
        for connection, deadline in list(self.resting.items()):
            if force or deadline <= now:
                if connection.received:
                    _tell(connection.sock, *HEADER_STALLED)
                self._forget(connection)

    def murder_pending(self) -> None:
        """Nothing is pending apart from what `resting` holds."""

    def _cap_keepalive(self, deadline: float) -> None:
        for connection, until in self.resting.items():
            self.resting[connection] = min(until, deadline)

    def _rest(self, connection: Connection, seconds: float) -> None:
        connection.sock.setblocking(False)
        self.resting[connection] = time.monotonic() + seconds
        self.poller.register(connection.sock, selectors.EVENT_READ, partial(self._readable, connection))

    def _readable(self, connection: Connection, client: socket.socket) -> None:
        try:
            data = client.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._forget(connection)
        elif connection.is_closing:
            self._discard(connection, data)
        else:
            if not connection.received:
                self.resting[connection] = time.monotonic() + HEADER_S
            if connection.take(data):
                self._wake(connection)
                self._dispatch(connection)

    def _dispatch(self, connection: Connection) -> None:
        connection.hand_over()
        self.enqueue_req(connection)

    def _linger(self, connection: Connection) -> None:
        """Say that nothing more comes and wait for the client to close: a reset could eat the answer (RFC 9112 9.6)."""
        if connection.sock.fileno() < 0:
            self._forget(connection)
            return
        connection.sock.shutdown(socket.SHUT_WR)
        connection.is_closing = True
        connection.received.clear()
        self._rest(connection, LINGER_S)

    def _discard(self, connection: Connection, data: bytes) -> None:
        connection.discarded += len(data)
        if connection.discarded > MAX_DISCARDED_BYTES:
            self._forget(connection)

    def _wake(self, connection: Connection) -> None:
        if self.resting.pop(connection, None) is not None:
            self.poller.unregister(connection.sock)

    def _forget(self, connection: Connection) -> None:
        self._wake(connection)
        self.nr_conns -= 1
        connection.close()

    # In a thread

    def handle(self, connection: Connection) -> bool:
        """Serve one request; return whether the connection can take another."""
        request = None
        try:
            if connection.refusal is not None:
                raise connection.refusal
            request = next(connection.parser)
            hosts.check(request)
            return self._keepalive_after(connection, self.handle_request(request, connection))
        except (StopIteration, OSError) as error:
            log.debug("connection ended error=%s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the last line before the thread pool; handle_error logs it
            self.handle_error(request, connection.sock, connection.client, error)
        return False

    def _keepalive_after(self, connection: Connection, keepalive: bool) -> bool:
        # A body that was refused unread must not hold the thread, nor be taken for the next request.
        return keepalive and bool(connection.parser.finish_body(deadline=time.monotonic() + UNREAD_S))

    def handle_error(self, request: Any, client: socket.socket, address: Any, error: Exception) -> None:
        """Answer what never reached the application with a problem. The request's line stays out of the log."""
        refusal = REFUSALS.get(type(error))
        if refusal is None and isinstance(error, errors.ParseException):
            refusal = BAD_REQUEST
        if refusal is None:
            log.error("request failed", exc_info=error)
            refusal = (500, "internal", "Nebula made a mistake; its journal has the details.")
        else:
            log.info("request refused code=%s", refusal[1])
        _tell(client, *refusal)


def _tell(client: socket.socket, status: int, code: str, detail: str) -> None:
    """Send a problem where it can be sent at once; the connection ends after it."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        client.send(head.encode() + body, socket.MSG_DONTWAIT)
    except OSError:
        log.debug("a problem could not be sent code=%s", code)
