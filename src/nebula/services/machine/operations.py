"""What an owner may ask the machine to do. A request is a row and an id in the spool; root's path unit runs it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from nebula.db import operations
from nebula.db.database import Database, Tx
from nebula.domain.records import Operation, Principal
from nebula.domain.states import OperationKind, OperationState
from nebula.errors import Conflict, InvalidInput, NotFound, StoreUnavailable

log = logging.getLogger(__name__)

SHOWN = 50
ASKED_FOR = (OperationKind.BACKUP, OperationKind.ROLLBACK)
PUSH = "push"


class Operations:
    """The use cases of operations.

    `spool` is a directory that the machine watches; None if nothing watches one (script/server).
    """

    def __init__(self, database: Database, spool: Path | None) -> None:
        self._database = database
        self._spool = spool

    def latest(self) -> list[Operation]:
        """Return the latest operations, the newest first."""
        return self._database.read(lambda tx: operations.latest(tx, SHOWN))

    def request(self, principal: Principal, kind: OperationKind) -> Operation:
        """Ask for an operation. If one of that kind is already waiting or running, return it.

        Raises InvalidInput if the kind cannot be asked for, and Conflict if the machine was not provisioned.
        """
        if kind not in ASKED_FOR:
            raise InvalidInput("A deploy is asked for by git push nebula main.", code="invalid_kind", field="kind")
        spool = self._checked_spool()

        def work(tx: Tx) -> Operation:
            return operations.live(tx, kind) or operations.add(tx, kind, principal.name)

        operation = self._database.write(work)
        if operation.state is OperationState.QUEUED:
            self._put(spool, operation)
        log.info("asked operation=%s kind=%s account=%s", operation.id, kind, principal.account_id)
        return operation

    def begin(self, commit_id: str) -> Operation:
        """Record that the machine begins to deploy a commit that was pushed."""

        def work(tx: Tx) -> Operation:
            operations.end_cut_off(tx)
            operation = operations.add(tx, OperationKind.DEPLOY, PUSH, commit_id=commit_id)
            tx.flush()
            return operations.take(tx, operation.id) or operation

        return self._database.write(work)

    def take(self, operation_id: str) -> Operation:
        """Record that the machine begins an operation. Raises NotFound if no operation of that id waits."""

        def work(tx: Tx) -> Operation:
            operations.end_cut_off(tx)
            operation = operations.take(tx, operation_id)
            if operation is None:
                raise NotFound("No operation of that id waits.")
            return operation

        return self._database.write(work)

    def end(self, operation_id: str, state: OperationState, message: str, release: str | None) -> None:
        """Record how an operation ended. Raises NotFound if no operation of that id runs."""
        if not self._database.write(lambda tx: operations.end(tx, operation_id, state, message, release)):
            raise NotFound("No operation of that id runs.")

    def end_cut_off(self) -> None:
        """Record that no operation is running: after a restore, running ones were on another machine."""
        self._database.write(operations.end_cut_off)

    def _checked_spool(self) -> Path:
        if self._spool is None or not self._spool.is_dir():
            raise Conflict(
                "Nothing here carries out operations: this server was not installed by playbooks/site.yml.",
                code="not_provisioned",
            )
        return self._spool

    def _put(self, spool: Path, asked: Operation) -> None:
        try:
            os.close(os.open(spool / asked.id, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            # The row stays queued; a second request writes its id again.
            raise StoreUnavailable(
                "spool", f"The request could not be written ({error.strerror}); try again."
            ) from error


def running_release() -> str | None:
    """Return the name of the release that this process runs, or None if it is not in releases/."""
    home = Path(sys.prefix).resolve().parent
    return home.name if home.parent.name == "releases" else None
