"""A skipped test prints its reason (pytest -ra). If CI=true, it also fails the run unless it is listed here."""

from __future__ import annotations

import os

import pytest

# Node ids of tests that no CI machine can run. Each line states the reason.
EXPECTED: frozenset[str] = frozenset()

_unexpected: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and report.nodeid not in EXPECTED:
        _unexpected[report.nodeid] = _reason(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped and report.nodeid not in EXPECTED:
        _unexpected[report.nodeid] = _reason(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _must_fail() and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _must_fail():
        terminalreporter.section("skipped unexpectedly, which fails CI", red=True)
        for nodeid, reason in sorted(_unexpected.items()):
            terminalreporter.line(f"{nodeid}: {reason}")


def _must_fail() -> bool:
    return os.environ.get("CI") == "true" and bool(_unexpected)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
