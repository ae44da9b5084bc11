"""The machine's status: dependencies, disk, counts, nodes, power, backup."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path

from nebula.db import counts, nodes, power
from nebula.db.counts import Counts
from nebula.db.database import Database, Tx
from nebula.domain.records import Node, PowerChange, Principal
from nebula.errors import StoreUnavailable
from nebula.messages import Messages
from nebula.services.machine.backups import BackupOverview, Backups
from nebula.storage.contract import ObjectStorage

CHECK_S = 4.0
CHANGES_SHOWN = 50  # at most so many changes of a node are returned
NEEDED = ("database", "objects")  # without the queue everything still works, but later


@dataclass(frozen=True)
class Disk:
    """Space on the disk of this node's data. `objects_free_bytes` is for the objects' disk; None if it is unknown."""

    total_bytes: int
    free_bytes: int
    reserve_bytes: int
    objects_free_bytes: int | None


@dataclass(frozen=True)
class Overview:
    """What `nebula status` shows."""

    services: dict[str, bool]
    disk: Disk
    counts: Counts
    nodes: list[Node]
    backup: BackupOverview


@dataclass(frozen=True)
class PowerOfNode:
    """A node with its power. `history` has its latest changes, or is None if the principal may not see them."""

    node: Node
    history: tuple[PowerChange, ...] | None


class Status:
    """Checks everything that the gateway depends on."""

    def __init__(
        self, database: Database, storage: ObjectStorage, messages: Messages, *, data_dir: Path, reserve_bytes: int
    ) -> None:
        self._database = database
        self._storage = storage
        self._messages = messages
        self._data_dir = data_dir
        self._reserve_bytes = reserve_bytes
        self._threads = ThreadPoolExecutor(6, thread_name_prefix="check")

    def services(self) -> dict[str, bool]:
        """Return for each dependency whether it answers within CHECK_S (four seconds)."""
        checks: dict[str, Callable[[], None]] = {
            "database": self._database.check,
            "objects": self._storage.check,
            "queue": self._messages.check,
        }
        running = {name: self._threads.submit(_answers, check) for name, check in checks.items()}
        wait_for(running.values(), timeout=CHECK_S)
        return {name: future.done() and future.result() for name, future in running.items()}

    def is_ready(self, services: dict[str, bool]) -> bool:
        """Return whether the gateway can serve requests with these dependencies."""
        return all(services[name] for name in NEEDED)

    def overview(self) -> Overview:
        """Return everything at once. Raises StoreUnavailable if the database does not answer."""
        return Overview(self.services(), self.disk(), self.counts(), self.nodes(), self.backup())

    def disk(self) -> Disk:
        """Return the disk space of this node."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        usage = shutil.disk_usage(self._data_dir)
        return Disk(usage.total, usage.free, self._reserve_bytes, self._storage.free_bytes())

    def counts(self) -> Counts:
        """Return the counts of files, stored bytes, jobs and unfinished uploads."""
        return self._database.read(counts.count)

    def nodes(self) -> list[Node]:
        """Return all known nodes, the most recently seen first."""
        return self._database.read(nodes.all_nodes)

    def backup(self) -> BackupOverview:
        """Return the state of the backup."""
        return Backups(self._database).overview()

    def power(self, principal: Principal) -> list[PowerOfNode]:
        """Return the power of the nodes that encode, the most recently seen first. Only the owner gets the history."""

        def work(tx: Tx) -> list[PowerOfNode]:
            nodes_with_power = [node for node in nodes.all_nodes(tx) if node.power is not None]
            if not principal.is_owner:
                return [PowerOfNode(node, None) for node in nodes_with_power]
            return [PowerOfNode(node, tuple(power.changes(tx, node.name, CHANGES_SHOWN))) for node in nodes_with_power]

        return self._database.read(work)

    def close(self) -> None:
        """End the checking threads."""
        self._threads.shutdown(wait=False)


def _answers(check: Callable[[], None]) -> bool:
    try:
        check()
    except StoreUnavailable:
        return False
    return True
