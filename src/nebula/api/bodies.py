"""Request bodies: the one reader of them, and the room in which small ones are waited for.

A body that stalls is StalledBody (408). One that breaks off or is malformed is IncompleteBody (400). Once a body has
failed it fails again at each read: after a torn chunk, gunicorn's stream answers as if the body had ended there.
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
from nebula.services.uploads.receiving import Body

READ_SIZE = 16 * 1024
# A body that takes longer than this to arrive gives way if more than BODIES are waited for.
CROWDED_S = 0.5


class RequestBody:
    """The bytes that follow a request's head, whether their length is announced or they come in chunks."""

    def __init__(self, req: falcon.Request) -> None:
        chunked = req.content_length is None and bool(req.env.get("wsgi.input_terminated"))
        self.length = None if chunked else req.content_length or 0  # None: chunked, the stream ends by itself
        # Not Falcon's `bounded_stream`: it is empty for chunked bodies, and counts what it failed to read.
        self._stream = req.stream
        self._socket: socket.socket | None = req.env.get("gunicorn.socket")
        self._received = 0
        self._error: NebulaError | None = None

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the body's own end. Raises StalledBody, IncompleteBody.

        What came before a failure is returned first; the next read raises.
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
        """Return all bytes of a body of at most `most`. Raises TooLarge as soon as there are more."""
        received = bytearray()
        while (self.length or 0) <= most and len(received) <= most:
            piece = self.read(READ_SIZE)
            if not piece:
                return bytes(received)
            received += piece
        raise TooLarge(f"A JSON body may have {most} bytes at most.", code="body_too_large")

    def check(self) -> None:
        """Raise what the body has failed with, if it has."""
        if self._error is not None:
            raise self._error

    def interrupt(self, error: NebulaError | None = None) -> None:
        """Make a blocked read end, from another thread; `error` is what it then fails with."""
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
        """Return what gunicorn had received when the body failed: it keeps that, and asks the socket no more."""
        self.interrupt()
        try:
            return bytes(self._stream.read(size))
        except (OSError, ParseException):
            return b""

    def _fail(self, error: NebulaError) -> None:
        self._error = self._error or error


class SmallBodies:
    """The small bodies that are being waited for. None may take longer than SMALL_BODY_S in all to arrive.

    There is no limit to their number, so that nobody is refused because others are slow. If there are more than
    BODIES, those that have taken longest give way: a client that sends its body with the head needs no time here.
    """

    def __init__(self) -> None:
        self._waiting: dict[RequestBody, float] = {}  # since when, the longest first
        self._changed = threading.Condition()
        self._watch: threading.Thread | None = None
        self._is_closed = False

    @property
    def inside(self) -> int:
        """How many are being waited for."""
        return len(self._waiting)

    def read(self, body: RequestBody, most: int) -> bytes:
        """Return a body of at most `most` bytes. Raises StalledBody, IncompleteBody, TooLarge."""
        with self._waited_for(body):
            content = body.read_whole(most)
        body.check()  # it may have been interrupted at its very end
        return content

    def close(self) -> None:
        """End the thread that watches the time."""
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
            if len(self._waiting) in (1, BODIES + 1):  # otherwise the thread's next moment stays as it is
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
        """Interrupt those whose time is over; return the seconds until the next one's is."""
        now = time.monotonic()
        for body, since in list(self._waiting.items()):
            allowed_s = CROWDED_S if len(self._waiting) > BODIES else SMALL_BODY_S
            if since + allowed_s > now:
                return since + allowed_s - now
            del self._waiting[body]
            body.interrupt(StalledBody("The request's body took too long to arrive; send it again."))
        return None


def incoming(req: falcon.Request, checksum: Checksum | None, may_continue: Callable[[], bool]) -> Body:
    """Return the request's body as the services take it in."""
    body = RequestBody(req)
    return Body(body, body.length, checksum, may_continue, body.interrupt)
