"""Nodes: one row per machine, written by its workers and its gateway."""

from __future__ import annotations

from typing import Any

from nebula.db import power
from nebula.db.database import Tx, aware
from nebula.domain.records import Node


def register(tx: Tx, name: str, version: str) -> None:
    """Record that a process of this node has started."""
    tx.execute(
        "INSERT INTO nodes (name, version, encoder, viewers, paused_s, started_at, seen_at)"
        " VALUES ($name, $version, NULL, 0, 0, $now, $now) ON CONFLICT (name) DO UPDATE SET"
        " version = excluded.version, started_at = excluded.started_at, seen_at = excluded.seen_at",
        name=name,
        version=version,
        now=tx.now,
    )


def forget(tx: Tx, name: str) -> bool:
    """Delete a node and its power changes. Returns False if there is no node of this name."""
    tx.execute("DELETE FROM power_changes WHERE node = $name", name=name)
    return bool(tx.execute("DELETE FROM nodes WHERE name = $name RETURNING name, version", name=name))


def note_seen(tx: Tx, name: str) -> None:
    """Record that the node is alive."""
    tx.execute("UPDATE nodes SET seen_at = $now WHERE name = $name", name=name, now=tx.now)


def note_encoder(tx: Tx, name: str, encoder: str) -> None:
    """Record which encoder the node's trial selected."""
    tx.execute("UPDATE nodes SET encoder = $encoder WHERE name = $name", name=name, encoder=encoder)


def note_viewers(tx: Tx, name: str, viewers: int) -> None:
    """Record how many responses the node's gateway is sending to players. The number is valid for VIEWERS_COUNT_S."""
    tx.execute(
        "UPDATE nodes SET viewers = $viewers, viewers_at = $now WHERE name = $name",
        name=name,
        viewers=viewers,
        now=tx.now,
    )


def all_nodes(tx: Tx) -> list[Node]:
    """Return all nodes, the one that was seen last first."""
    return sorted((_record(tx, row) for row in tx.e.Node.select()), key=lambda node: node.seen_at, reverse=True)


def _record(tx: Tx, row: Any) -> Node:
    return Node(
        name=row.name,
        version=row.version,
        encoder=row.encoder,
        viewers=power.viewers(tx, row.name),
        started_at=aware(row.started_at),
        seen_at=aware(row.seen_at),
        power=power.node_power(row),
    )
