"""Fails a playbook of this directory at its start, with one sentence, if it has no machine to do anything on.

Ansible itself skips each play and exits 0: a nightly verify.yml would be content for ever with an empty inventory, or a
misspelt group. A play on localhost cannot check it: --limit leaves localhost out, too. Ansible finds this file beside
the playbooks, without any setting, wherever it is started.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

# These are for each machine, or for some; the others do nothing without the laptop.
FOR_EACH_MACHINE = frozenset({"site.yml", "verify.yml", "deploy.yml"})


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Looks once, before the first play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "some_host_matches"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """End the run if no host matches. SystemExit: other exceptions of a callback are only warned of."""
        path = Path(playbook._file_name)
        plays = playbook.get_plays()
        if path.resolve().parent != Path(__file__).resolve().parent.parent or not plays:
            return
        pattern = "nebula:workers" if path.name in FOR_EACH_MACHINE else "nebula"
        inventory = plays[0].get_variable_manager()._inventory
        if not inventory.get_hosts(pattern):
            sys.exit(f"ERROR: {_sentence(path.name, pattern, inventory)}")


def _sentence(name: str, pattern: str, inventory: Any) -> str:
    sources = ", ".join(str(source) for source in inventory._sources) or "inventory.ini"
    groups = " or ".join(f"[{group}]" for group in pattern.split(":"))
    if inventory.get_hosts(pattern, ignore_limits=True):
        why = f"--limit {context.CLIARGS.get('subset')} leaves no machine below {groups} in {sources}: correct its name"
    else:
        line = "write the laptop's tailnet name on a line of its own below [nebula]"
        why = f"The inventory names no machine: {line} in {sources}"
    return f"{why}, then run {name} again. Nothing was changed."
