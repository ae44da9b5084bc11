"""How the machine is: dependencies, disk, queue, nodes."""

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
from nebula.services.machine.backups import Backups, BackupStanding
from nebula.storage.contract import ObjectStorage

CHECK_S = 4.0
CHANGES_SHOWN = 50  # of a node's history
NEEDED = ("database", "objects")  # without the queue everything works, only later


@dataclass(frozen=True)
class Disk:
    """Room where this node keeps its data; `objects_free_bytes` where the objects lie, None if that is elsewhere."""

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
    backup: BackupStanding


@dataclass(frozen=True)
class PowerOfNode:
    """A node with its power, and the latest changes where the one who asks may see them."""

    node: Node
    history: tuple[PowerChange, ...] | None


class Status:
    """Looks at everything that the gateway stands on."""

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
        """Say of each dependency whether it answers; none is waited for longer than four seconds."""
        checks: dict[str, Callable[[], None]] = {
            "database": self._database.check,
            "objects": self._storage.check,
            "queue": self._messages.check,
        }
        running = {name: self._threads.submit(_answers, check) for name, check in checks.items()}
        wait_for(running.values(), timeout=CHECK_S)
        return {name: future.done() and future.result() for name, future in running.items()}

    def is_ready(self, services: dict[str, bool]) -> bool:
        """Say whether the gateway can serve with these dependencies."""
        return all(services[name] for name in NEEDED)

    def overview(self) -> Overview:
        """Return everything at once. Raises StoreUnavailable where the database does not answer."""
        return Overview(self.services(), self.disk(), self.counts(), self.nodes(), self.backup())

    def disk(self) -> Disk:
        """Return the room on this node."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        usage = shutil.disk_usage(self._data_dir)
        return Disk(usage.total, usage.free, self._reserve_bytes, self._storage.free_bytes())

    def counts(self) -> Counts:
        """Return how many of what there are."""
        return self._database.read(counts.count)

    def nodes(self) -> list[Node]:
        """Return the nodes that were ever seen, the latest first."""
        return self._database.read(nodes.all_nodes)

    def backup(self) -> BackupStanding:
        """Return how the backup is."""
        return Backups(self._database).standing()

    def power(self, principal: Principal) -> list[PowerOfNode]:
        """Return the power of the nodes that encode, the latest seen first; the history is for the owner."""

        def work(tx: Tx) -> list[PowerOfNode]:
            found = [node for node in nodes.all_nodes(tx) if node.power is not None]
            if not principal.is_owner:
                return [PowerOfNode(node, None) for node in found]
            return [PowerOfNode(node, tuple(power.changes(tx, node.name, CHANGES_SHOWN))) for node in found]

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
