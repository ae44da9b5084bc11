"""The records of an unfinished multipart upload: one JSON line for its key, then one for each stored part.

A line is appended and on the disk before its part counts as stored; a line that a power cut tore counts for nothing.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from nebula.errors import ObjectChanged
from nebula.storage.contract import Part


@dataclass(frozen=True)
class Record:
    """A part as the records have it. `beside` names its file where its place in `bytes` was taken already."""

    part: Part
    beside: str | None = None

    def line(self) -> dict[str, object]:
        """Return what is written of it."""
        part = self.part
        return {"number": part.number, "etag": part.etag, "size_bytes": part.size_bytes, "beside": self.beside}

    @classmethod
    def read(cls, line: dict[str, object]) -> Record:
        """Return the record of a line."""
        beside = line["beside"]
        part = Part(int(str(line["number"])), str(line["etag"]), int(str(line["size_bytes"])))
        return cls(part, None if beside is None else str(beside))


def append(records: int, line: dict[str, object]) -> None:
    # The line break comes first: it ends a line that a power cut tore, which then counts for nothing.
    text = b"\n" + json.dumps(line).encode()
    if os.write(records, text) != len(text):
        raise OSError(errno.ENOSPC, "a record was cut short")
    os.fdatasync(records)


def _lines(records: int) -> Iterator[dict[str, object]]:
    size = os.fstat(records).st_size
    for line in os.pread(records, size, 0).split(b"\n"):
        with suppress(ValueError):
            read = json.loads(line)
            if isinstance(read, dict):
                yield read


def key_of(records: int) -> object:
    return next(_lines(records), {}).get("key")


def stored(records: int) -> dict[int, Record]:
    """Return each part's newest record by number."""
    read = [Record.read(line) for line in _lines(records) if "number" in line]
    return {record.part.number: record for record in read}


def chosen(stored: dict[int, Record], parts: list[Part]) -> list[Record]:
    chosen = [stored.get(part.number) for part in parts]
    if [record and record.part for record in chosen] != parts:
        raise ObjectChanged("These parts are not the ones that are stored.")
    return [record for record in chosen if record]
