"""How fast the gateway serves, beside what it stands on, side by side in one run. `python -m benchmarks.serving`

Prints ratios: a stream of 1 GiB through the gateway against the same bytes straight from the same MinIO, and from the
embedded directory against nginx with sendfile; random 1 MiB ranges, 8 and 32 at a time, against the same. Rounds are
interleaved, so that a machine whose speed drifts drifts for both. Targets: design, section 11.
"""

from __future__ import annotations

import http.client
import os
import random
import secrets
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import psutil
from tests.gateway import RunningGateway
from tests.shelf import Shelf
from tests.stores import Stores, free_port, wait_until

from nebula import config
from nebula.db import migrate
from nebula.db.database import Database, Tx
from nebula.domain.records import Principal
from nebula.domain.states import Role
from nebula.services.links import Links

GIB = 1 << 30
MIB = 1 << 20
SIZE_BYTES = int(os.environ.get("BENCHMARK_BYTES", GIB))
ROUNDS = 5
RANGES = 400
NGINX = "daemon off;pid {folder}/pid;error_log stderr;events{{}}http{{access_log off;sendfile on;tcp_nopush on;{temp}"
NGINX += "server{{listen 127.0.0.1:{port};root {root};}}}}"


@dataclass(frozen=True)
class Source:
    """A URL that gives the bytes, and the processes that do so."""

    name: str
    url: str
    pids: Callable[[], list[int]]


