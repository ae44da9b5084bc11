"""Nothing in Nebula can switch a machine off, or let it sleep: that is upower's and logind's."""

from __future__ import annotations

import re

from tests.static.source import modules

MEANS = re.compile(
    r"poweroff|power[-_]off|halt\b|reboot|systemctl|loginctl|/sbin/|hibernate|suspend-then|sysrq|/sys/power|org\.freedesktop"
    r"|\bSIGPWR\b|\"shutdown\"|'shutdown'",
    re.IGNORECASE,
)


def test_no_module_knows_a_means_to_switch_a_machine_off() -> None:
    found = [
        f"{module.shown}:{number} {match[0]}"
        for module in modules("nebula")
        for number, line in enumerate(module.text.splitlines(), 1)
        if (match := MEANS.search(line))
    ]
    assert found == []
