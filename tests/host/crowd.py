"""People who use a gateway while something happens to it: `python -m tests.host.crowd GATEWAY LINK`, ended by a line.

Some watch: each reads the link slowly and, cut off, goes on by range as players do. Some ask, each time with a new
connection. The last line of the output is what they saw, as JSON.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

VIEWERS = 20
ASKERS = 3
# Nobody waits longer than this for an answer while the gateway is restarted (design.md, section 9).
LONGEST_S = 5
# A request that takes longer counts as refused.
PATIENCE_S = 20
READ_BYTES = 64 * 1024
PAUSE_S = 0.05


@dataclass
class Seen:
    asked: int = 0
    longest_s: float = 0.0
    refused: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    resumed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    gateway, link = sys.argv[1:3]
    seen, stop = Seen(), threading.Event()
    tasks = [*[(watch, (link, seen, stop))] * VIEWERS, *[(ask, (gateway, seen, stop))] * ASKERS]
    threads = [threading.Thread(target=task, args=arguments) for task, arguments in tasks]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    stop.set()
    for thread in threads:
        thread.join()
    shown = {name: value for name, value in vars(seen).items() if name != "lock"}
    print(json.dumps(shown))


def longest_s() -> float:
    """How long an answer may take here and now: where programs share a processor, each is the slower for it."""
    return LONGEST_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def ask(gateway: str, seen: Seen, stop: threading.Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        try:
            connection = _connection(gateway)
            connection.request("GET", "/ping")
            status = connection.getresponse().status
            problem = "" if status == 200 else f"status {status}"
            connection.close()
        except OSError as error:
            problem = repr(error)
        except http.client.HTTPException as error:
            problem = repr(error)
        with seen.lock:
            seen.asked += 1
            seen.longest_s = max(seen.longest_s, time.monotonic() - began)
            seen.refused += [problem] if problem else []
        time.sleep(PAUSE_S)


def watch(link: str, seen: Seen, stop: threading.Event) -> None:
    """Read the whole once, slowly until `stop`, then quickly."""
    digest, offset, size = hashlib.sha256(), 0, None
    while size is None or offset < size:
        try:
            size, offset = _read_on(link, digest, offset, stop)
        except OSError as error:
            with seen.lock:
                seen.refused.append(f"viewer: {error!r}")
            return
        with seen.lock:
            seen.resumed += offset < size
    with seen.lock:
        seen.digests.append(digest.hexdigest())


def _read_on(link: str, digest: hashlib._Hash, offset: int, stop: threading.Event) -> tuple[int, int]:
    """Read from `offset` until the end or until the connection is cut; return the size and how far it got."""
    connection = _connection(link)
    connection.request("GET", urlsplit(link).path, headers={"Range": f"bytes={offset}-"})
    answer = connection.getresponse()
    if answer.status != 206:
        raise OSError(f"status {answer.status}")
    size = int(answer.headers["Content-Range"].rpartition("/")[2])
    try:
        while offset < size:
            data = answer.read1(READ_BYTES)
            if not data:
                break
            digest.update(data)
            offset += len(data)
            if not stop.is_set():
                time.sleep(PAUSE_S)
    except (OSError, http.client.HTTPException):
        pass  # cut off: the next request goes on
    finally:
        connection.close()
    return size, offset


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_S)


if __name__ == "__main__":
    main()
