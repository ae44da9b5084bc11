"""Delivery: answer GET and HEAD with a representation, and send its body straight to the client's socket.

domain/ranges.py decides what is sent. If a body has begun and cannot be completed, the connection is reset, so that the
client notices. Uploaded bytes must not attack the page that shows them: anything that a browser could run is sent as a
download, and everything has a Content-Security-Policy of `sandbox`.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol
from urllib.parse import quote

import falcon

from nebula.api.client_socket import ClientSocket
from nebula.api.errors import write_problem
from nebula.api.gates import Gate, Place, Transfer
from nebula.api.requests import principal
from nebula.api.transfers import client_of, download
from nebula.api.viewers import Viewers
from nebula.api.wire import Wire, Withdrawn
from nebula.domain.limits import CHECK_S, STALL_S
from nebula.domain.names import last_segment
from nebula.domain.preconditions import Validators, format_date
from nebula.domain.ranges import ByteRange, Frame, RangeResponse, decide, frame
from nebula.errors import NebulaError, PreconditionFailed
from nebula.services.playback import Representation
from nebula.storage.contract import ObjectReader, ObjectStorage

log = logging.getLogger(__name__)

BUFFER_BYTES = 256 * 1024
OWN = "own"  # the group of an account's own downloads, in contrast to its links
CONDITIONS = ("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
UNKNOWN_TYPE = "application/octet-stream"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:[ ]*;[ ]*{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*')


class Delivery:
    """Answers GET and HEAD requests for any representation."""

    def __init__(
        self,
        storage: ObjectStorage,
        gate: Gate,
        viewers: Viewers,
        *,
        stall_s: float = STALL_S,
        check_s: float = CHECK_S,
    ) -> None:
        self._storage = storage
        self._gate = gate
        self._viewers = viewers
        self._stall_s = stall_s
        self._check_s = check_s
        # Checks whether a body may go on. The sender must not wait for a database that does not answer.
        self._asking = ThreadPoolExecutor(2, thread_name_prefix="asking")

    def close(self) -> None:
        """End the threads."""
        self._asking.shutdown(cancel_futures=True)

    def answer(self, req: falcon.Request, resp: falcon.Response, representation: Representation) -> None:
        """Fill `resp`. Raises PreconditionFailed, Busy, ObjectNotFound or StoreUnavailable before any byte is sent."""
        conditions = {name: value for name in CONDITIONS if (value := req.get_header(name)) is not None}
        validators = Validators(representation.etag, representation.modified_at)
        decision = decide(req.method, conditions, validators, representation.size_bytes)
        if decision.status == 412:
            raise PreconditionFailed("The bytes are not the ones that the condition names.")
        if decision.status == 416:
            _refuse_range(resp, decision)
            return
        resp.status = decision.status
        resp.set_headers(_headers(representation))
        if decision.status != 304:
            self._write_body(req, resp, representation, decision)

    def _write_body(
        self, req: falcon.Request, resp: falcon.Response, representation: Representation, decision: RangeResponse
    ) -> None:
        media_type = checked_media_type(representation.media_type)
        body_frame = frame(decision, media_type)
        resp.content_type = body_frame.media_type
        resp.set_header("Content-Disposition", disposition(representation.name, media_type))
        if decision.content_range is not None:
            resp.set_header("Content-Range", decision.content_range)
        if req.method == "HEAD":
            resp.content_length = body_frame.length
        else:
            resp.set_stream(self._body(req, representation, body_frame), body_frame.length)

    def _body(self, req: falcon.Request, representation: Representation, laid: Frame) -> ResponseBody:
        client = client_of(req)
        body = ResponseBody(laid, _Source(self._storage, representation), self._gate, self._viewers)
        try:
            groups = representation.link or (principal(req).account_id, OWN)
            body.open(download(req, groups, body.viewer))
        except BaseException:
            body.close()
            raise
        if client is not None:
            body.unsent = client.take_unsent
            body.connect = lambda moved: self._wire(client, representation, moved)
        return body

    def _wire(self, client: ClientSocket, representation: Representation, moved: Callable[[int], None]) -> Wire:
        ask = partial(self._asking.submit, representation.may_continue)
        return Wire(client, ask, moved, stall_s=self._stall_s, check_s=self._check_s)


class ResponseBody:
    """A response body for WSGI: iterated once, always closed. It has a place in the streams' gate until then."""

    def __init__(self, laid: Frame, source: _Source, gate: Gate, viewers: Viewers) -> None:
        self._laid = laid
        self._source = source
        self._gate = gate
        self._viewers = viewers
        self._place: Place | None = None
        self._first: ObjectReader | None = None
        self._is_open = True
        self.viewer = viewers.enter(source.media_type)
        # Makes the wire to the client after the headers are sent; None if there is no socket to write to.
        self.connect: Callable[[Callable[[int], None]], Wire] | None = None
        # Returns the bytes to send before the body: headers that the kernel did not take at once.
        self.unsent: Callable[[], bytes] = bytes

    def open(self, transfer: Transfer) -> None:
        """Take a place, and open the first byte range now, so that a store that is down gives an error answer."""
        self._place = self._gate.enter(transfer)
        for piece in self._laid.pieces:
            if isinstance(piece, ByteRange) and piece.length:
                self._first = self._source.open(piece)
                return

    def __iter__(self) -> Iterator[bytes]:
        if self.connect is None:
            yield from self._read()
            return
        yield b""  # gunicorn sends the headers with the first item; the body does not go through gunicorn
        self._send(self.connect(self.viewer.moved))

    def close(self) -> None:
        """Close the object and give the place back. May be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        if self._first is not None:
            self._first.close()
        self._viewers.leave(self.viewer)
        if self._place is not None:
            self._gate.leave(self._place)

    def __del__(self) -> None:
        # The server never closes an answer that an error replaces before it starts.
        self.close()

    def _send(self, wire: Wire) -> None:
        complete = False
        try:
            wire.send(memoryview(self.unsent()))
            buffer = memoryview(bytearray(BUFFER_BYTES))
            for piece in self._laid.pieces:
                if isinstance(piece, ByteRange):
                    self._send_range(wire, piece, buffer)
                else:
                    wire.send(memoryview(piece))
            complete = True
        except (OSError, NebulaError) as error:
            _log_end(self._source, error)
            # The only error that gunicorn takes to mean that the client left.
            raise ConnectionResetError(errno.ECONNRESET, "body ended early") from error
        finally:
            (wire.release if complete else wire.abort)()

    def _send_range(self, wire: Wire, byte_range: ByteRange, buffer: memoryview) -> None:
        reader = self._reader(byte_range)
        if reader is None:
            return
        try:
            descriptor = reader.fileno()
            if descriptor is not None:
                wire.send_file(descriptor, reader.offset, byte_range.length)
                return
            for data in _pieces(reader, byte_range.length, buffer):
                wire.send(data)
        finally:
            reader.close()

    def _read(self) -> Iterator[bytes]:
        buffer = memoryview(bytearray(BUFFER_BYTES))
        for piece in self._laid.pieces:
            if not isinstance(piece, ByteRange):
                yield piece
                continue
            reader = self._reader(piece)
            if reader is not None:
                for data in _pieces(reader, piece.length, buffer):
                    yield bytes(data)
                reader.close()

    def _reader(self, byte_range: ByteRange) -> ObjectReader | None:
        if not byte_range.length:
            return None
        reader, self._first = self._first or self._source.open(byte_range), None
        return reader


class _Source:
    """The object whose byte ranges make up a body."""

    def __init__(self, storage: ObjectStorage, representation: Representation) -> None:
        self._storage = storage
        self.key = representation.object_key
        self.media_type = representation.media_type

    def open(self, byte_range: ByteRange) -> ObjectReader:
        return self._storage.open(self.key, byte_range.start, byte_range.length)


def checked_media_type(media_type: str) -> str:
    """Return the media type if it is valid in a header, else UNKNOWN_TYPE: clients announce invalid ones, too."""
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else UNKNOWN_TYPE


def disposition(name: str, media_type: str) -> str:
    """Return a Content-Disposition (RFC 6266): inline for audio, video and images, otherwise a download."""
    base = last_segment(name)
    plain = "".join(character if " " <= character <= "~" and character not in '"\\%' else "_" for character in base)
    encoded = quote(base, safe="!#$&+^`|~")  # the characters of RFC 8187's attr-char that `quote` would encode
    kind = "inline" if _is_harmless(media_type) else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _is_harmless(media_type: str) -> bool:
    kind, _, subtype = media_type.partition(";")[0].strip().lower().partition("/")
    # An SVG is a document that may have scripts, and so may be any other XML.
    return kind in {"audio", "video", "image"} and "svg" not in subtype and "xml" not in subtype


def _headers(representation: Representation) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "ETag": representation.etag,
        "Last-Modified": format_date(representation.modified_at),
        # Only the browser may store it, and it must ask each time: revoked access ends there too.
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Referrer-Policy": "no-referrer",
    }


def _refuse_range(resp: falcon.Response, decision: RangeResponse) -> None:
    write_problem(
        resp, 416, "range_not_satisfiable", f"The range lies outside of the {decision.size_bytes} bytes that there are."
    )
    resp.set_header("Content-Range", decision.content_range or "")
    resp.set_header("Accept-Ranges", "bytes")


class _Filling(Protocol):
    def readinto(self, buffer: memoryview) -> int: ...


def _pieces(reader: _Filling, length: int, buffer: memoryview) -> Iterator[memoryview]:
    """Yield `length` bytes piece by piece, all in the same buffer. Raises OSError if the store gives too few."""
    left_bytes = length
    while left_bytes:
        count = reader.readinto(buffer[: min(left_bytes, len(buffer))])
        if count == 0:
            raise OSError(f"the object ended {left_bytes} bytes early")
        left_bytes -= count
        yield buffer[:count]


def _log_end(source: _Source, error: OSError | NebulaError) -> None:
    # Players often drop a connection in the middle of a body, so that is not logged.
    if isinstance(error, Withdrawn):
        log.info("body withdrawn key=%s", source.key)
    elif isinstance(error, TimeoutError):
        log.info("body stalled key=%s", source.key)
    elif not isinstance(error, ConnectionError):
        log.warning("body failed key=%s error=%s", source.key, error)
