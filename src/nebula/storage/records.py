"""The records of an unfinished multipart upload: one JSON line for its key, then one for each stored part.

A part counts as stored only after its line was appended and is on the disk. A line that a power cut tore is ignored.
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
    """A part as it is recorded. `beside` names the part's file if its place in `bytes` was already taken."""

    part: Part
    beside: str | None = None

    def line(self) -> dict[str, object]:
        """Return the JSON object that is written for this part."""
        part = self.part
        return {"number": part.number, "etag": part.etag, "size_bytes": part.size_bytes, "beside": self.beside}

    @classmethod
    def read(cls, line: dict[str, object]) -> Record:
        """Return the record of a line."""
        beside = line["beside"]
        part = Part(int(str(line["number"])), str(line["etag"]), int(str(line["size_bytes"])))
        return cls(part, None if beside is None else str(beside))


def append(records: int, line: dict[str, object]) -> None:
    # The line break comes first: it ends a line that a power cut tore, and that line is then ignored.
    text = b"\n" + json.dumps(line).encode()
    if os.write(records, text) != len(text):
        raise OSError(errno.ENOSPC, "a record was cut short")
    os.fdatasync(records)


def _lines(records: int) -> Iterator[dict[str, object]]:
    size = os.fstat(records).st_size
    for line in os.pread(records, size, 0).split(b"\n"):
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def key_of(records: int) -> object:
    return next(_lines(records), {}).get("key")


def stored(records: int) -> dict[int, Record]:
    """Return each part's newest record by number."""
    all_records = [Record.read(line) for line in _lines(records) if "number" in line]
    return {record.part.number: record for record in all_records}


def chosen(stored: dict[int, Record], parts: list[Part]) -> list[Record]:
    chosen = [stored.get(part.number) for part in parts]
    if [record and record.part for record in chosen] != parts:
        raise ObjectChanged("These parts are not the ones that are stored.")
    return [record for record in chosen if record]
