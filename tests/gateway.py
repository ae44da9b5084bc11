"""The real gateway: gunicorn in its own process, with the stores of one world."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nebula import config
from nebula.api import gateway
from nebula.storage.choose import open_storage
from tests.people import PASSWORD
from tests.stores import free_port, wait_until

# `python -m gunicorn`, with other limits than those of the product.
WITH_LIMITS = """
import runpy, sys
from nebula.domain import limits
for name, value in zip(sys.argv[1::2], sys.argv[2::2]):
    if name == "--":
        break
    setattr(limits, name, float(value))
sys.argv = ["gunicorn", *sys.argv[sys.argv.index("--") + 1 :]]
runpy.run_module("gunicorn", run_name="__main__")
"""


class RunningGateway:
    """The processes of a gateway. `start`, `kill` (SIGKILL to all of them) and `stop` may be called in any order.

    `patience` holds limits by name (domain/limits.py), so that a test need not wait as long as a person would.
    """

    def __init__(self, environ: dict[str, str], log: Path, **patience: float) -> None:
        self.patience = patience
        self.port = free_port()
        self.environ = environ | {"NEBULA_BIND": f"127.0.0.1:{self.port}"}
        self.settings = config.load(self.environ)
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._headers: dict[str, dict[str, str]] = {}
        self._open: list[http.client.HTTPConnection | http.client.HTTPResponse] = []

    def start(self) -> None:
        open_storage(self.settings).prepare()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv(), env=_bare() | self.environ, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: self.get("/ping").status == 200, 60, "start of the gateway")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as systemd does, and wait until it has ended."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def close(self) -> None:
        self._end(signal.SIGKILL)
        for opened in self._open:
            opened.close()

    def connect(self, timeout: float = 60) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
    ) -> http.client.HTTPResponse:
        """Send one request on a new connection; return the answer, whose body has not been read yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._open.append(connection)
        connection.request(method, path, body=body, headers=headers or {})
        self._open.append(answer := connection.getresponse())
        return answer

    def get(self, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        return self.request("GET", path, headers)

    def signed_in(self, name: str) -> dict[str, str]:
        """Return the headers of an account that `people` made. Raises ConnectionError if it is too early."""
        if name not in self._headers:
            given = json.dumps({"username": name, "password": PASSWORD})
            answer = self.request("POST", "/api/v1/auth/login", {"Content-Type": "application/json"}, given)
            if answer.status == 503:
                raise ConnectionError("not signed in yet: the gateway is busy, or a store does not answer")
            self._headers[name] = {"Authorization": f"Bearer {json.load(answer)['access_token']}"}
        return self._headers[name]

    def _argv(self) -> list[str]:
        python, *words = gateway.argv(self.settings)
        if not self.patience:
            return [python, *words]
        changed = [str(word) for limit in self.patience.items() for word in limit]
        return [python, "-c", WITH_LIMITS, *changed, "--", *words[2:]]

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, sign)
            self.process.wait()
            self.process = None


def running_gateway(environ: dict[str, str], log: Path, **patience: float) -> Iterator[RunningGateway]:
    """Yield a gateway that runs until the fixture ends."""
    running = RunningGateway(environ, log, **patience)
    try:
        running.start()
        yield running
    finally:
        running.close()


def _bare() -> dict[str, str]:
    """Return this environment without settings that a developer may have made."""
    ours = ("NEBULA_", "S3_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "GUNICORN_CMD_ARGS", "METRICS_TOKEN")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
