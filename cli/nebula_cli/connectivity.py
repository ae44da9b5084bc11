"""Checks the way to the server step by step (name, tailnet, port, service); says which step fails and what to do."""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from nebula_cli.client import Server
from nebula_cli.errors import CliError, Unreachable

PORTS = {"http": 80, "https": 443}
CONNECT_S = 5.0
TAILNETS = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("fd7a:115c:a1e0::/48"))


def ping(url: str) -> dict[str, Any]:
    """Return {server, version, round_trip_ms}. Raises Unreachable, which names the step that failed."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    addresses = _resolved(host, port)
    _connected(host, port, addresses)
    return _answered(url)


def _resolved(host: str, port: int) -> list[str]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"name: {host} is not known here ({getattr(error, 'strerror', None) or error}); "
            "is Tailscale up on this machine? tailscale status"
        ) from error
    return list(dict.fromkeys(str(address[4][0]) for address in entries))


def _connected(host: str, port: int, addresses: list[str]) -> None:
    failures = [failure for address in addresses if (failure := _try(address, port))]
    if len(failures) < len(addresses):
        return
    refused = next((failure for failure in failures if isinstance(failure, ConnectionRefusedError)), None)
    if refused is not None:
        raise Unreachable(
            f"port: {host} is there, but nothing listens on port {port}; "
            "start the server (nebula-server up, or systemctl status nebula-api), or check the address"
        ) from refused
    raise Unreachable(_no_way(host, addresses, failures[0])) from failures[0]


def _try(address: str, port: int) -> OSError | None:
    try:
        socket.create_connection((address, port), CONNECT_S).close()
    except OSError as error:
        return error
    return None


def _no_way(host: str, addresses: list[str], failure: OSError) -> str:
    why = "no answer" if isinstance(failure, TimeoutError) else (failure.strerror or str(failure)).lower()
    if any(_is_tailnet(address) for address in addresses):
        return f"tailnet: no way to {host} ({why}); is Tailscale up on both machines? tailscale status"
    return f"tailnet: no way to {host} ({why}), and it is no tailnet address; use the machine's tailnet name"


def _is_tailnet(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(parsed in network for network in TAILNETS)


def _answered(url: str) -> dict[str, Any]:
    server = Server(url)
    try:
        server.request("GET", "/ping", connect_s=CONNECT_S)
        # The second request uses the open connection, so it measures only the round trip.
        began = time.perf_counter()
        answer = server.request("GET", "/ping", connect_s=CONNECT_S)
        elapsed_ms = (time.perf_counter() - began) * 1000
        members = answer.json()
    except CliError as error:
        raise Unreachable(f"service: the port is open, but Nebula does not answer at {url}; see its journal") from error
    if answer.status != 200 or members.get("ping") != "pong":
        raise Unreachable(f"service: what answers at {url} is not Nebula; check the address: nebula login --server URL")
    return {"server": url, "version": str(members.get("version", "?")), "round_trip_ms": round(elapsed_ms, 1)}
