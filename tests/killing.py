"""A house whose parts are killed at random moments and started again, and people who store films meanwhile."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from nebula.db import objects
from nebula.domain.states import FileState, Queue
from nebula.errors import StoreUnavailable
from nebula.worker.work import IN_HAND
from tests.films import Bench
from tests.gateway import RunningGateway
from tests.integration.test_worker import Site
from tests.stores import Store, Stores, wait_until

T = TypeVar("T")

LONG_S = 400.0  # longer than a lease: a claim whose commit the database did not live to confirm runs out by itself
SWEPT_S = 120.0
PIECES = 8  # of an upload
PAUSE_S = 0.1
TUS = {"Tus-Resumable": "1.0.0"}
EVERYTHING = "everything"


class House:
    """A gateway, a quick worker and encode nodes, with the stores of a world; each part can be killed and comes back.

    `programs` is a folder of programs that the workers find first. `stores` are the world's own, if it has any.
    """

    def __init__(self, environ: dict[str, str], folder: Path, programs: Path, stores: Stores | None) -> None:
        self.site = Site(environ, folder)
        self.gateway = RunningGateway(environ, folder / "gateway.log")
        self._folder = folder
        self._programs = programs
        self._stores: dict[str, Store] = {}
        if stores is not None:
            self._stores = {"postgresql": stores.postgresql, "redis": stores.redis, "minio": stores.minio}
        self._nodes = ["first", "second"] if stores else ["first"]  # SQLite is one machine's
        self._workers = {name: self._start(name) for name in ("quick", *self._nodes)}
        self.gateway.start()

    @property
    def bench(self) -> Bench:
        return self.site.bench

    @property
    def victims(self) -> list[str]:
        """What can be killed."""
        return ["encode worker", "ffmpeg", "quick worker", "gateway", *self._stores, EVERYTHING]

    def strike(self, victim: str, choose: random.Random) -> int:
        """Kill something and start it again; return how many chunks may have been in flight for its death."""
        dead = self._parts(victim, choose)
        ffmpegs = self.ffmpegs() if victim in ("ffmpeg", EVERYTHING) else []
        for name in dead:
            self._kill(name)
        for pid in ffmpegs:
            with contextlib.suppress(ProcessLookupError):  # it was quicker
                os.kill(pid, signal.SIGKILL)
        for name in dead:
            self._revive(name)
        of_one = IN_HAND[Queue.ENCODE]
        of_all = len(self._nodes) * of_one
        return {"encode worker": of_one, "quick worker": 0, "gateway": 0, "redis": 0}.get(victim, of_all)

    def ffmpegs(self) -> list[int]:
        """Return the workers' ffmpegs, each of which writes into the house's folder."""
        found = subprocess.run(["pgrep", "-f", f"ffmpeg .*{self._folder}"], capture_output=True, text=True)
        return [int(line) for line in found.stdout.split()]

    def hurry(self) -> None:
        """Try failures, and what waits for a store, again at once."""
        for table in ("chunks", "jobs"):
            self.bench.sql(f"UPDATE {table} SET not_before = NULL WHERE state = 'queued'")

    def content_id(self, file_id: str) -> str:
        return self.bench.database.read(lambda tx: str(tx.e.File[file_id].content.id))

    def strangers(self) -> set[str]:
        """Return the keys of objects that nothing needs."""
        needed = self.bench.database.read(objects.named).needed
        receiving = self.bench.database.read(lambda tx: {row.object_key for row in tx.e.Upload.select()})
        return {info.key for info in self.bench.storage.list_objects()} - needed - receiving

    def scratch(self) -> list[Path]:
        """Return what lies in the nodes' scratch directories."""
        folders = [self._data_dir(name) / "scratch" for name in self._nodes]
        return [path for folder in folders for path in folder.glob("*/*") if path.name != "sources"]

    def close(self) -> None:
        self.gateway.close()
        self.site.close()

    def _parts(self, victim: str, choose: random.Random) -> list[str]:
        if victim == EVERYTHING:
            return [*self._stores, "gateway", *self._workers]
        if victim == "encode worker":
            return [choose.choice(self._nodes)]
        return {"ffmpeg": [], "quick worker": ["quick"]}.get(victim, [victim])

    def _kill(self, name: str) -> None:
        if name in self._workers:
            self._workers[name].kill()
            self._workers[name].wait()
        else:
            (self.gateway if name == "gateway" else self._stores[name]).kill()

    def _revive(self, name: str) -> None:
        if name in self._workers:
            self._workers[name] = self._start(name)
        else:
            (self.gateway if name == "gateway" else self._stores[name]).start()

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        queue = Queue.QUICK if name == "quick" else Queue.ENCODE
        own = {} if name == "quick" else {"NEBULA_NODE": name}
        if name == "second":
            own["NEBULA_DATA_DIR"] = str(self._data_dir(name))
        return self.site.start(queue, self._programs, **own)

    def _data_dir(self, name: str) -> Path:
        return self._folder / name if name == "second" else self.site.settings.data_dir


