"""The objects that rows name. `nebula-server check` compares the store with them."""

from __future__ import annotations

from dataclasses import dataclass

from nebula.db.database import Tx
from nebula.db.work import rows


@dataclass(frozen=True)
class NamedObjects:
    """Object keys, grouped by whether the object must exist."""

    needed: frozenset[str]  # of a content, a rendition, subtitles or a live job: must exist
    expected: frozenset[str]  # of an upload, or doomed: may exist

    def __contains__(self, key: str) -> bool:
        return key in self.needed or key in self.expected


def named(tx: Tx) -> NamedObjects:
    """Return every object key that a row names."""
    return NamedObjects(
        needed=_keys(tx, "contents")
        | _keys(tx, "renditions")
        | _keys(tx, "subtitles")
        | frozenset(key for key, _ in tx.select(rows.NEEDED)),
        expected=_keys(tx, "uploads") | _keys(tx, "doomed_objects"),
    )


def _keys(tx: Tx, table: str) -> frozenset[str]:
    return frozenset(key for key, _ in tx.select(f"SELECT object_key, 0 FROM {table}"))
