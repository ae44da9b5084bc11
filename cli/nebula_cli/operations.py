"""Waits for an operation of the machine (backup, rollback) to end."""

from __future__ import annotations

import time
from typing import Any

from nebula_cli import output
from nebula_cli.errors import CliError
from nebula_cli.retrying import Patience
from nebula_cli.signed_in import SignedIn

POLL_S = 1.0


def ended(api: SignedIn, asked: dict[str, Any], waited_s: float, otherwise: str) -> dict[str, Any]:
    """Wait until an operation has ended, and return it. The gateway may restart meanwhile.

    Raises CliError with the message `otherwise` if it has not ended after `waited_s`.
    """
    patience, deadline = Patience(output.say), time.monotonic() + waited_s
    while time.monotonic() < deadline:
        try:
            operation = next((one for one in api.items("/operations") if one["id"] == asked["id"]), asked)
            patience.got_on()
        except CliError as error:
            patience.wait(error)
            continue
        if operation.get("state") in {"done", "failed"}:
            return operation
        time.sleep(POLL_S)
    raise CliError(otherwise)
