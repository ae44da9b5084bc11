"""The backup command: show the state of the backup, or start one now."""

from __future__ import annotations

from typing import Any

from nebula_cli import formats, operations, output, shapes
from nebula_cli.command_line import command
from nebula_cli.errors import CliError, UsageError
from nebula_cli.signed_in import SignedIn

WAITED_S = 24 * 3600  # long enough for the first backup of a full disk
HOW = "Name a target in backup_repository, and run playbooks/site.yml --tags backup (docs/provisioning.md)"
HOW_BY_HAND = "site.yml did not install this server: stop it, and copy its data directory (docs/server.md)"


@command
def backup(action: str, *, json: bool = False) -> None:
    """Show the state of the backup, or make a backup now (owner).

    ACTION is status or now. A backup is also made each night. The server keeps working during a backup.

    --json  print the API's object
    """
    if action not in {"status", "now"}:
        raise UsageError(f"backup has no {output.clean(action)!r}: nebula backup status, or nebula backup now.")
    api = SignedIn()
    if action == "status":
        _status(api, json)
    else:
        _now(api, json)


def line(found: dict[str, Any]) -> str:
    """Return the state of the backup in a few words, for nebula status."""
    state = str(found.get("state", ""))
    if state == "none":
        return "none set up; how: nebula backup status"
    words = [output.painted(state, shapes.STATE_COLOURS.get(state, ""))]
    if found.get("running"):
        words.append("one runs just now")
    words.append(f"last {_ago(found.get('succeeded_at'))}" if found.get("succeeded_at") else "none made yet")
    if state in {"failing", "overdue"} or found.get("warning"):
        words.append("see nebula backup status")
    return ", ".join(words)


def _status(api: SignedIn, json: bool) -> None:
    server_status = api.get("/status")
    backup_status = _of(server_status)
    if json:
        output.print_json(backup_status)
        return
    if backup_status.get("state") == "none":
        output.data(f"{'backup:':<12} none set up: what this machine stores is lost with its disk")
        output.say(HOW if server_status.get("release") else HOW_BY_HAND)
        return
    for title, value in _facts(backup_status):
        output.data(f"{title + ':':<12} {value}")


def _of(status: dict[str, Any]) -> dict[str, Any]:
    backup_status = status.get("backup")
    if not isinstance(backup_status, dict):
        raise CliError("The backup is the owner's matter", "Sign in as the owner: nebula login")
    return backup_status


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    texts = {name: output.clean(str(value)) for name, value in found.items() if value is not None}
    facts = [
        ("backup", line(found).removesuffix(", see nebula backup status")),
        ("target", texts.get("target", "")),
        ("kept", texts.get("kept", "")),
        ("last", _when(found, "succeeded_at", "said")),
        ("tried", formats.local_time(found.get("tried_at")) if found.get("error") else ""),
        ("failed", texts.get("error", "")),
        ("read again", _when(found, "read_at", "read_said")),
        ("damaged", texts.get("read_error", "")),
        ("but", texts.get("warning", "")),
    ]
    return [(title, value) for title, value in facts if value]


def _when(found: dict[str, Any], at: str, said: str) -> str:
    if not found.get(at):
        return ""
    return f"{formats.local_time(found[at])}. {output.clean(str(found.get(said) or ''))}"


def _ago(moment: str | None) -> str:
    age = formats.age(moment)
    return age if age in {"", "now"} else f"{age} ago"


def _now(api: SignedIn, json: bool) -> None:
    operation = api.send("POST", "/operations", {"kind": "backup"})
    output.say(
        "Backing up; everything goes on meanwhile. Ctrl-C leaves it running: nebula backup status tells its end."
    )
    outcome = operations.ended(api, operation, WAITED_S, "It has not ended yet; how it goes on: nebula backup status")
    if json:
        output.print_json(outcome)
    message = output.clean(str(outcome.get("message") or ""))
    if outcome.get("state") != "done":
        raise CliError(message or "The backup failed; see nebula backup status")
    if not json:
        output.data(message or "The backup is made.")
