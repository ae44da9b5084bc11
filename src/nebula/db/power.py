"""What a node's power allows its encoder: the present in its row of `nodes`, each change in a row of its own."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Any

from pony import orm

from nebula.db.database import Tx, aware
from nebula.domain.limits import POWER_CHANGES_KEPT, VIEWERS_COUNT_S
from nebula.domain.records import NodePower, PowerChange
from nebula.domain.throttle import Causes, Decision, PowerReading, Throttle

Row = tuple[Any, ...]


def note(
    tx: Tx, node: str, decision: Decision, reading: PowerReading, paused_s: float, causes: Causes | None = None
) -> bool:
    """Note what a node read and decided, and `paused_s` more of waiting. Return False if the node is not registered.

    A decision that differs from the row's becomes a change of its history. `causes` is for the worker after this one.
    """
    found = tx.select("SELECT throttle, throttle_since FROM nodes WHERE name = $node", node=node)
    if not found:
        return False
    if found[0][0] != decision.throttle:
        _add_change(tx, node, decision, reading)
        tx.execute(
            "UPDATE nodes SET throttle = $throttle, throttle_since = $now WHERE name = $node",
            throttle=decision.throttle.value,
            now=tx.now,
            node=node,
        )
    tx.execute(
        "UPDATE nodes SET power = $power, power_at = $now, paused_s = paused_s + $paused WHERE name = $node",
        power=json.dumps(_as_json(decision, reading, causes)),
        now=tx.now,
        paused=paused_s,
        node=node,
    )
    return True


def last_causes(tx: Tx, node: str) -> Causes:
    """Return what each cause asked for when the node noted its power last; nothing if it never did."""
    row = tx.e.Node.get(name=node)
    if row is None or row.power is None:
        return Causes()
    # A version before wrote the decision alone: only the battery pauses or hands back.
    asked = json.loads(row.power).get("causes") or {"battery": row.throttle}
    return Causes(**{cause: Throttle(throttle) for cause, throttle in asked.items()})


def viewers(tx: Tx, node: str) -> int:
    """Return how many people the node's gateway sends films to; it says so again and again while there are any."""
    rows = tx.select(
        "SELECT viewers, name FROM nodes WHERE name = $node AND viewers_at >= $since",
        node=node,
        since=tx.after(-VIEWERS_COUNT_S),
    )
    return int(rows[0][0]) if rows else 0


def changes(tx: Tx, node: str, limit: int) -> list[PowerChange]:
    """Return the latest changes of a node, the newest first."""
    rows = tx.e.PowerChange.select(lambda row: row.node == node)
    return [_change(row) for row in rows.order_by(lambda row: (orm.desc(row.at), row.id)).limit(limit)]


def tidy(tx: Tx) -> None:
    """Forget the oldest changes of every node."""
    tx.execute(
        "DELETE FROM power_changes WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER"
        " (PARTITION BY node ORDER BY at DESC, id) AS place FROM power_changes) AS placed WHERE place > $kept)",
        kept=POWER_CHANGES_KEPT,
    )


def node_power(row: Any) -> NodePower | None:
    """Return what a row of `nodes` says of its power."""
    if row.power is None:
        return None
    said = json.loads(row.power)
    reading = PowerReading(said["on_mains"], said["percent"], said["temperature_c"], tuple(said["problems"]))
    decision = Decision(Throttle(row.throttle), tuple(said["reasons"]))
    return NodePower(decision, aware(row.throttle_since), reading, aware(row.power_at), row.paused_s)


def _as_json(decision: Decision, reading: PowerReading, causes: Causes | None) -> dict[str, Any]:
    return {
        "reasons": decision.reasons,
        "causes": None if causes is None else asdict(causes),
        "on_mains": reading.on_mains,
        "percent": reading.percent,
        "temperature_c": reading.temperature_c,
        "problems": reading.problems,
    }


def _add_change(tx: Tx, node: str, decision: Decision, reading: PowerReading) -> None:
    tx.e.PowerChange(
        id=str(uuid.uuid4()),
        node=node,
        at=tx.now,
        throttle=decision.throttle.value,
        reasons=json.dumps(decision.reasons),
        on_mains=reading.on_mains,
        percent=reading.percent,
        temperature_c=reading.temperature_c,
    )


def _change(row: Any) -> PowerChange:
    decision = Decision(Throttle(row.throttle), tuple(json.loads(row.reasons)))
    return PowerChange(row.node, aware(row.at), decision, PowerReading(row.on_mains, row.percent, row.temperature_c))
