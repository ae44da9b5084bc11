"""Objects as rows name them: which the sweep deletes (doomed), and which must or may exist (`nebula-server check`)."""

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


def doom(tx: Tx, object_key: str, *, after_s: float = 0) -> None:
    """Record an object that may not be needed. The sweep deletes it once `after_s` is over, if no row names it."""
    tx.execute(
        "INSERT INTO doomed_objects (object_key, delete_after) VALUES ($key, $moment)"
        " ON CONFLICT (object_key) DO UPDATE SET delete_after = excluded.delete_after",
        key=object_key,
        moment=tx.after(after_s),
    )


def spare(tx: Tx, object_key: str) -> None:
    """Undo `doom`, because a row names the object now."""
    tx.execute("DELETE FROM doomed_objects WHERE object_key = $key", key=object_key)


def forget_doomed(tx: Tx, object_key: str) -> None:
    """Delete the row of a doomed object that was deleted. A row that was meanwhile doomed again for later stays."""
    tx.execute(
        "DELETE FROM doomed_objects WHERE object_key = $key AND delete_after <= $now", key=object_key, now=tx.now
    )


def due_objects(tx: Tx, limit: int = 100) -> list[str]:
    """Return the keys of doomed objects that are due and that no content, rendition, subtitles or live job needs.

    Returns none while a purge lease is valid (db/backups.py).
    """
    due = tx.select(
        "SELECT object_key, delete_after FROM doomed_objects AS doomed WHERE delete_after <= $now"
        " AND NOT EXISTS (SELECT 1 FROM purge_holds WHERE held_until > $now)"
        " AND NOT EXISTS (SELECT 1 FROM contents WHERE contents.object_key = doomed.object_key)"
        " AND NOT EXISTS (SELECT 1 FROM renditions WHERE renditions.object_key = doomed.object_key)"
        " AND NOT EXISTS (SELECT 1 FROM subtitles WHERE subtitles.object_key = doomed.object_key)"
        f" AND NOT EXISTS ({rows.NEEDED} AND tasks.object_key = doomed.object_key)"
        f" ORDER BY delete_after LIMIT {int(limit)}",
        now=tx.now,
    )
    return [key for key, _ in due]


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
