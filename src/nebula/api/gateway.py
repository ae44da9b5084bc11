"""How gunicorn runs the gateway: its settings are this module's names (`--config python:nebula.api.gateway`).

gunicorn reads systemd's sockets (LISTEN_FDS) by itself; `--bind` counts only where there are none. One process, for
the gates and the five-second memory of sessions are kept in it. Always restart it, never reload: the old arbiter would
keep the old libraries.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from typing import Any

from nebula.config import Settings, load
from nebula.domain.limits import CONNECTIONS, STALL_S, STREAMS, TURNS, UPLOADS
from nebula.errors import SettingsError

OPEN_FILES = 16_384

wsgi_app = "nebula.api.app:create_app()"
worker_class = "nebula.api.connections.ConnectionWorker"
proc_name = "nebula-api"

workers = 1
threads = int(STREAMS + UPLOADS + TURNS)
# Connections that wait for their client cost a descriptor each and no thread.
worker_connections = int(CONNECTIONS)
keepalive = 15
# What streams when the gateway restarts goes on by itself with the next range; API calls are done long before.
graceful_timeout = 3
# A main loop that says nothing for so long is broken: it never waits for anybody.
timeout = int(STALL_S)

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
http_parser = "python"
# No address may say that it speaks for another. A unix socket, which only this machine reaches, may (tailscale serve).
forwarded_allow_ips = ""

control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Clients ask once a second: what happens is logged where it happens, by name and never with a token.
accesslog = None


def on_starting(_server: Any) -> None:
    """Check the settings, and prepare what the worker inherits: its logging and the descriptors that it may open."""
    try:
        load()
    except SettingsError as error:
        # Here and not in the worker, which gunicorn would start again, with a traceback each time.
        print(f"nebula-server: {error.message}", file=sys.stderr)
        sys.exit(1)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("nebula").setLevel(logging.INFO)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def argv(settings: Settings) -> list[str]:
    """Return the command that runs the gateway; it reads its settings from the environment, as this process did."""
    return [sys.executable, "-m", "gunicorn", "--config", f"python:{__name__}", "--bind", settings.bind]
