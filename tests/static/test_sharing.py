"""A process gets whole files, all files of one provisioned laptop together, and the longest ones first."""

from __future__ import annotations

import re
from collections import OrderedDict

from tests.sharing import LAPTOP_OF, LAPTOPS, LONGEST_FIRST, ByFile
from tests.static.source import ROOT


class Node:
    """Stands for a process that is sent tests by their numbers."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.sent.append(numbers)


def test_files_of_a_laptop_are_shared_out_as_one_and_others_by_themselves() -> None:
    split = object.__new__(ByFile)._split_scope
    assert split("tests/host/test_door.py::test_a[12]") == "one laptop"
    assert split("tests/host/test_restarts.py::test_b[12]") == "one laptop"
    assert split("tests/host/test_bed.py::test_c[12]") == "tests/host/test_bed.py"


def test_each_file_that_uses_the_laptop_is_one_laptops() -> None:
    asks = re.compile(r"^def [a-z]\w*\([^)]*\bowner: Owner", re.M)  # a test or a fixture
    texts = {path: path.read_text() for path in (ROOT / "tests/host").glob("test_*.py")}
    using = [path for path, text in texts.items() if asks.search(text) and "def owner(" not in text]
    assert {str(path.relative_to(ROOT)) for path in using} == set(LAPTOP_OF)
    assert len(LAPTOP_OF) == sum(len(names) for names in LAPTOPS.values())


def test_longest_files_go_first_and_the_others_as_they_come() -> None:
    node = Node()
    files = ["tests/unit/test_a.py", "tests/unit/test_b.py", LONGEST_FIRST[-1], LONGEST_FIRST[0]]
    sharing = object.__new__(ByFile)
    sharing.workqueue = OrderedDict((file, {f"{file}::test": False}) for file in files)
    sharing.assigned_work = {node: {}}
    sharing.registered_collections = {node: [f"{file}::test" for file in files]}
    while sharing.workqueue:
        sharing._assign_work_unit(node)
    assert node.sent == [[3], [2], [0], [1]]


def test_each_long_file_exists() -> None:
    missing = [scope for scope in LONGEST_FIRST if scope not in LAPTOPS and not (ROOT / scope).exists()]
    assert missing == []
