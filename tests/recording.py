"""A tiny HTTP server of a test's own: it answers from a table, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Said:
    """One answer. A str or bytes body is sent as it is, anything else as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Responder = Said | dict[str, Any] | Callable[[Asked], "Said | dict[str, Any]"]


def problem(status: int, code: str, detail: str = "It did not work.", **headers: str) -> Said:
    """Return a problem as the gateway says it."""
    kind = {"Content-Type": "application/problem+json"}
    return Said(status, {"status": status, "code": code, "detail": detail}, kind | headers)


class Recording:
    """The server. `answers` maps "GET /path" to what is said; everything else gets `otherwise`, a 404 unless set."""

    def __init__(self) -> None:
        self.answers: dict[str, Responder] = {}
        self.otherwise: Responder = problem(404, "not_found", "There is no such thing.")
        self.asked: list[Asked] = []
        recording = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_words: object) -> None:
                """Stay silent."""

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def answer(self) -> None:
                said = recording.said(self._asked())
                raw = said.body if isinstance(said.body, bytes) else _bytes(said.body)
                self.send_response(said.status)
                for name, value in ({"Content-Type": "application/json"} | dict(said.headers)).items():
                    self.send_header(name, value)
                if said.status not in {204, 304} and "Content-Length" not in said.headers:
                    self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                if self.command != "HEAD" and said.status not in {204, 304}:
                    self.wfile.write(raw)

            do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

            def _asked(self) -> Asked:
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                return Asked(self.command, parts.path, query, dict(self.headers), body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def said(self, asked: Asked) -> Said:
        self.asked.append(asked)
        responder = self.answers.get(f"{asked.method} {asked.path}", self.otherwise)
        said = responder(asked) if callable(responder) else responder
        return said if isinstance(said, Said) else Said(200, said)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def changes(self) -> list[str]:
        """What was asked for beyond reading."""
        return [f"{asked.method} {asked.path}" for asked in self.asked if asked.method not in {"GET", "HEAD"}]


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
