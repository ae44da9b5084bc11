"""Finds out whether a source can be read in pieces, by a seek to near its end whose reads are counted.

For every seek, ffmpeg reads Matroska without cues, and FLV and AVI without an index, from the start, and fragmented MP4
without sidx in hundreds of requests. Nothing in the container tells this in advance. So ffmpeg reads the source through
a small server on this machine, which counts the reads and cuts ffmpeg off if they are too many.
"""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nebula.domain.media import MediaFacts
from nebula.errors import FfmpegFailed
from nebula.media.ffmpeg.arguments import QUIET
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import DEMUXERS, TIMEOUT_S, SourceBytes

MIB = 1 << 20
MAX_READ_BYTES = 32 * MIB
MAX_REQUESTS = 32
PLACE = 0.9  # where the seek goes, as a fraction of the film
LANDING_SLACK_S = 1.0
BLOCK_BYTES = 256 << 10
RW_TIMEOUT = str(2 * TIMEOUT_S * 1_000_000)  # longer than the store's own


def reads_in_pieces(
    source: str,
    facts: MediaFacts,
    *,
    max_read_bytes: int = MAX_READ_BYTES,
    max_requests: int = MAX_REQUESTS,
    control: Control = FREE,
) -> bool:
    """Return whether reading a chunk costs no more than the chunk's share of the source.

    If not, and the source is a URL, copy it once and make the chunks from the copy: reading a local disk again is
    cheap. Returns False if it cannot be found out. Raises Stopped.
    """
    if not facts.moving:
        return False
    video = facts.moving[0]
    target_s = (video.packets.starts_s or 0.0) - facts.start_s + PLACE * video.packets.span_s
    try:
        with _counting(SourceBytes(source), max_read_bytes, max_requests) as counted:
            landed_s = _land(counted.url, video.index, target_s, control)
    except FfmpegFailed:
        return False
    most_back_s = video.packets.key_interval_s + video.packets.longest_gap_s + LANDING_SLACK_S
    is_near = landed_s is not None and -most_back_s <= landed_s <= LANDING_SLACK_S
    return is_near and not counted.is_over


def _land(url: str, index: int, target_s: float, control: Control) -> float | None:
    """Seek to the target; return how far from it the key frame is that the seek finds, None if it finds none."""
    landed: list[float] = []

    def take(line: str) -> bool:
        # "#tb 0: 1/1000" comes first, then "0, dts, pts, duration, size, hash". AVI has no pts.
        if line.startswith("#tb 0:"):
            ticks, _, per_second = line.removeprefix("#tb 0:").strip().partition("/")
            landed.append(int(ticks) / int(per_second))
        elif landed and (match := re.match(r"0, *(-?\d+),", line)):
            landed[0] *= int(match[1])
            landed.append(landed[0])
        return True

    tools = control.tools
    argv = [
        *(tools.ffmpeg, *QUIET, "-ss", f"{max(0.0, target_s):.6f}"),
        # Without the options that make ffmpeg try again: being cut off is the answer here.
        *("-protocol_whitelist", "http,tcp", "-format_whitelist", DEMUXERS, "-rw_timeout", RW_TIMEOUT, "-i", url),
        *("-map", f"0:{index}", "-c", "copy", "-copypriorss", "1", "-frames:v", "1", "-f", "framecrc", "-"),
    ]
    bounds = Bounds(memory_bytes=tools.probe_memory_bytes, stall_s=tools.stall_s)
    run(argv, source=url, on_line=take, bounds=bounds, control=control)
    return landed[1] if len(landed) == 2 else None


@dataclass
class _Counted:
    """What ffmpeg has read so far, and how much it may read."""

    contents: SourceBytes
    max_read_bytes: int
    max_requests: int
    url: str = ""
    read_bytes: int = 0
    requests: int = 0

    @property
    def is_over(self) -> bool:
        return self.read_bytes > self.max_read_bytes or self.requests > self.max_requests


@contextmanager
def _counting(contents: SourceBytes, max_read_bytes: int, max_requests: int) -> Iterator[_Counted]:
    """Serve the source on a port of this machine, under a secret path."""
    counted = _Counted(contents, max_read_bytes, max_requests)
    path = f"/{secrets.token_urlsafe(24)}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, counted, path)

        def log_message(self, format: str, *arguments: object) -> None:
            """Write nothing: standard error is the worker's journal."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Write nothing either: ffmpeg or the store closed the connection, and ffmpeg's failure shows it."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        counted.url = f"http://127.0.0.1:{server.server_address[1]}{path}"
        try:
            yield counted
        finally:
            server.shutdown()
            thread.join()


def _answer(handler: BaseHTTPRequestHandler, counted: _Counted, path: str) -> None:
    counted.requests += 1
    size_bytes = counted.contents.size_bytes
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", "bytes=0-"))
    start = int(match[1]) if match else 0
    handler.close_connection = True
    if handler.path != path or counted.is_over or start >= size_bytes:
        # Answer with a status; after a network error ffmpeg would try again.
        handler.send_response(416 if start >= size_bytes else 404)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    end = min(size_bytes, int(match[2]) + 1) if match and match[2] else size_bytes
    # A small buffer, because bytes that lie unread in the socket are counted too.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOCK_BYTES)
    handler.send_response(206)
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{size_bytes}")
    handler.send_header("Content-Length", str(end - start))
    handler.end_headers()
    while start < end and not counted.is_over:
        block = counted.contents.read(start, min(BLOCK_BYTES, end - start))
        handler.wfile.write(block)
        start += len(block)
        counted.read_bytes += len(block)
