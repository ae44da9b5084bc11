"""Which tests share a process where several run (pytest-xdist, --dist loadfile): a file's, and those of one laptop.

xdist_group would say it, too, but does nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386).
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# The files whose machine is a provisioned laptop, which takes minutes to make: one for each of these groups, which take
# about as long as one another.
LAPTOPS = {
    "one laptop": ("door", "gitops", "operations_page", "power_on_machine", "provisioned", "restarts", "rotation"),
    "another laptop": ("add_worker", "backup", "restore", "stores_elsewhere"),
}
LAPTOP_OF = {f"tests/host/test_{name}.py": laptop for laptop, names in LAPTOPS.items() for name in names}


class ByFile(LoadFileScheduling):
    """Gives a process whole files, and those of a laptop as one."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return LAPTOP_OF.get(path, path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Replace pytest-xdist's own where whole files were asked for."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
