"""The power command: power and heat of the machines that encode, what their encoder may do, and why."""

from __future__ import annotations

from typing import Any

from nebula_cli import formats, output, shapes
from nebula_cli.command_line import command
from nebula_cli.signed_in import SignedIn

SHOWN = 10
MEANINGS = {
    "run": "encoding with everything",
    "gently": "encoding with half of the threads",
    "pause": "encoding is paused, and goes on where it is",
    "hand_back": "encoding is given back, and starts again later or on another machine",
}


@command
def power(*, json: bool = False) -> None:
    """Show battery, mains power and heat, what the encoder may do, and why.

    --json  print the API's objects, one per line
    """
    nodes = list(SignedIn().items("/power"))
    if json:
        output.print_all(nodes)
        return
    if not nodes:
        output.say("No machine has read its power yet; is a worker running? nebula status")
    for number, node in enumerate(nodes):
        if number:
            output.data("")
        _show(node)


def _show(node: dict[str, Any]) -> None:
    for title, value in _facts(node):
        output.data(f"{title + ':':<12} {value}")
    history = node.get("history") or []
    if history:
        output.data("history:")
        for change in history[:SHOWN]:
            words = [formats.local_time(change.get("at")), str(change.get("throttle")), _reasons(change)]
            output.data("  " + "  ".join(output.clean(word) for word in words if word))


def _facts(node: dict[str, Any]) -> list[tuple[str, str]]:
    throttle = output.clean(str(node.get("throttle", "")))
    since = formats.local_time(node.get("since"))
    facts = [
        ("node", output.clean(str(node.get("node", "")))),
        ("power", _supply(node)),
        ("heat", f"{node['temperature_c']:.0f} °C" if node.get("temperature_c") is not None else "unknown"),
        ("encoder", output.clean(str(node.get("encoder") or ""))),
        ("watching", str(node["viewers"]) if node.get("viewers") else ""),
        ("throttle", f"{output.painted(throttle, shapes.STATE_COLOURS.get(throttle, ''))}, since {since}"),
        ("means", MEANINGS.get(throttle, "")),
        ("because", output.clean(_reasons(node))),
        (
            "waited",
            f"{formats.duration(node['paused_s'])} in all, to spare the battery" if node.get("paused_s") else "",
        ),
        *(("not read", output.clean(str(problem))) for problem in node.get("problems") or []),
        ("read", _age(node)),
    ]
    return [(title, value) for title, value in facts if value]


def _supply(node: dict[str, Any]) -> str:
    words = {True: "on mains", False: "on battery", None: "unknown"}[node.get("on_mains")]
    return f"{words}, {node['percent']:.0f} %" if node.get("percent") is not None else words


def _reasons(thing: dict[str, Any]) -> str:
    return "; ".join(str(reason) for reason in thing.get("reasons") or [])


def _age(node: dict[str, Any]) -> str:
    age = formats.age(node.get("read_at"))
    return age if age in {"", "now"} else f"{age} ago"
