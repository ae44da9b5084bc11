"""Which objects the rows name: what `nebula-server check` compares the store with."""

from __future__ import annotations

from dataclasses import dataclass

from nebula.db.database import Tx
from nebula.db.work import rows


@dataclass(frozen=True)
class NamedObjects:
    """Object keys by what a row says of them."""

    needed: frozenset[str]  # a content's, a rendition's, subtitles' or a living job's: it must be there
    expected: frozenset[str]  # an upload's, or doomed: it may be there

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
