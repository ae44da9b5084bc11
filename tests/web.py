"""A web server of a test's own: files with ranges, and connections that break off where the test says."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Web:
    """What the server serves, and what it was asked for."""

    folder: Path
    base_url: str = ""
    breaks_at: int | None = None  # no body goes beyond this byte of the file
    breaks_once: bool = False  # only the first body that would
    status: int | None = None  # answer this to everything
    location: str = ""  # and point there
    asked: list[str] = field(default_factory=list)

    def url(self, path: Path) -> str:
        """Return a URL as a store presigns it."""
        return f"{self.base_url}/{path.name}?X-Amz-Signature=secret"


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    """Serve a folder on a port of its own."""
    web = Web(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.asked.append(self.path)
            _answer(self, web)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    web.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, web: Web) -> None:
    path = web.folder / handler.path.partition("?")[0].lstrip("/")
    if web.status is not None or not path.is_file():
        handler.send_response(web.status or 404)
        if web.location:
            handler.send_header("Location", web.location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    data = path.read_bytes()
    start, end = _span(handler.headers.get("Range", ""), len(data))
    handler.send_response(206)
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
    handler.send_header("Content-Length", str(end - start))
    handler.end_headers()
    stop = end if web.breaks_at is None else min(end, web.breaks_at)
    try:
        handler.wfile.write(data[start:stop])
    except OSError:
        stop = end  # the client left first
    if stop < end:
        web.breaks_at = None if web.breaks_once else web.breaks_at
        handler.close_connection = True


def _span(header: str, size: int) -> tuple[int, int]:
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", header)
    if not found:
        return 0, size
    return int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
