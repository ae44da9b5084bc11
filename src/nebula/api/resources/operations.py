"""`GET /operations` and `POST /operations`: backups, rollbacks and deploys. Only for the owner."""

from __future__ import annotations

import falcon

from nebula.api.listings import write_listing
from nebula.api.objects import OPERATION
from nebula.api.requests import JsonBodies, principal
from nebula.api.resources.files import member
from nebula.domain.states import OperationKind
from nebula.services.machine.operations import Operations as OperationsService


class Operations:
    """Lists and requests operations. A request only puts the id of a row into the spool; it runs nothing here."""

    owner_only = True

    def __init__(self, operations: OperationsService, bodies: JsonBodies) -> None:
        self._operations = operations
        self._bodies = bodies

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        write_listing(req, resp, [OPERATION.json(operation) for operation in self._operations.latest()], None)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        kind = member(OperationKind, "kind", self._bodies.read(req, kind=str)["kind"])
        resp.media = OPERATION.json(self._operations.request(principal(req), kind))
        resp.status = falcon.HTTP_202
