"""The gunicorn worker: a connection has a thread only from a complete request to its answer.

gunicorn's own threaded worker (27.0.1) gives each connection a thread at accept and waits there forever for a slow
header. It closes connections on its main loop, and waits there up to two seconds for each client that does not close
its end. So a few hundred silent connections stop it. Here a connection that waits for its client waits in the poller:

- for the header (HEADER_S in all) and for a small JSON body (HEADER_S in all);
- for the next request (keepalive);
- for the client to read an answer (ANSWER_S and LEAST_BYTES_PER_S);
- for the client to close its end (LINGER_S).

In a thread, the socket has a timeout. No client can crowd out the others. Threads are given in turns (turns.py). If
there are too many connections, the address that has the most loses its oldest waiting one, and the newcomer gets in.

HTTP/1.1 without TLS only: the network is the tailnet, and `tailscale serve` ends HTTPS in front of a unix socket.
"""

from __future__ import annotations

import errno
import json
import logging
import selectors
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from nebula.api import hosts
from nebula.api.client_socket import ClientSocket
from nebula.api.connection import Connection
from nebula.api.crowd import Crowd
from nebula.api.turns import Turns
from nebula.domain.limits import ANSWER_S, HEADER_S, LEAST_BYTES_PER_S, MAX_UNSENT_BYTES, TURNS

log = logging.getLogger(__name__)

RECEIVE_BYTES = 64 * 1024
ACCEPTED_AT_ONCE = 64
LOOK_S = 0.25  # how often the deadlines are checked
LINGER_S = 2.0
MAX_DISCARDED_BYTES = 8 * 1024 * 1024
# How long to wait for an unread body to arrive. If it takes longer, the connection is closed, not used again.
UNREAD_S = 0.1
NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    errors.LimitRequestLine: (414, "uri_too_long", "The request's first line is too long."),
    errors.LimitRequestHeaders: (431, "header_too_large", "The request's header is too large."),
    errors.ExpectationFailed: (417, "expectation_failed", "Only Expect: 100-continue can be met."),
    errors.UnsupportedTransferCoding: (400, "transfer_coding", "Only the transfer coding chunked is known here."),
}
BAD_REQUEST = (400, "bad_request", "This is not an HTTP/1.1 request.")
HEADER_STALLED = (408, "header_stalled", "The request's header did not come in time.")
BODY_STALLED = (408, "stalled", "The request's body did not come in time; send it again.")
TOO_MANY = (503, "busy", "There are too many connections; try again in a few seconds.")


class ConnectionWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, changed so that connections wait for their clients in the poller."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.resting: dict[Connection, float] = {}  # in the poller, each until its deadline
        self.crowd: Crowd[Connection] = Crowd()  # those that rest or wait for a turn; some may have begun already
        self.unsent: Crowd[Connection] = Crowd()  # those whose answer is not read yet; the weight is the unsent bytes
        self.turns: Turns[Connection] = Turns(int(TURNS), self._begin)
        self._look_at = 0.0

    # On the main loop

    def accept(self, listener: socket.socket) -> None:
        """Accept connections and register them with the poller."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                client, address = listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM and not self._evict():
                    time.sleep(0.05)  # the listener stays readable, so the loop would spin without a pause
                return
            self.nr_conns += 1
            connection = Connection(self.cfg, client, address, listener.getsockname())
            connection.sock.release_turn = partial(self.turns.release, connection)
            self._rest(connection, HEADER_S)
            if self.nr_conns >= self.worker_connections:  # gunicorn accepts nobody at this number
                self._evict()

    def finish_request(self, connection: Connection, done: Future[bool]) -> None:
        """Keep the connection for its next request, or close it; never waits for the client on the main loop."""
        self.turns.release(connection)
        self.crowd.remove(connection)
        try:
            connection.is_kept = not done.cancelled() and done.result() and connection.sock.fileno() >= 0
            if connection.sock.fileno() < 0:
                self._forget(connection)
            elif connection.sock.send_unsent():
                self._go_on(connection)
            else:
                self._rest_until_read(connection)
        except OSError:
            self._forget(connection)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close the connections that rested past their deadline, or all resting ones if `force`."""
        now = time.monotonic()
        if now < self._look_at and not force:
            return
        self._look_at = now + LOOK_S
        for connection, deadline in list(self.resting.items()):
            if force or deadline <= now:
                self._dismiss(connection, HEADER_STALLED if connection.wanted_bytes is None else BODY_STALLED)

    def murder_pending(self) -> None:
        """Do nothing: only the connections in `resting` are pending."""

    def _cap_keepalive(self, deadline: float) -> None:
        for connection, until in self.resting.items():
            self.resting[connection] = min(until, deadline)

    def _go_on(self, connection: Connection) -> None:
        """Continue with a connection whose answer is sent completely."""
        if not connection.is_kept:
            self._linger(connection)
        elif connection.take_back():
            self._dispatch(connection)
        else:
            self._rest(connection, HEADER_S if connection.received else self.cfg.keepalive)

    def _rest(self, connection: Connection, seconds: float) -> None:
        self._watch(connection, seconds, selectors.EVENT_READ, self._readable)

    def _rest_until_read(self, connection: Connection) -> None:
        """Wait in the poller until the answer is read; drop connections if the total exceeds MAX_UNSENT_BYTES."""
        unsent_bytes = len(connection.sock.unsent)
        self._watch(connection, ANSWER_S + unsent_bytes / LEAST_BYTES_PER_S, selectors.EVENT_WRITE, self._writable)
        self.unsent.add(connection, connection.address, unsent_bytes)
        while self.unsent.weight > MAX_UNSENT_BYTES and (longest := self.unsent.most_dispensable()) is not None:
            self._forget(longest)

    def _watch(self, connection: Connection, seconds: float, event: int, react: Callable[[Connection], None]) -> None:
        connection.sock.setblocking(False)
        self.resting[connection] = time.monotonic() + seconds
        self.crowd.add(connection, connection.address)
        self.poller.register(connection.sock, event, lambda _client: react(connection))

    def _readable(self, connection: Connection) -> None:
        if connection not in self.resting:
            return  # closed by an earlier event of the same poll
        try:
            data = connection.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end_of_input(connection)
        elif connection.is_closing:
            self._discard(connection, data)
        else:
            self._take(connection, data)

    def _take(self, connection: Connection, data: bytes) -> None:
        state_before = bool(connection.received), connection.wanted_bytes
        if connection.take(data):
            self._wake(connection)
            self._dispatch(connection)
        elif state_before != (True, connection.wanted_bytes):  # the header has just begun, or the body has
            self.resting[connection] = time.monotonic() + HEADER_S

    def _end_of_input(self, connection: Connection) -> None:
        if connection.wanted_bytes is None or connection.is_closing:
            self._forget(connection)
        else:  # the client may still read the answer that its body is incomplete
            self._wake(connection)
            self._dispatch(connection)

    def _writable(self, connection: Connection) -> None:
        if connection not in self.resting:
            return
        try:
            if connection.sock.send_unsent():
                self._wake(connection)
                self._go_on(connection)
        except OSError:
            self._forget(connection)

    def _dispatch(self, connection: Connection) -> None:
        connection.hand_over()
        if not self.turns.request(connection, connection.address):
            self.crowd.add(connection, connection.address)

    def _begin(self, connection: Connection) -> None:
        """Give a connection a thread. Also called from other threads, when they end a turn."""
        with suppress(RuntimeError):  # the worker is shutting down and takes no more requests
            self.enqueue_req(connection)

    def _linger(self, connection: Connection) -> None:
        """Shut down sending and wait for the client to close: a reset could destroy the answer (RFC 9112 9.6)."""
        connection.sock.shutdown(socket.SHUT_WR)
        connection.is_closing = True
        connection.received.clear()
        self._rest(connection, LINGER_S)

    def _discard(self, connection: Connection, data: bytes) -> None:
        connection.discarded += len(data)
        if connection.discarded > MAX_DISCARDED_BYTES:
            self._forget(connection)

    def _evict(self) -> bool:
        """Close the most dispensable connection; returns False if there is none."""
        while (connection := self.crowd.most_dispensable()) is not None:
            if connection in self.resting or self.turns.withdraw(connection, connection.address):
                self._dismiss(connection, TOO_MANY)
                return True
            self.crowd.remove(connection)  # it has already begun
        return False

    def _dismiss(self, connection: Connection, problem: tuple[int, str, str]) -> None:
        """Close a connection; send `problem` first if a request has begun to arrive and no answer is being sent."""
        if connection.received and not connection.sock.unsent:
            _tell(connection.sock, *problem)
        self._forget(connection)

    def _wake(self, connection: Connection) -> None:
        self.crowd.remove(connection)
        self.unsent.remove(connection)
        if self.resting.pop(connection, None) is not None:
            self.poller.unregister(connection.sock)

    def _forget(self, connection: Connection) -> None:
        self._wake(connection)
        self.nr_conns -= 1
        if connection.sock.unsent:  # reset it, so that the kernel does not keep trying to send the rest
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
        except Exception as error:  # noqa: BLE001 - the outermost code before the thread pool; handle_error logs it
            self.handle_error(request, connection.sock, connection.client, error)
        return False

    def _keepalive_after(self, connection: Connection, keepalive: bool) -> bool:
        # An unread body of a refused request must not block the thread, and must not be read as the next request.
        return keepalive and bool(connection.parser.finish_body(deadline=time.monotonic() + UNREAD_S))

    def handle_error(self, request: Any, client: ClientSocket, address: Any, error: Exception) -> None:
        """Answer a request that did not reach the application with a problem. Never logs the request line."""
        refusal = REFUSALS.get(type(error))
        if refusal is None and isinstance(error, errors.ParseException):
            refusal = BAD_REQUEST
        if refusal is None:
            log.error("request failed", exc_info=error)
            refusal = (500, "internal", "Nebula made a mistake; its journal has the details.")
        else:
            log.info("request refused code=%s", refusal[1])
        _tell(client, *refusal)


def _tell(client: ClientSocket, status: int, code: str, detail: str) -> None:
    """Send a problem with `Connection: close`. Errors of the socket are only logged."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        client.sendall(head.encode() + body)
    except OSError:
        log.debug("a problem could not be sent code=%s", code)
