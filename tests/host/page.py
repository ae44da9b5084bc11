"""The answers of docs/laptop.md: what a test carries out is what an owner reads there."""

from __future__ import annotations

import re

from tests.host.site import Owner
from tests.static.source import ROOT

PAGE = ROOT / "docs" / "laptop.md"
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.M | re.S)
AT_THE_LAPTOP = "sudo "


def commands(question: str) -> list[str]:
    """Return the commands below a heading, in their order; lines that go on are one."""
    _, found, rest = PAGE.read_text().partition(f"\n## {question}\n")
    assert found, f"{PAGE.name} does not ask: {question}"
    answer, _, _ = rest.partition("\n## ")
    lines = "\n".join(BLOCK.findall(answer)).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def carry_out(owner: Owner, command: str, *, stdin: str = "", **words: str) -> str:
    """Type one of those commands, NAME and the like replaced; return what it printed."""
    for placeholder, word in words.items():
        assert placeholder in command, f"{command} has no {placeholder}"
        command = command.replace(placeholder, word)
    if command.startswith(AT_THE_LAPTOP):
        return owner.machine.run(command.removeprefix(AT_THE_LAPTOP), stdin=stdin)
    program, *rest = command.split()
    assert program == "nebula", command
    return owner.nebula(*rest, stdin=stdin)
