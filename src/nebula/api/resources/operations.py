"""`GET /operations` and `POST /operations`: what the machine itself was asked to do. For the owner."""

from __future__ import annotations

import falcon

from nebula.api.listings import write_listing
from nebula.api.objects import OPERATION
from nebula.api.requests import JsonBodies, principal
from nebula.api.resources.files import member
from nebula.domain.states import OperationKind
from nebula.services.machine.operations import Operations as OperationsService


class Operations:
    """Asking is all that happens here: the id of a row goes into the spool."""

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
