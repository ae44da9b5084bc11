"""`GET /power`: the power readings of each node, what its encoder may do, and why."""

from __future__ import annotations

import falcon

from nebula.api.listings import write_listing
from nebula.api.objects import POWER
from nebula.api.requests import principal
from nebula.services.machine.status import Status


class Power:
    """Every account may see why a film waits; only the owner sees the history."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        write_listing(req, resp, [POWER.json(node) for node in self._status.power(principal(req))], None)
