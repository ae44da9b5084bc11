"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recording import Recording
from tests.unit.cli import Cli


@pytest.fixture
def recording() -> Iterator[Recording]:
    """A server that answers from a table."""
    server = Recording()
    yield server
    server.close()


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """The client in this process, signed in at the recording server, in a directory of its own."""
    for name in ("NEBULA_SERVER", "NEBULA_PROGRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run = Cli(capfd, recording, tmp_path / "state" / "nebula")
    run.sign_in()
    return run
