"""Build the transfer that a request wants to place in a gate: its holder, its progress, and how to cut it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import falcon

from nebula.api.client_socket import ClientSocket, queued_bytes
from nebula.api.gates import Transfer
from nebula.api.viewers import Viewer


def client_of(req: falcon.Request) -> ClientSocket | None:
    """Return the client's socket, or None if the request does not come through gunicorn."""
    client: ClientSocket | None = req.env.get("gunicorn.socket")
    return client


def download(req: falcon.Request, groups: tuple[str, str], viewer: Viewer) -> Transfer:
    """Return the transfer that sends a response body. `groups` are an account and one of its links, or OWN.

    The transfer must not refer to the body: the body gives its place back when it is garbage-collected.
    """
    client = client_of(req)
    return _transfer(client, (*groups, _address(req, client)), partial(_read_bytes, client, viewer))


def upload(req: falcon.Request, account_id: str) -> Transfer:
    """Return the transfer that receives a request body for an account."""
    client = client_of(req)
    holder = (account_id, _address(req, client))
    return _transfer(client, holder, lambda: 0 if client is None else client.received_bytes)


def _read_bytes(client: ClientSocket | None, viewer: Viewer) -> int:
    return viewer.moved_bytes - (0 if client is None else queued_bytes(client))


def _transfer(client: ClientSocket | None, holder: tuple[str, ...], progress: Callable[[], int]) -> Transfer:
    if client is None:
        return Transfer(holder)
    return Transfer(holder, lambda: _cut(client), progress, client.release_turn)


def _address(req: falcon.Request, client: ClientSocket | None) -> str:
    return str(req.remote_addr) if client is None else client.address


def _cut(client: ClientSocket | None) -> None:
    """Shut the connection down in both directions, so that threads that wait for the client wake up and fail."""
    with suppress(OSError):
        if client is not None:
            client.shutdown(socket.SHUT_RDWR)
