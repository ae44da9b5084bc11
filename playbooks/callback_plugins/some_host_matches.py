"""Fails a playbook of this directory at its start, with one sentence, if it has no machine to run on.

Ansible itself would skip each play and exit 0, so a nightly verify.yml would succeed forever with an empty inventory or
a misspelt group. A play on localhost cannot check this, because --limit excludes localhost, too. Ansible finds this
file beside the playbooks without any setting, whatever directory it is started in.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

# These also run on worker nodes alone; all other playbooks need the laptop.
FOR_EACH_MACHINE = frozenset({"site.yml", "verify.yml", "deploy.yml"})


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Checks the inventory once, before the first play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "some_host_matches"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """End the run if no host matches. Raises SystemExit, because Ansible only warns of other exceptions here."""
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
