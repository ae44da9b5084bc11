"""Request bodies: the only code that reads them, and the time limits of small ones.

A body that stalls raises StalledBody (408). A body that breaks off or is malformed raises IncompleteBody (400). After a
body has failed, each later read fails too: after a torn chunk, gunicorn's stream would say that the body ended there.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import falcon
from gunicorn.http.errors import ParseException

from nebula.domain.checksums import Checksum
from nebula.domain.limits import BODIES, SMALL_BODY_S
from nebula.errors import IncompleteBody, NebulaError, StalledBody, TooLarge
from nebula.services.uploads.receiving import IncomingBody

READ_SIZE = 16 * 1024
# If more than BODIES bodies are being received, those that have taken longer than this are interrupted.
CROWDED_S = 0.5


class RequestBody:
    """The body of a request, with an announced length or chunked."""

    def __init__(self, req: falcon.Request) -> None:
        chunked = req.content_length is None and bool(req.env.get("wsgi.input_terminated"))
        self.length = None if chunked else req.content_length or 0  # None: chunked, the stream ends by itself
        # Not Falcon's `bounded_stream`: it is empty for chunked bodies, and counts what it failed to read.
        self._stream = req.stream
        self._socket: socket.socket | None = req.env.get("gunicorn.socket")
        self._received = 0
        self._error: NebulaError | None = None

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, or b"" if the body is complete. Raises StalledBody, IncompleteBody.

        If the body fails, the bytes that came before the failure are returned first; the next read raises.
        """
        if self.length is not None:
            size = min(size, self.length - self._received)
        self.check()
        piece = self._read(size) if size else b""
        self._received += len(piece)
        if not piece and self.length is not None and self._received < self.length:
            self._fail(IncompleteBody("The body ended before its announced length."))
        if not piece:
            self.check()
        return piece

    def read_whole(self, most: int) -> bytes:
        """Return the whole body. Raises TooLarge as soon as it exceeds `most` bytes."""
        received = bytearray()
        while (self.length or 0) <= most and len(received) <= most:
            piece = self.read(READ_SIZE)
            if not piece:
                return bytes(received)
            received += piece
        raise TooLarge(f"A JSON body may have {most} bytes at most.", code="body_too_large")

    def check(self) -> None:
        """Raise the error that the body has failed with, if it has failed."""
        if self._error is not None:
            raise self._error

    def interrupt(self, error: NebulaError | None = None) -> None:
        """End a blocked read from another thread; the read then raises `error`."""
        if error is not None:
            self._fail(error)
        with suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RD)

    def _read(self, size: int) -> bytes:
        try:
            return bytes(self._stream.read(size))
        except TimeoutError:
            self._fail(StalledBody("The request's body stopped coming; send it again."))
        except OSError:
            self._fail(IncompleteBody("The connection broke before the body was complete."))
        except ParseException:
            self._fail(IncompleteBody("The body's chunks are malformed."))
        return self._rest(size)

    def _rest(self, size: int) -> bytes:
        """Return the bytes that gunicorn had buffered when the body failed; stop receiving more from the socket."""
        self.interrupt()
        try:
            return bytes(self._stream.read(size))
        except (OSError, ParseException):
            return b""

    def _fail(self, error: NebulaError) -> None:
        self._error = self._error or error


class SmallBodies:
    """The small bodies that are being received. Each must arrive completely within SMALL_BODY_S.

    Their number is not limited, so that no client is refused because others are slow. If there are more than BODIES,
    each has only CROWDED_S, so the slowest are interrupted: a client that sends its body with the head is not affected.
    """

    def __init__(self) -> None:
        self._waiting: dict[RequestBody, float] = {}  # the time at which each began, the oldest first
        self._changed = threading.Condition()
        self._watch: threading.Thread | None = None
        self._is_closed = False

    @property
    def inside(self) -> int:
        """Return how many bodies are being received."""
        return len(self._waiting)

    def read(self, body: RequestBody, most: int) -> bytes:
        """Return a body of at most `most` bytes. Raises StalledBody, IncompleteBody, TooLarge."""
        with self._waited_for(body):
            content = body.read_whole(most)
        body.check()  # it may have been interrupted just after the last read
        return content

    def close(self) -> None:
        """End the thread that watches the time limits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @contextmanager
    def _waited_for(self, body: RequestBody) -> Iterator[None]:
        with self._changed:
            self._waiting[body] = time.monotonic()
            if self._watch is None:
                self._watch = threading.Thread(target=self._watch_time, name="small-bodies", daemon=True)
                self._watch.start()
            if len(self._waiting) in (1, BODIES + 1):  # otherwise the time of the thread's next check stays the same
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._waiting.pop(body, None)

    def _watch_time(self) -> None:
        with self._changed:
            while not self._is_closed:
                self._changed.wait(self._until_next())

    def _until_next(self) -> float | None:
        """Interrupt the bodies whose time is over; return the seconds until the next deadline, if there is one."""
        now = time.monotonic()
        for body, since in list(self._waiting.items()):
            allowed_s = CROWDED_S if len(self._waiting) > BODIES else SMALL_BODY_S
            if since + allowed_s > now:
                return since + allowed_s - now
            del self._waiting[body]
            body.interrupt(StalledBody("The request's body took too long to arrive; send it again."))
        return None


def incoming(req: falcon.Request, checksum: Checksum | None, may_continue: Callable[[], bool]) -> IncomingBody:
    """Return the body of the request in the form that the services take."""
    body = RequestBody(req)
    return IncomingBody(body, body.length, checksum, may_continue, body.interrupt)
