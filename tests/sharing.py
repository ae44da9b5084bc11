"""Which tests share a process where several run (pytest-xdist, --dist loadfile): a file's, and all of one laptop's.

xdist_group would say it, too, but does nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386).
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# The files whose machine is the one provisioned laptop, which takes minutes to make.
OF_THE_LAPTOP = {
    f"tests/host/test_{name}.py"
    for name in (
        "add_worker",
        "backup",
        "door",
        "gitops",
        "operations_page",
        "power_on_machine",
        "provisioned",
        "restarts",
        "restore",
        "rotation",
        "stores_elsewhere",
    )
}


class ByFile(LoadFileScheduling):
    """Gives a process whole files, and those of the laptop as one."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return "laptop" if path in OF_THE_LAPTOP else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Replace pytest-xdist's own where whole files were asked for."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
