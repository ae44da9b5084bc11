"""The state of the machine, for people: `GET /status` and, only for the owner, `GET /nodes`."""

from __future__ import annotations

import falcon

import nebula
from nebula.api.gates import Gates
from nebula.api.listings import write_listing
from nebula.api.objects import NODE, STATUS
from nebula.api.requests import principal
from nebula.api.resources.health import services_json
from nebula.services.machine.operations import running_release
from nebula.services.machine.status import Status as StatusService


class Status:
    """`GET /status`: services, disk, queue, streams and, only for the owner, the backup."""

    def __init__(self, status: StatusService, gates: Gates) -> None:
        self._status = status
        self._gates = gates

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        overview = self._status.overview()
        queue: dict[str, dict[str, int]] = {}
        for (name, state), number in overview.counts.jobs.items():
            queue.setdefault(name, {})[state] = number
        resp.media = STATUS.json(
            overview,
            version=nebula.__version__,
            release=running_release(),
            services=services_json(overview.services),
            queue=queue,
            streams=self._gates.streams.inside,
            backup=overview.backup if principal(req).is_owner else None,
        )
        resp.set_header("Cache-Control", "no-store")


class Nodes:
    """`GET /nodes`."""

    owner_only = True

    def __init__(self, status: StatusService) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        write_listing(req, resp, [NODE.json(node) for node in self._status.nodes()], None)
