"""The connection of one client, with the bytes of its next request that have arrived so far."""

from __future__ import annotations

import re
import socket
from typing import Any

from gunicorn.http import errors, get_parser
from gunicorn.workers.gthread import TConn

from nebula.api.client_socket import ClientSocket

MAX_HEADER_BYTES = 64 * 1024
MAX_COLLECTED_BYTES = 64 * 1024

# The end of a header, or a line that ends without a carriage return, which gunicorn refuses at once.
_HEADER_END = re.compile(rb"\r\n\r\n|[^\r]\n|\A\n")
_JSON = re.compile(rb"\r\ncontent-type:[ \t]*application/json", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,5})[ \t]*\r\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_FORWARDED_FOR = re.compile(rb"\r\nx-forwarded-for:([^\r\n]{1,200})\r\n", re.IGNORECASE)


class Connection(TConn):  # type: ignore[misc]
    """A client's connection.

    The connection counts against the share of its `address`. Only root can open the unix socket. For a connection
    through it, the address is the one that `tailscale serve` names in the latest request. It is the empty string before
    the first request and if the request names none.
    """

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, ClientSocket(sock), client, server)
        self._is_forwarded = self.sock.family == socket.AF_UNIX
        self.address: str = "" if self._is_forwarded else client[0]
        self.initialized = True
        self.parser = get_parser(cfg, self.sock, client)
        self.received = bytearray()
        self.wanted_bytes: int | None = None  # length of the complete request; None before the end of its header
        self.refusal: Exception | None = None
        self.is_kept = False  # kept open after the current answer
        self.is_closing = False
        self.discarded = 0

    def take(self, data: bytes) -> bool:
        """Add bytes; returns True if a thread can start: the header and a small JSON body are whole, or refused."""
        search_start = max(0, len(self.received) - 3)
        self.received += data
        if self.wanted_bytes is None:
            end = _HEADER_END.search(self.received, search_start)
            if end is not None:
                self.wanted_bytes = end.end() + _collected_bytes(bytes(self.received[: end.end()]))
            elif len(self.received) > MAX_HEADER_BYTES:
                self.refusal = errors.LimitRequestHeaders("header too large")
        if self.wanted_bytes is not None:
            return len(self.received) >= self.wanted_bytes
        return self.refusal is not None

    def hand_over(self) -> None:
        """Give the received bytes to the parser, and prepare the socket for use in a thread."""
        if self._is_forwarded:
            self.address = _forwarded_for(bytes(self.received[: self.wanted_bytes]))
        self.parser.unreader.unread(bytes(self.received))
        self.received.clear()
        self.wanted_bytes = None
        self.sock.begin_request(self.address)

    def take_back(self) -> bool:
        """Take back what the parser read beyond the last request; return whether a thread can take the next one."""
        self.sock.setblocking(False)
        ahead = self.parser.unreader.take_buffered()
        return bool(ahead) and self.take(ahead)


def _collected_bytes(header: bytes) -> int:
    """Return how many bytes of the body to collect before a thread starts: all of a small JSON body, otherwise 0.

    This only decides when to start. gunicorn decides what the header means and whether it is valid.
    """
    length = _LENGTH.search(header)
    if length is None or not _JSON.search(header) or _EXPECT.search(header):
        return 0
    size = int(length[1])
    return size if size <= MAX_COLLECTED_BYTES else 0


def _forwarded_for(header: bytes) -> str:
    """Return the client that the nearest proxy names (X-Forwarded-For), or the empty string."""
    match = _FORWARDED_FOR.search(header)
    return "" if match is None else match[1].rpartition(b",")[2].strip().decode("ascii", "replace")
