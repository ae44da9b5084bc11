"""How files are given to processes (pytest-xdist, --dist loadfile): whole, those of one laptop together, longest first.

pytest-xdist has the mark xdist_group for groups, but it does nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386).
"""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# The files that use a provisioned laptop, which takes minutes to make. Each group makes one laptop, and the groups take
# about the same time.
LAPTOPS = {
    "one laptop": ("door", "gitops", "operations_page", "power_on_machine", "provisioned", "restarts", "rotation"),
    "another laptop": ("add_worker", "backup", "restore", "stores_elsewhere"),
}
LAPTOP_OF = {f"tests/host/test_{name}.py": laptop for laptop, names in LAPTOPS.items() for name in names}

# What takes longest starts first, so that no process works alone at the end.
_LONG = ("kills", "up", "chunks", "media", "hardware", "transcoding", "uploads_survive", "worker_grants", "worker")
_LONG += ("players", "gateway", "library", "openapi", "encoders", "chunked", "overlap", "backup_program", "bad_films")
LONGEST_FIRST = (
    *LAPTOPS,
    *(f"tests/host/test_{name}.py" for name in ("bed", "bad_input", "firewall_order")),
    *(f"tests/integration/test_{name}.py" for name in _LONG),
)


class ByFile(LoadFileScheduling):
    """Gives a process whole files, and the files of one laptop as if they were one file."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        return LAPTOP_OF.get(path, path)

    def _assign_work_unit(self, node: WorkerController) -> None:
        longest = next((scope for scope in LONGEST_FIRST if scope in self.workqueue), None)
        if longest:
            self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Replace the scheduler of pytest-xdist if whole files were asked for."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
