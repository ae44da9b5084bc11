"""How the machine is, for people: `GET /status` and, for the owner, `GET /nodes`."""

from __future__ import annotations

import falcon

import nebula
from nebula.api.gates import Gates
from nebula.api.listings import write_listing
from nebula.api.requests import principal
from nebula.api.resources.health import services_json
from nebula.api.shapes import backup_json, node_json
from nebula.services.operations import running_release
from nebula.services.status import Status as StatusService


class Status:
    """`GET /status`: services, disk, queue, streams; to the owner, the backup."""

    def __init__(self, status: StatusService, gates: Gates) -> None:
        self._status = status
        self._gates = gates

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        overview = self._status.overview()
        counts, disk = overview.counts, overview.disk
        queue: dict[str, dict[str, int]] = {}
        for (name, state), number in counts.jobs.items():
            queue.setdefault(name, {})[state] = number
        resp.media = {
            "version": nebula.__version__,
            "release": running_release(),
            "services": services_json(overview.services),
            "disk": {
                "total_bytes": disk.total_bytes,
                "free_bytes": disk.free_bytes,
                "reserve_bytes": disk.reserve_bytes,
                "objects_free_bytes": disk.objects_free_bytes,
            },
            "files": {str(state): number for state, number in counts.files.items()},
            "stored_bytes": counts.stored_bytes,
            "queue": queue,
            "uploads": counts.uploads,
            "streams": self._gates.streams.inside,
            "nodes": len(overview.nodes),
            "backup": backup_json(overview.backup) if principal(req).is_owner else None,
        }
        resp.set_header("Cache-Control", "no-store")


class Nodes:
    """`GET /nodes`."""

    owner_only = True

    def __init__(self, status: StatusService) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        write_listing(req, resp, [node_json(node) for node in self._status.nodes()], None)
