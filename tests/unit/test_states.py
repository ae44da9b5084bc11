"""The tables of states: every state stands in them, and ended means ended."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nebula.db import moves
from nebula.domain.states import (
    ACTIVE_TASK_STATES,
    JOB_MOVES,
    LIVE_JOB_STATES,
    TASK_MOVES,
    UPLOAD_MOVES,
    JobState,
    TaskState,
    UploadState,
)
from tests.static.source import modules


def test_every_state_has_its_moves() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert set(TASK_MOVES) == set(TaskState)
    assert set(UPLOAD_MOVES) == set(UploadState)


@pytest.mark.parametrize("state", sorted(LIVE_JOB_STATES))
def test_a_live_job_can_always_be_cancelled(state: JobState) -> None:
    assert JobState.CANCELLED in JOB_MOVES[state]


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_an_ended_job_can_only_be_queued_anew(state: JobState) -> None:
    assert JOB_MOVES[state] == {JobState.QUEUED}


@pytest.mark.parametrize("state", [UploadState.DONE, UploadState.FAILED])
def test_an_ended_upload_stays_ended(state: UploadState) -> None:
    assert UPLOAD_MOVES[state] == frozenset()


@pytest.mark.parametrize("state", sorted(set(TaskState) - {TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED}))
def test_a_task_that_is_not_at_its_end_can_always_be_cancelled(state: TaskState) -> None:
    assert TaskState.CANCELLED in TASK_MOVES[state]


@pytest.mark.parametrize("state", sorted(ACTIVE_TASK_STATES))
def test_a_task_that_a_worker_holds_can_end_in_every_way(state: TaskState) -> None:
    assert {TaskState.DONE, TaskState.FAILED, TaskState.QUEUED} <= TASK_MOVES[state]


class Recorder:
    """Stands for a transaction: keeps the statements."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, sql: str, **_: Any) -> list[tuple[Any, ...]]:
        self.statements.append(sql)
        return []


@pytest.mark.parametrize("target", TaskState)
def test_statement_that_moves_tasks_names_the_states_of_the_table(target: TaskState) -> None:
    tx = Recorder()
    allowed = {source for source, targets in TASK_MOVES.items() if target in targets}
    if not allowed:
        with pytest.raises(ValueError, match="no state may become"):
            moves.move_tasks(tx, target, "id = 1")  # type: ignore[arg-type]
        return
    moves.move_tasks(tx, target, "id = 1")  # type: ignore[arg-type]
    (sql,) = tx.statements
    assert set(re.findall(r"'(\w+)'", sql.partition("AND state IN")[2])) == allowed


def test_no_other_code_changes_the_state_of_a_job_a_task_or_an_upload() -> None:
    by_sql = re.compile(r"UPDATE (jobs|tasks|uploads) SET (?:(?!WHERE).)*\bstate = ", re.S)
    by_entity = {"src/nebula/db/uploads.py", *(f"src/nebula/db/work/{name}.py" for name in ("jobs", "tasks", "rows"))}
    for module in modules("nebula"):
        if "migrations" not in module.shown:
            assert not by_sql.search(module.text), module.shown
        if module.shown in by_entity:
            assert not re.search(r"\bset\([^)]*\bstate=", module.text), module.shown
