"""Whole files go to a process, and those that use the provisioned laptop all to one."""

from __future__ import annotations

from tests.sharing import OF_THE_LAPTOP, ByFile
from tests.static.source import ROOT


def test_files_of_the_laptop_are_shared_out_as_one_and_others_by_themselves() -> None:
    split = object.__new__(ByFile)._split_scope
    assert split("tests/host/test_door.py::test_a[12]") == split("tests/host/test_restarts.py::test_b[12]") == "laptop"
    assert split("tests/host/test_bed.py::test_c[12]") == "tests/host/test_bed.py"


def test_files_of_the_laptop_are_there() -> None:
    assert [name for name in OF_THE_LAPTOP if not (ROOT / name).exists()] == []
