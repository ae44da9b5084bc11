"""The settings of gunicorn for the gateway (`--config python:nebula.api.gateway`): this module's names.

gunicorn uses systemd's sockets (LISTEN_FDS) by itself; `--bind` counts only if there are none. There is only one worker
process, because the gates and the five-second session cache are in its memory. Always restart, never reload: the old
arbiter would keep the old libraries.
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
# A connection that waits for its client needs one descriptor and no thread.
worker_connections = int(CONNECTIONS)
keepalive = 15
# If the gateway restarts, players continue by themselves with the next range; API calls end in less time than this.
graceful_timeout = 3
# The main loop never waits for a client, so if it sends no heartbeat for this long, it is broken.
timeout = int(STALL_S)

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
http_parser = "python"
# No peer may claim another address. Only the unix socket may, which only this machine reaches (tailscale serve).
forwarded_allow_ips = ""

control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Off, because clients poll once a second. Events are logged by the code that handles them, never with a token.
accesslog = None


def on_starting(_server: Any) -> None:
    """Check the settings, and prepare what the worker inherits: the logging and the limit on open descriptors."""
    try:
        load()
    except SettingsError as error:
        # Checked here and not in the worker: gunicorn would start that again and again, with a traceback each time.
        print(f"nebula-server: {error.message}", file=sys.stderr)
        sys.exit(1)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("nebula").setLevel(logging.INFO)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    desired_limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, desired_limit), hard))


def argv(settings: Settings) -> list[str]:
    """Return the command that runs the gateway. The gateway reads its settings from the environment."""
    return [sys.executable, "-m", "gunicorn", "--config", f"python:{__name__}", "--bind", settings.bind]
