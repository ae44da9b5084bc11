"""Whole files go to a process, and those that use one provisioned laptop all to one."""

from __future__ import annotations

import re

from tests.sharing import LAPTOP_OF, LAPTOPS, ByFile
from tests.static.source import ROOT


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
