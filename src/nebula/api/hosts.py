"""The Host header: each HTTP/1.1 request must have exactly one, and it must be valid (RFC 9112 3.2)."""

from __future__ import annotations

import re
from typing import Any

from gunicorn.http.errors import InvalidHeader

# RFC 3986 3.2.2 without the comma (a list of hosts is not a host), and an optional port.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?")


def check(request: Any) -> None:
    """Raise InvalidHeader if gunicorn's `request` has no Host, an invalid one, or several."""
    hosts = [value for name, value in request.headers if name == "HOST"]
    required = 1 if request.version >= (1, 1) else 0
    if not required <= len(hosts) <= 1 or not all(_HOST.fullmatch(host) for host in hosts):
        raise InvalidHeader("HOST", req=request)
