"""`GET /power`: what each node's power is, and what its encoder may do and why."""

from __future__ import annotations

import falcon

from nebula.api.listings import write_listing
from nebula.api.objects import POWER
from nebula.api.requests import principal
from nebula.services.machine.status import Status


class Power:
    """Everyone may know why a film waits; the history is the owner's."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        write_listing(req, resp, [POWER.json(node) for node in self._status.power(principal(req))], None)
