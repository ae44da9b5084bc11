"""The sweep: each minute it repairs what a crash, a lost message or the outage of a store left undone.

Its steps are independent. If a step fails, the error is logged and the next step runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from nebula.db import accounts, links, power
from nebula.db.database import Database
from nebula.db.work import adopting, families, tasks
from nebula.errors import StoreUnavailable
from nebula.messages import Messages

log = logging.getLogger(__name__)


class Sweeper(Protocol):
    """A service with something to sweep."""

    def sweep(self) -> None:
        """Finish or undo what was left half done. It may run at any time, and on several nodes at once."""


class Sweep:
    """All steps of the sweep, in order."""

    def __init__(
        self,
        database: Database,
        messages: Messages,
        *,
        plan_anew: Callable[[], None],
        uploads: Sweeper,
        library: Sweeper,
    ) -> None:
        self._database = database
        self._messages = messages
        self._parts: list[tuple[str, Callable[[], None]]] = [
            ("leases", self._expire_leases),
            ("jobs of the version before", self._adopt),
            ("encoders", self._free_stranded),
            ("plans", plan_anew),
            ("queues", self._wake_queues),
            ("uploads", uploads.sweep),
            ("library", library.sweep),
            ("accounts", lambda: database.write(accounts.tidy)),
            ("links", lambda: database.write(links.tidy)),
            ("power", lambda: database.write(power.tidy)),
        ]

    def run(self) -> None:
        """Run every step once."""
        for name, part in self._parts:
            try:
                part()
            except StoreUnavailable as error:
                log.warning("sweep waits part=%s store=%s", name, error.store)
            except Exception:  # an error in one step must not keep the others from running
                log.exception("sweep failed part=%s", name)

    def _expire_leases(self) -> None:
        for interrupted in self._database.write(tasks.expire):
            log.warning("lease ran out %s", interrupted.shown)

    def _adopt(self) -> None:
        for job_id in self._database.write(adopting.adopt):
            log.info("adopted job=%s", job_id)

    def _free_stranded(self) -> None:
        for job_id, encoder in self._database.write(families.free_stranded):
            log.warning("restarted job=%s encoder=%s reason='no node has it any more'", job_id, encoder)

    def _wake_queues(self) -> None:
        for queue in self._database.read(tasks.waiting_queues):
            self._messages.wake(queue)
