"""Rows of operations: what the machine itself was asked to do, and how it ended."""

from __future__ import annotations

import uuid
from typing import Any

from pony import orm

from nebula.db.database import Tx, aware
from nebula.domain.limits import OPERATIONS_KEPT
from nebula.domain.records import Operation
from nebula.domain.states import OperationKind, OperationState

LIVE = (OperationState.QUEUED, OperationState.RUNNING)


def add(tx: Tx, kind: OperationKind, asked_by: str, *, commit_id: str | None = None) -> Operation:
    """Add a queued operation; keep only the latest OPERATIONS_KEPT rows."""
    row = tx.e.Operation(
        id=str(uuid.uuid4()),
        kind=kind.value,
        state=OperationState.QUEUED.value,
        asked_by=asked_by,
        commit_id=commit_id,
        created_at=tx.now,
    )
    tx.execute(
        "DELETE FROM operations WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER"
        " (ORDER BY created_at DESC, id) AS place FROM operations) AS placed WHERE place > $kept)",
        kept=OPERATIONS_KEPT,
    )
    return record(row)


def latest(tx: Tx, limit: int) -> list[Operation]:
    """Return the latest operations, the newest first."""
    rows = tx.e.Operation.select().order_by(lambda row: (orm.desc(row.created_at), row.id))
    return [record(row) for row in rows.limit(limit)]


def live(tx: Tx, kind: OperationKind) -> Operation | None:
    """Return the operation of a kind that is queued or running, or None."""
    rows = tx.e.Operation.select(lambda row: row.kind == kind.value and row.state in LIVE)
    return next((record(row) for row in rows.order_by(lambda row: row.created_at).limit(1)), None)


def end_cut_off(tx: Tx) -> None:
    """Fail operations that are still marked as running. The machine runs one at a time, so they were cut off."""
    tx.execute(
        "UPDATE operations SET state = $failed, message = $message, finished_at = $now WHERE state = $running",
        failed=OperationState.FAILED.value,
        message="It was cut off in the middle.",
        now=tx.now,
        running=OperationState.RUNNING.value,
    )


def take(tx: Tx, operation_id: str) -> Operation | None:
    """Mark a queued operation as running. Returns None if no queued operation has this id."""
    row = tx.e.Operation.get_for_update(id=operation_id)
    if row is None or row.state != OperationState.QUEUED:
        return None
    row.set(state=OperationState.RUNNING.value, started_at=tx.now)
    return record(row)


def end(tx: Tx, operation_id: str, state: OperationState, message: str, release: str | None) -> bool:
    """Record how an operation ended. Returns False if no queued or running operation has this id."""
    row = tx.e.Operation.get_for_update(id=operation_id)
    if row is None or row.state not in LIVE:
        return False
    row.set(state=state.value, message=message, release=release, finished_at=tx.now)
    return True


def record(row: Any) -> Operation:
    """Turn an operation's row into its record."""
    return Operation(
        id=row.id,
        kind=OperationKind(row.kind),
        state=OperationState(row.state),
        asked_by=row.asked_by,
        commit_id=row.commit_id,
        release=row.release,
        message=row.message,
        created_at=aware(row.created_at),
        started_at=aware(row.started_at),
        finished_at=aware(row.finished_at),
    )
