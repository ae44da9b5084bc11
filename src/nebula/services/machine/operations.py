"""What an owner may ask of the machine itself. A row and an id in the spool: carrying it out is the machine's."""

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
    """`spool` is a directory that the machine watches; None where nothing does (script/server)."""

    def __init__(self, database: Database, spool: Path | None) -> None:
        self._database = database
        self._spool = spool

    def latest(self) -> list[Operation]:
        """Return the latest operations, the newest first."""
        return self._database.read(lambda tx: operations.latest(tx, SHOWN))

    def request(self, principal: Principal, kind: OperationKind) -> Operation:
        """Ask for an operation. One of that kind that still waits or runs is the answer to a second request.

        Raises InvalidInput for what cannot be asked for, Conflict on a machine that was not provisioned.
        """
        if kind not in ASKED_FOR:
            raise InvalidInput("A deploy is asked for by git push nebula main.", code="invalid_kind", field="kind")
        spool = self._checked_spool()

        def work(tx: Tx) -> Operation:
            return operations.live(tx, kind) or operations.add(tx, kind, principal.name)

        asked = self._database.write(work)
        if asked.state is OperationState.QUEUED:
            self._put(spool, asked)
        log.info("asked operation=%s kind=%s account=%s", asked.id, kind, principal.account_id)
        return asked

    def begin(self, commit_id: str) -> Operation:
        """Note that the machine deploys a commit that was pushed."""

        def work(tx: Tx) -> Operation:
            operations.end_cut_off(tx)
            added = operations.add(tx, OperationKind.DEPLOY, PUSH, commit_id=commit_id)
            tx.flush()
            return operations.take(tx, added.id) or added

        return self._database.write(work)

    def take(self, operation_id: str) -> Operation:
        """Note that the machine carries out what was asked for. Raises NotFound where nothing of that id waits."""

        def work(tx: Tx) -> Operation:
            operations.end_cut_off(tx)
            taken = operations.take(tx, operation_id)
            if taken is None:
                raise NotFound("No operation of that id waits.")
            return taken

        return self._database.write(work)

    def end(self, operation_id: str, state: OperationState, message: str, release: str | None) -> None:
        """Note how an operation ended. Raises NotFound where nothing of that id runs."""
        if not self._database.write(lambda tx: operations.end(tx, operation_id, state, message, release)):
            raise NotFound("No operation of that id runs.")

    def end_cut_off(self) -> None:
        """Note that nothing is carried out now: what was, was on another machine, before a restore."""
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
            # The row waits; asking again writes its id again.
            raise StoreUnavailable(
                "spool", f"The request could not be written ({error.strerror}); try again."
            ) from error


def running_release() -> str | None:
    """Return the name of the release that this process runs; None outside of releases/."""
    home = Path(sys.prefix).resolve().parent
    return home.name if home.parent.name == "releases" else None
