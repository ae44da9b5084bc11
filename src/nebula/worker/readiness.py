"""Tells systemd when this process is ready (sd_notify(3)). Under script/server there is no systemd: sends nothing."""

from __future__ import annotations

import socket

from nebula import config

READY = "ready"  # what roles/worker/files/probe-workers waits for


def tell_ready() -> None:
    """Report that the worker has looked at its queue. systemd shows it as StatusText until the worker ends."""
    address = config.notify_socket()
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name in the abstract namespace (unix(7))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(f"READY=1\nSTATUS={READY}".encode(), address)
