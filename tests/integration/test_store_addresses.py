"""Whether the store's addresses, keys and signatures stay with the worker: nothing that is kept or run holds any."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from nebula.domain.states import JobState, Queue
from nebula.errors import StoreUnavailable
from nebula.media.ffmpeg import run
from nebula.media.reading.serving import Served, serving
from nebula.storage.s3 import S3Storage
from tests.films import Bench, Clips
from tests.people import People
from tests.web import serving as web_serving

provisioned = pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
DAMAGED = ["damaged.ts", "damaged.mkv", "damaged.mp4", "damaged.avi", "damaged.vob", "truncated.ts"]
SOURCE = [
    *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440"),
    *("-t", "4", "-c:v", "mpeg2video", "-q:v", "4", "-g", "25", "-c:a", "mp2"),
]


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


def _damaged(folder: Path, name: str) -> Path:
    """Make a film with holes: every tenth block of a kilobyte is overwritten, or the last third is missing."""
    path = folder / name
    subprocess.run(["ffmpeg", "-v", "error", "-y", *SOURCE, str(path)], check=True)
    body = bytearray(path.read_bytes())
    if name.startswith("truncated"):
        del body[len(body) * 2 // 3 :]
    else:
        for start in range(len(body) // 8, len(body) * 7 // 8, 10_240):
            body[start : start + 1024] = bytes(range(7, 263 - 8)) * 4 + bytes(32)
    path.write_bytes(body)
    return path


@provisioned
@pytest.mark.parametrize("name", DAMAGED)
def test_nothing_that_is_kept_of_a_damaged_film_says_how_the_store_is_reached(
    bench: Bench,
    people: People,
    environ: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    caplog.set_level("DEBUG", "nebula")
    content_id = bench.store(_damaged(tmp_path, name))
    for _ in range(8):
        if not (bench.run(Queue.QUICK) or bench.run(Queue.ENCODE)):
            break
        bench.sql("UPDATE tasks SET not_before = NULL")
    rows = bench.jobs(content_id)
    listed = people.owner.get("/api/v1/jobs").json["items"]
    answers = [people.owner.get(f"/api/v1/jobs/{job['id']}").text for job in rows]
    assert len(listed) == len(answers) == len(rows) > 1
    assert any(job["command"] for job in rows)
    kept = " ".join([json.dumps(rows, default=str), json.dumps(listed), *answers, caplog.text])
    for secret in ("X-Amz", "Signature", environ["S3_ACCESS_KEY"], environ["S3_SECRET_KEY"], environ["S3_ENDPOINT"]):
        assert secret not in kept


@provisioned
def test_ffmpeg_is_given_no_secret_and_no_address_of_the_store(
    bench: Bench, clips: Clips, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clips["sound.mkv"]
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    kept = tmp_path / "kept"
    for name in ("ffmpeg", "ffprobe"):
        program = tmp_path / "programs" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\n(env; echo "$@") >>{kept}\nexec {shutil.which(name)} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    content_id = bench.store(clip)
    assert bench.run()
    assert bench.run(Queue.ENCODE)
    assert bench.film_job(content_id)["state"] == JobState.DONE
    given = kept.read_text()
    assert "http://127.0.0.1:" in given
    store = urlsplit(environ["S3_ENDPOINT"]).netloc
    for secret in ("X-Amz", environ["S3_SECRET_KEY"], environ["S3_ACCESS_KEY"], environ["DATABASE_URL"], store):
        assert secret not in given


class _Redirecting(BaseHTTPRequestHandler):
    """A store whose objects are there and are to be fetched elsewhere."""

    elsewhere = ""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 06:00:00 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(307)
        self.send_header("Location", self.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def _redirecting(elsewhere: str) -> Iterator[str]:
    handler = type("Handler", (_Redirecting,), {"elsewhere": elsewhere})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@provisioned
def test_store_that_points_elsewhere_is_not_followed(bench: Bench, clips: Clips, tmp_path: Path) -> None:
    content_id = bench.store(clips["remux.mkv"])
    with web_serving(tmp_path) as listener, _redirecting(f"{listener.base_url}/film.mkv") as endpoint:
        storage = S3Storage(endpoint, "bucket", "key", "secret")
        assert bench.transcoder("n1", storage).run_next(Queue.QUICK, bench.stop)
    assert listener.asked == []
    (job,) = bench.jobs(content_id)
    assert (job["state"], job["error_code"]) == (JobState.QUEUED, "store_unavailable")


# The address that ffmpeg gets.

BODY = bytes(range(256)) * 4096


class _Span:
    def __init__(self, start: int, length: int, breaks_at: int) -> None:
        self._rest = memoryview(BODY)[start : start + length]
        self._left = breaks_at - start

    def readinto(self, buffer: memoryview) -> int:
        if self._rest and self._left <= 0:
            raise StoreUnavailable("objects")
        count = min(len(buffer), len(self._rest), self._left)
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._left -= count
        return count

    def close(self) -> None:
        pass


@contextmanager
def _served(breaks_at: int = len(BODY) + 1) -> Iterator[Served]:
    with serving("originals/film", len(BODY), lambda start, length: _Span(start, length, breaks_at)) as served:
        yield served


def _get(url: str, span: str = "") -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, headers={"Range": span} if span else {}), timeout=10)


@pytest.mark.parametrize(
    ("span", "start", "end"),
    [
        ("", 0, len(BODY)),
        ("bytes=0-", 0, len(BODY)),
        ("bytes=5-9", 5, 10),
        ("bytes=1000000-9999999", 1_000_000, len(BODY)),
    ],
)
def test_source_is_served_by_range(span: str, start: int, end: int) -> None:
    with _served() as served, _get(served.url, span) as answer:
        assert answer.read() == BODY[start:end]
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BODY)}"
    assert served.trouble is None


def test_source_is_served_to_whoever_knows_its_token_and_to_nobody_else() -> None:
    with _served() as served:
        url, _, token = served.url.partition("?")
        for wrong in (url, f"{url}?{token[:-1]}", f"{url}?{token}x", served.url.replace("film", "other")):
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                _get(wrong)
            refused.value.close()
    with pytest.raises(urllib.error.URLError):
        _get(served.url)


def test_range_beyond_the_end_is_refused() -> None:
    with _served() as served:
        with pytest.raises(urllib.error.HTTPError, match="416") as refused:
            _get(served.url, f"bytes={len(BODY)}-")
        refused.value.close()
    assert served.trouble is None


def test_store_that_breaks_off_is_remembered_and_the_answer_is_short() -> None:
    with _served(breaks_at=300_000) as served:
        with _get(served.url) as answer, pytest.raises(http.client.IncompleteRead):
            answer.read()
        assert isinstance(served.trouble, StoreUnavailable)


def test_reader_that_leaves_is_no_trouble() -> None:
    with _served() as served:
        with _get(served.url) as answer:
            assert answer.read(10) == BODY[:10]
        with _get(served.url, "bytes=0-9") as answer:
            assert answer.read() == BODY[:10]
    assert served.trouble is None


# What is kept of ffmpeg's stderr.

URL = "http://127.0.0.1:41234/originals/7a?0123456789abcdefghijklmnopqrstuv"


@pytest.mark.parametrize("step", [1, 7, 64, 4096])
def test_token_is_not_in_a_log_wherever_it_is_cut(step: int) -> None:
    token = URL.partition("?")[2]
    for length in range(run.TAIL_BYTES - 400, run.TAIL_BYTES + 400, 13):
        tail = run._Tail(URL)
        said = (f"[mov] {URL}: moov" * 3 + "x" * length).encode()
        for start in range(0, len(said), step):
            tail.add(said[start : start + step])
        for size in range(6, len(token) + 1):
            assert token[-size:] not in tail.text
        assert len(tail.text) <= run.TAIL_BYTES


def test_address_is_kept_without_its_token() -> None:
    tail = run._Tail(URL)
    tail.add(f"{URL}: Invalid data found\n".encode())
    assert tail.text == "http://127.0.0.1:41234/originals/7a: Invalid data found\n"
