"""Gives back the leases of a node: when its worker starts again, and when the node is removed for good."""

from __future__ import annotations

from typing import Protocol

from nebula.db import nodes, objects
from nebula.db.database import Database, Tx
from nebula.db.work import tasks
from nebula.domain import object_keys
from nebula.domain.kinds import KINDS
from nebula.domain.states import Queue
from nebula.domain.work import TaskAttempt
from nebula.errors import NotFound


class Messages(Protocol):
    """What wakes the workers when there is work (messages.py)."""

    def wake(self, queue: Queue) -> None: ...


def give_back(tx: Tx, queue: Queue, node: str) -> list[str]:
    """Give back every lease of a node's worker that has ended. Returns a description of each task, for the journal."""
    returned = tasks.give_back(tx, queue, node)
    for interrupted in returned:
        # Nobody stores this object any more.
        objects.doom(tx, _object_key(interrupted))
    return [interrupted.shown for interrupted in returned]


def _object_key(task: TaskAttempt) -> str:
    if KINDS[task.kind].is_part:
        return object_keys.chunk(task.job_id, task.number, task.attempt)
    return object_keys.rendition(task.job_id, task.attempt)


def forget(database: Database, messages: Messages, node: str) -> list[str]:
    """Remove a node that can no longer reach the stores. Returns a description of each task that it gave back.

    Raises NotFound.
    """

    def work(tx: Tx) -> list[str] | None:
        returned = [description for queue in Queue for description in give_back(tx, queue, node)]
        return returned if nodes.forget(tx, node) else None

    returned = database.write(work)
    if returned is None:
        raise NotFound(f"No node is called {node}: nebula-server nodes lists them.")
    for queue in Queue:
        messages.wake(queue)
    return returned
