"""What a node's power allows its encoder. The current state is in the node's row; each change is a separate row."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Any

from pony import orm

from nebula.db.database import Tx, aware
from nebula.domain.limits import POWER_CHANGES_KEPT, VIEWERS_COUNT_S
from nebula.domain.records import NodePower, PowerChange
from nebula.domain.throttle import Causes, PowerReading, Throttle, ThrottleDecision

Row = tuple[Any, ...]


def note(
    tx: Tx, node: str, decision: ThrottleDecision, reading: PowerReading, paused_s: float, causes: Causes | None = None
) -> bool:
    """Record what a node read and decided, and add `paused_s` to its time paused.

    Returns False if the node is not registered. A throttle that differs from the row's is added to the node's history.
    `causes` is for the next worker process, which reads it with `last_causes`.
    """
    stored = tx.select("SELECT throttle, throttle_since FROM nodes WHERE name = $node", node=node)
    if not stored:
        return False
    if stored[0][0] != decision.throttle:
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
    """Return the throttle of each cause when the node last recorded its power; empty Causes if it never did."""
    row = tx.e.Node.get(name=node)
    if row is None or row.power is None:
        return Causes()
    # An earlier version wrote only the decision. Only the battery can pause or hand back.
    throttles = json.loads(row.power).get("causes") or {"battery": row.throttle}
    return Causes(**{cause: Throttle(throttle) for cause, throttle in throttles.items()})


def viewers(tx: Tx, node: str) -> int:
    """Return how many viewers the node's gateway sends films to; 0 if it has not reported for VIEWERS_COUNT_S."""
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
    """Keep only the latest POWER_CHANGES_KEPT changes of each node."""
    tx.execute(
        "DELETE FROM power_changes WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER"
        " (PARTITION BY node ORDER BY at DESC, id) AS place FROM power_changes) AS placed WHERE place > $kept)",
        kept=POWER_CHANGES_KEPT,
    )


def node_power(row: Any) -> NodePower | None:
    """Return the power status in a row of `nodes`, or None if the node has recorded none."""
    if row.power is None:
        return None
    stored = json.loads(row.power)
    reading = PowerReading(stored["on_mains"], stored["percent"], stored["temperature_c"], tuple(stored["problems"]))
    decision = ThrottleDecision(Throttle(row.throttle), tuple(stored["reasons"]))
    return NodePower(decision, aware(row.throttle_since), reading, aware(row.power_at), row.paused_s)


def _as_json(decision: ThrottleDecision, reading: PowerReading, causes: Causes | None) -> dict[str, Any]:
    return {
        "reasons": decision.reasons,
        "causes": None if causes is None else asdict(causes),
        "on_mains": reading.on_mains,
        "percent": reading.percent,
        "temperature_c": reading.temperature_c,
        "problems": reading.problems,
    }


def _add_change(tx: Tx, node: str, decision: ThrottleDecision, reading: PowerReading) -> None:
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
    decision = ThrottleDecision(Throttle(row.throttle), tuple(json.loads(row.reasons)))
    return PowerChange(row.node, aware(row.at), decision, PowerReading(row.on_mains, row.percent, row.temperature_c))
