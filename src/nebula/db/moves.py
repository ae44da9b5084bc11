"""The only statements that move jobs and tasks between states. They allow only the moves listed in domain/states.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from nebula.db.database import Tx
from nebula.domain.states import JOB_MOVES, TASK_MOVES, JobState, TaskState


def listed(states: Iterable[str]) -> str:
    """Return states, or other words that are constants in the code, as a list in SQL."""
    return "(" + ", ".join(f"'{word}'" for word in sorted(states)) + ")"


def sources(moves: Mapping[Any, frozenset[Any]], target: StrEnum) -> frozenset[Any]:
    """Return the states that may become `target`. Raises ValueError if none may."""
    source_states = frozenset(state for state, targets in moves.items() if target in targets)
    if not source_states:
        raise ValueError(f"no state may become {target!r}")
    return source_states


def move_jobs(tx: Tx, target: JobState, where: str, changes: str = "", **values: Any) -> list[tuple[Any, ...]]:
    """Move the jobs that a condition selects; return (id, attempt, content_id) of each that moved."""
    sql = _update("jobs", JOB_MOVES, target, where, changes)
    return tx.execute(f"{sql} RETURNING id, attempt, content_id", **values)


def move_tasks(tx: Tx, target: TaskState, where: str, changes: str = "", **values: Any) -> list[tuple[Any, ...]]:
    """Move the tasks that a condition selects; return (id, kind, number, attempt, failures, interruptions) of each."""
    sql = _update("tasks", TASK_MOVES, target, where, changes)
    return tx.execute(f"{sql} RETURNING id, kind, number, attempt, failures, interruptions", **values)


def _update(table: str, moves: Mapping[Any, frozenset[Any]], target: StrEnum, where: str, changes: str) -> str:
    also = f", {changes}" if changes else ""
    return f"UPDATE {table} SET state = '{target}'{also} WHERE ({where}) AND state IN {listed(sources(moves, target))}"
