"""Liveness, readiness and metrics, for monitoring programs that do not sign in."""

from __future__ import annotations

import hmac

import falcon

import nebula
from nebula.api.gates import Gates
from nebula.api.metrics import exposition
from nebula.api.objects import PING, READINESS
from nebula.errors import NotFound, SignInRequired
from nebula.services.machine.status import Status


class Ping:
    """`GET /ping` and `/healthz`: answers if a thread is free, even if the stores are down."""

    public = True

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = PING.json(None, ping="pong", version=nebula.__version__)
        resp.set_header("Cache-Control", "no-store")


class Readiness:
    """`GET /readyz`: the state of each dependency; 503 if a required one does not answer."""

    public = True

    def __init__(self, status: Status) -> None:
        self._status = status

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        services = self._status.services()
        ready = self._status.is_ready(services)
        resp.status = falcon.HTTP_200 if ready else falcon.HTTP_503
        resp.media = READINESS.json(None, ready=ready, version=nebula.__version__, services=services_json(services))
        resp.set_header("Cache-Control", "no-store")


class Metrics:
    """`GET /metrics`: Prometheus text for the bearer of METRICS_TOKEN; 404 if it is not set."""

    public = True

    def __init__(self, status: Status, gates: Gates, token: str) -> None:
        self._status = status
        self._gates = gates
        self._token = token

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if not self._token:
            raise NotFound("There are no metrics here: METRICS_TOKEN is not set.")
        bearer_token = (req.get_header("Authorization") or "").removeprefix("Bearer ")
        if not hmac.compare_digest(bearer_token.encode(), self._token.encode()):
            raise SignInRequired("Metrics are for the bearer of METRICS_TOKEN.")
        resp.content_type = "text/plain; version=0.0.4; charset=utf-8"
        resp.text = exposition(self._status, self._gates)


def services_json(services: dict[str, bool]) -> dict[str, str]:
    """Return each dependency as `up` or `down`."""
    return {name: "up" if answers else "down" for name, answers in services.items()}