class Sender:
    """Stores files as a patient client does: what was acknowledged is not sent again, what was not is."""

    def __init__(self, gateway: RunningGateway, name: str) -> None:
        self._gateway = gateway
        self._person = name

    def send(self, name: str, content: bytes) -> str:
        """Store bytes; return the id of the file that was acknowledged."""
        path = self._create(name, len(content))
        acknowledged = 0
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            answer = self._ask("HEAD", path, TUS)
            if "Nebula-File-Id" in answer.headers:
                return str(answer.headers["Nebula-File-Id"])
            offset = int(answer.headers["Upload-Offset"])
            assert offset >= acknowledged, f"{name}: acknowledged {acknowledged}, and {offset} are left"
            acknowledged = max(offset, self._append(path, offset, content))
            time.sleep(PAUSE_S)
        raise AssertionError(f"{name}: not stored within {LONG_S:g} s")

    def files(self) -> dict[str, tuple[str, str]]:
        """Return id -> (digest, state) of every file."""
        items: list[dict[str, Any]] = json.load(self._ask("GET", "/api/v1/files", {}))["items"]
        return {item["id"]: (item["sha256"], item["state"]) for item in items}

    def _create(self, name: str, size: int) -> str:
        told = f"filename {base64.b64encode(name.encode()).decode()}"
        more = {"Upload-Length": str(size), "Upload-Metadata": told}
        return str(self._ask("POST", "/api/v1/uploads", TUS | more).headers["Location"])

    def _append(self, path: str, offset: int, content: bytes) -> int:
        """Send the next piece; return the offset that was acknowledged, 0 where none was."""
        piece = content[offset : offset + len(content) // PIECES + 1]
        more = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        try:
            answer = self._gateway.request("PATCH", path, self._headers() | TUS | more, piece)
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        assert answer.status < 500 or answer.status == 503, answer.status
        return int(answer.headers["Upload-Offset"]) if answer.status == 204 else 0

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Ask until there is an answer: nobody is there while the gateway is dead, 503 while a store is."""
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self._gateway.request(method, path, self._headers() | headers)
                if answer.status < 400:
                    return answer
                assert answer.status == 503, f"{method} {path}: {answer.status} {answer.read()!r}"
            time.sleep(PAUSE_S)
        raise AssertionError(f"{method} {path}: no answer within {LONG_S:g} s")

    def _headers(self) -> dict[str, str]:
        return self._gateway.signed_in(self._person)


class Household:
    """People who store one film after the other, whatever happens in the house."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._pool = ThreadPoolExecutor(2)
        self._sent: list[tuple[Path, Future[str]]] = []

    def store(self, film: Path) -> None:
        """Begin to store a film."""
        self._sent.append((film, self._pool.submit(self._sender.send, film.name, film.read_bytes())))

    def acknowledged(self) -> dict[str, Path]:
        """Wait for every upload; return the film of each file that was acknowledged."""
        return {future.result(LONG_S): film for film, future in self._sent}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def asked(question: Callable[[], T]) -> T | None:
    """Ask a store; None while it is away."""
    try:
        return question()
    except StoreUnavailable:
        return None


def make_programs(folder: Path, *, is_slow: bool) -> Path:
    """Return a folder with an ffmpeg of one thread: with more, x264's rate control does not make the same of the same.

    A slow one can be killed in the middle of what it does.
    """
    folder.mkdir()
    program = folder / "ffmpeg"
    one_thread = 'for word; do shift; [ "$last" = -threads ] && word=1; set -- "$@" "$word"; last=$word; done'
    rate = 'case "$*" in *libx264*|*aac*) rate="-readrate 2";; *) rate="-readrate 10";; esac' if is_slow else "rate="
    program.write_text(f'#!/bin/sh\n{one_thread}\n{rate}\nexec {shutil.which("ffmpeg")} $rate "$@"\n')
    program.chmod(0o755)
    return folder


def seen_and_heard(film: str) -> list[str]:
    """Return a digest of every decoded picture and of every decoded sample of a film."""
    argv = ["ffmpeg", "-v", "error", "-i", film, "-map", "0", "-f", "streamhash", "-hash", "sha256", "-"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def films_are_made(house: House, sender: Sender, stored: dict[str, Path]) -> None:
    """Wait until every film that was acknowledged can be played."""

    def is_so() -> bool:
        asked(house.hurry)
        states = [state for _, state in sender.files().values()]
        assert FileState.FAILED not in states, house.bench.database.read(_failures)
        return len(states) == len(stored) and set(states) == {FileState.READY}

    wait_until(is_so, LONG_S, "the films")


def nothing_is_left_over(house: House) -> None:
    """Wait until the store holds nothing that nobody needs, and nothing lies or runs on the nodes."""
    left: list[object] = []

    def is_so() -> bool:
        left[:] = [*house.strangers(), *house.scratch(), *house.ffmpegs()]
        return not left

    try:
        wait_until(is_so, SWEPT_S, "the sweep")
    except AssertionError as error:
        raise AssertionError(f"left over: {left}; doomed: {house.bench.doomed()}") from error


def _failures(tx: Any) -> list[tuple[str, str]]:
    return [(row.error, row.log) for row in tx.e.Job.select() if row.error is not None]