def main() -> None:
    """Run both comparisons and print them."""
    with tempfile.TemporaryDirectory(prefix="nebula-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with _served_from_minio(folder) as pair:
            _compare(*pair)
        if shutil.which("nginx"):
            with _served_from_directory(folder) as pair:
                _compare(*pair)
        else:
            print("nginx is not installed: the comparison with it is left out.")


def _compare(ours: Source, theirs: Source) -> None:
    print(f"\n{ours.name} / {theirs.name}")
    streams: dict[str, list[tuple[float, float]]] = {ours.name: [], theirs.name: []}
    for _ in range(ROUNDS):
        for source in (ours, theirs):
            streams[source.name].append(_streamed(source))
    speed = [b[0] / a[0] for a, b in zip(streams[ours.name], streams[theirs.name], strict=True)]
    cpu = statistics.median(seconds for _, seconds in streams[ours.name]) * GIB / SIZE_BYTES
    their_cpu = statistics.median(seconds for _, seconds in streams[theirs.name]) * GIB / SIZE_BYTES
    print(f"  stream throughput {statistics.median(speed):.2f}x (rounds {min(speed):.2f}-{max(speed):.2f})")
    print(f"  CPU {cpu:.2f} s/GiB against {their_cpu:.2f}")
    for at_a_time in (1, 8, 32):
        ratios = [_ranges(ours, at_a_time) / _ranges(theirs, at_a_time) for _ in range(3)]
        print(f"  1 MiB ranges, {at_a_time:2} at a time: p50 {statistics.median(ratios):.2f}x")


def _streamed(source: Source) -> tuple[float, float]:
    """Return wall seconds, and CPU seconds of the processes that served."""
    before = _cpu(source)
    began = time.perf_counter()
    connection, path = _connected(source.url)
    connection.request("GET", path)
    answer = connection.getresponse()
    buffer = memoryview(bytearray(MIB))
    received = 0
    while count := answer.readinto(buffer):
        received += count
    connection.close()
    assert received == SIZE_BYTES, f"{source.name}: {received} of {SIZE_BYTES} bytes"
    return time.perf_counter() - began, _cpu(source) - before


def _ranges(source: Source, at_a_time: int) -> float:
    """Return the median seconds of a random 1 MiB range."""
    taken: list[float] = []

    def read(count: int) -> None:
        connection, path = _connected(source.url)
        for _ in range(count):
            start = random.randrange(SIZE_BYTES - MIB)
            began = time.perf_counter()
            connection.request("GET", path, headers={"Range": f"bytes={start}-{start + MIB - 1}"})
            assert len(connection.getresponse().read()) == MIB
            taken.append(time.perf_counter() - began)
        connection.close()

    threads = [threading.Thread(target=read, args=(RANGES // at_a_time,)) for _ in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.median(taken)


def _connected(url: str) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.netloc, timeout=60), f"{parts.path}?{parts.query}"


def _cpu(source: Source) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in source.pids()]
    return sum(one.user + one.system for one in times)


@contextmanager
def _served_from_minio(folder: Path) -> Iterator[tuple[Source, Source]]:
    stores = Stores(folder / "stores")
    minio = stores.minio
    environ = _environ(folder / "provisioned") | {
        "S3_ENDPOINT": minio.endpoint,
        "S3_ACCESS_KEY": minio.access_key,
        "S3_SECRET_KEY": minio.secret_key,
        "S3_BUCKET": f"bench-{uuid.uuid4().hex[:8]}",
    }
    assert minio.process is not None
    pid = minio.process.pid
    with _gateway(environ, folder / "provisioned") as (ours, key):
        straight = _presigned(environ, key)
        yield ours, Source("straight MinIO", straight, lambda: [pid])
    stores.stop()


def _presigned(environ: dict[str, str], key: str) -> str:
    keys = {"aws_access_key_id": environ["S3_ACCESS_KEY"], "aws_secret_access_key": environ["S3_SECRET_KEY"]}
    client = boto3.client("s3", endpoint_url=environ["S3_ENDPOINT"], region_name="us-east-1", **keys)
    return str(client.generate_presigned_url("get_object", {"Bucket": environ["S3_BUCKET"], "Key": key}))


@contextmanager
def _served_from_directory(folder: Path) -> Iterator[tuple[Source, Source]]:
    environ = _environ(folder / "embedded")
    with _gateway(environ, folder / "embedded") as (ours, key):
        root = config.load(environ).objects_dir / "objects"
        temp = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        settings = folder / "nginx.conf"
        port = free_port()
        settings.write_text("user root;" + NGINX.format(folder=folder, temp=temp, port=port, root=root))
        with subprocess.Popen(["nginx", "-c", str(settings)]) as process:
            url = f"http://127.0.0.1:{port}/{key}"
            wait_until(lambda: _streamed(Source("", url, list)), 60, "start of nginx")
            yield ours, Source("nginx", url, lambda: _family(process.pid))
            process.terminate()


@contextmanager
def _gateway(environ: dict[str, str], folder: Path) -> Iterator[tuple[Source, str]]:
    """Start a gateway that serves SIZE_BYTES by a link; yield it, and the object's key."""
    settings = config.load(environ)
    migrate.upgrade(settings.database_url)
    shelf = Shelf(settings)
    database = Database(settings.database_url, threads=1)
    principal = database.write(_principal)
    file = shelf.put(principal.account_id, "bytes.bin", secrets.token_bytes(MIB) * (SIZE_BYTES // MIB))
    link = Links(database).create(principal, file.id, quality="original")
    running = RunningGateway(environ, folder / "gateway.log")
    running.start()
    assert running.process is not None
    pid = running.process.pid
    try:
        yield Source("the gateway", f"{running.base_url}/s/{link.token}", lambda: _family(pid)), file.content.object_key
    finally:
        running.close()
        shelf.close()
        database.close()


def _environ(folder: Path) -> dict[str, str]:
    folder.mkdir()
    return {"NEBULA_DATA_DIR": str(folder), "SECRET_KEY": secrets.token_urlsafe(32), "NEBULA_RESERVE_BYTES": "1"}


def _principal(tx: Tx) -> Principal:
    row = tx.e.Account(id=str(uuid.uuid4()), name="owner", role=Role.OWNER, password_hash="x", created_at=tx.now)
    tx.flush()
    return Principal(row.id, "owner", Role.OWNER, "")


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


if __name__ == "__main__":
    main()
