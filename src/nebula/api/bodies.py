"""Request bodies that a service streams: one that broke off is never mistaken for one that ended."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import falcon

from nebula.api.requests import body_stream
from nebula.domain.checksums import Checksum
from nebula.domain.streams import ByteSource
from nebula.errors import InvalidInput
from nebula.services.receiving import Body


def incoming(req: falcon.Request, checksum: Checksum | None, may_continue: Callable[[], bool]) -> Body:
    """Return the request's body."""
    stream, length = body_stream(req)
    connection: socket.socket | None = req.env.get("gunicorn.socket")

    def interrupt() -> None:
        with suppress(OSError):
            if connection is not None:
                connection.shutdown(socket.SHUT_RD)

    return Body(_Whole(stream), length, checksum, may_continue, interrupt)


class _Whole:
    """A stream that fails again once it failed: after a torn chunk gunicorn's answers as if the body had ended."""

    def __init__(self, stream: ByteSource) -> None:
        self._stream = stream
        self._failed: Exception | None = None

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" only at the body's own end."""
        if self._failed is not None:
            raise self._failed
        try:
            return self._stream.read(size)
        except OSError as error:
            self._failed = error
            raise
        except Exception as error:
            # gunicorn's errors of a chunk that is none; they have no common base that says so.
            self._failed = InvalidInput("The body's chunks are broken off or malformed.", code="incomplete_body")
            raise self._failed from error
