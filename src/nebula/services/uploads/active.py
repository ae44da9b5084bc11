"""What this process knows about running uploads: their digests so far, and the request bodies that it receives.

Neither is needed for correctness. Without the hasher, the digest is found by reading the object again. Without the list
of bodies, an older body learns from its row that it is superseded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from nebula.services.uploads.receiving import Hasher, Reception

HASHERS = 256


class Hashers:
    """The digests so far of uploads that this process has received from the first byte. The oldest are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, int, Hasher]] = OrderedDict()

    def take(self, upload_id: str, attempt: int, part_count: int) -> Hasher | None:
        """Return the hasher, or None if another attempt came in between, here or in another process."""
        with self._lock:
            entry = self._kept.pop(upload_id, None)
        return entry[2] if entry and entry[:2] == (attempt, part_count) else None

    def put(self, upload_id: str, attempt: int, part_count: int, hasher: Hasher) -> None:
        with self._lock:
            entry = self._kept.get(upload_id)
            if entry is None or entry[0] < attempt:
                self._kept[upload_id] = (attempt, part_count, hasher)
                self._kept.move_to_end(upload_id)
            if len(self._kept) > HASHERS:
                self._kept.popitem(last=False)


class Receptions:
    """The request bodies that this process receives. A newer body of an upload ends the older one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[Reception] = []

    @contextmanager
    def entered(self, reception: Reception) -> Iterator[None]:
        older = self._enter(reception)
        try:
            for other in older:
                other.wait_until_written()
            yield
        finally:
            with self._lock:
                self._open.remove(reception)

    def _enter(self, reception: Reception) -> list[Reception]:
        with self._lock:
            older = self._of(reception.upload.id, reception.upload.attempt)
            # Under the lock: a connection whose body has ended serves another request, which must not be interrupted.
            for other in older:
                other.interrupt()
            self._open.append(reception)
        return older

    def interrupt(self, upload_id: str) -> None:
        """Interrupt the bodies of an upload that has ended."""
        with self._lock:
            for reception in self._of(upload_id):
                reception.interrupt()

    def _of(self, upload_id: str, before: int | None = None) -> list[Reception]:
        return [
            reception
            for reception in self._open
            if reception.upload.id == upload_id and (before is None or reception.upload.attempt < before)
        ]
