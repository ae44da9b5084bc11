"""What the client's tests share: a signed-in state directory, and command lines run in this process."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nebula_cli import main
from tests.recording import Recording

V1 = "/api/v1"
FILE_ID = "11111111-2222-4333-8444-555555555555"
OTHER_ID = "66666666-7777-4888-8999-aaaaaaaaaaaa"
JOB_ID = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """Runs `nebula` in this process, against a recording server."""

    def __init__(self, capfd: pytest.CaptureFixture[str], server: Recording, state: Path) -> None:
        self._capfd, self.server, self.state = capfd, server, state

    def __call__(self, *words: str) -> Ran:
        self._capfd.readouterr()
        code = main.main(list(words))
        out, err = self._capfd.readouterr()
        return Ran(code, out, err)

    @property
    def credentials(self) -> Path:
        return self.state / "credentials.json"

    def sign_in(self, *, url: str = "", access: str = "access-1", expires_in: float = 600) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        session = {
            "username": "ana",
            "session_id": OTHER_ID,
            "access_token": access,
            "access_expires_at": time.time() + expires_in,
            "refresh_token": "refresh-1",
        }
        self.credentials.touch(mode=0o600)
        url = url or self.server.url
        self.credentials.write_text(json.dumps({"server": url, "sessions": {url: session}}))

    def kept(self) -> dict[str, Any]:
        sessions: dict[str, Any] = json.loads(self.credentials.read_text())["sessions"]
        return sessions


def file(name: str, file_id: str = FILE_ID, **more: Any) -> dict[str, Any]:
    """Return a file as the API shows it."""
    return {
        "id": file_id,
        "name": name,
        "size_bytes": 2048,
        "sha256": "ab" * 32,
        "media_type": "video/mp4",
        "state": "ready",
        "visibility": "household",
        "account": "ana",
        "created_at": "2026-01-01T00:00:00.000Z",
        "deleted_at": None,
        "duration_s": 95.0,
        "width": 1920,
        "height": 1080,
        "renditions": [],
        "jobs": [],
    } | more


def job(job_id: str = JOB_ID, **more: Any) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return {
        "id": job_id,
        "file_id": FILE_ID,
        "kind": "rendition",
        "state": "running",
        "progress": 0.42,
        "speed": 3.2,
        "eta_s": 65.0,
        "node": "laptop",
        "attempt": 1,
        "plan": "encode",
        "plan_reasons": ["its video is HEVC, which not every browser plays"],
        "rung": "1080p",
        "command": "ffmpeg -i in out.mp4",
        "warning": None,
        "error": None,
        "log": None,
    } | more


def holds(server: Recording, *files: dict[str, Any], trashed: tuple[dict[str, Any], ...] = ()) -> None:
    """Make the server's library: the listing searches names as the gateway does."""

    def listing(asked: Any) -> dict[str, Any]:
        those = trashed if asked.query.get("trashed") == "true" else files
        part, digest = asked.query.get("q", "").lower(), asked.query.get("sha256")
        found = [one for one in those if part in one["name"].lower() and digest in {None, one["sha256"]}]
        return {"items": found, "next_cursor": None}

    server.answers[f"GET {V1}/files"] = listing
    for one in [*files, *trashed]:
        server.answers[f"GET {V1}/files/{one['id']}"] = one
