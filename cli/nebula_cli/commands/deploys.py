"""The deploy command: show which version of the server runs, or go back to the previous one."""

from __future__ import annotations

from typing import Any

from nebula_cli import formats, operations, output, shapes
from nebula_cli.command_line import command
from nebula_cli.errors import CliError, UsageError
from nebula_cli.signed_in import SignedIn

SHOWN = 10
WAITED_S = 15 * 60
TITLES = ("WHAT", "STATE", "COMMIT", "BY", "AGE", "OUTCOME")


@command
def deploy(action: str, *, json: bool = False) -> None:
    """Show which version runs and the latest deployments, or go back to the previous version (owner).

    ACTION is status or rollback. To deploy a new version: git push nebula main.

    --json  print the API's objects, one per line
    """
    if action not in {"status", "rollback"}:
        raise UsageError(f"deploy has no {output.clean(action)!r}: nebula deploy status, or nebula deploy rollback.")
    api = SignedIn()
    if action == "status":
        _status(api, json)
    else:
        _rollback(api, json)


def _status(api: SignedIn, json: bool) -> None:
    deployments = [
        operation for operation in api.items("/operations") if operation.get("kind") in {"deploy", "rollback"}
    ][:SHOWN]
    if json:
        output.print_all(deployments)
        return
    server_status = api.get("/status")
    release = server_status.get("release") or "no release: this server was not installed by site.yml"
    output.data(f"{'runs:':<12} {output.clean(str(release))}")
    output.data(f"{'version:':<12} {output.clean(str(server_status.get('version', '?')))}")
    if deployments:
        output.print_table(TITLES, [_row(operation) for operation in deployments], shapes.STATE_COLOURS)
    else:
        output.say("Nothing was deployed yet: git push nebula main")


def _rollback(api: SignedIn, json: bool) -> None:
    operation = api.send("POST", "/operations", {"kind": "rollback"})
    output.say("Going back to the version before; running players and uploads go on by themselves.")
    outcome = operations.ended(api, operation, WAITED_S, "It has not ended yet; how it goes on: nebula deploy status")
    if json:
        output.print_json(outcome)
    if outcome.get("state") != "done":
        raise CliError(output.clean(str(outcome.get("message") or "The way back failed; see nebula deploy status")))
    if not json:
        output.data(output.clean(str(outcome.get("message") or "Done.")))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(one.get("kind", "")),
        str(one.get("state", "")),
        str(one.get("commit") or "")[:12],
        str(one.get("asked_by", "")),
        formats.age(one.get("created_at")),
        str(one.get("message") or ""),
    )
