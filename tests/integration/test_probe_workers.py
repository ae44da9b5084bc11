"""The deploy's probe of the workers, with a stand-in for systemctl: only a worker that reported is up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nebula_deploy.machine import Machine
from nebula_deploy.places import Places, Stop
from tests.deploys import Laptop
from tests.static.source import ROOT

READINESS = "venv/lib/python3.11/site-packages/nebula/worker/readiness.py"


class Workers(Laptop):
    """A laptop whose workers are one process that runs in the linked release."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.status = folder / "status"
        self.status.touch()
        self.pid = folder / "pid"
        self.machine.wait_until_ready = self.wait_until_ready  # type: ignore[method-assign]
        (self.places.units / "nebula-worker.service").touch()
        self._write(folder / "bin/systemctl", SYSTEMCTL.format(pid=self.pid, status=self.status))
        probe = (
            (ROOT / "roles/worker/files/probe-workers")
            .read_text()
            .replace("/opt/nebula", f"{folder}/machine/opt/nebula")
        )
        self._write(self.places.root / "usr/local/lib/nebula/probe-workers", probe.replace("-lt 5", "-lt 0"))
        self.process: subprocess.Popen[bytes] | None = None

    def wait_until_ready(self) -> None:
        self.end()
        self.process = subprocess.Popen(["sleep", "1000"], cwd=self.places.current.resolve())
        self.pid.write_text(str(self.process.pid))
        (self.places.units / "nebula-api.service").rename(self.places.root / "aside")
        try:
            Machine(Places(self.places.root), 1).wait_until_ready()
        finally:
            (self.places.root / "aside").rename(self.places.units / "nebula-api.service")

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)


SYSTEMCTL = """#!/bin/sh
case "$*" in
*MainPID*) cat {pid} ;;
*StatusText*) cat {status} ;;
is-active*) echo active ;;
esac
"""


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    made = Workers(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    build = made.machine.build

    def build_one_that_reports(release: Path) -> None:
        build(release)
        (release / READINESS).parent.mkdir(parents=True)
        (release / READINESS).touch()

    made.machine.build = build_one_that_reports  # type: ignore[method-assign]
    yield made
    made.end()


@pytest.mark.parametrize("status", ["", "Waiting for its store"])
def test_deploy_whose_worker_never_reports_ready_is_rolled_back(laptop: Workers, status: str) -> None:
    laptop.status.write_text("ready\n")
    old = laptop.deploy()
    laptop.status.write_text(status)
    commit = laptop.push()
    with pytest.raises(Stop, match=r"nebula-worker\.service has not looked at its queue yet"):
        laptop.deploying.deploy(commit)
    assert laptop.running == old
    assert laptop.repository.release_name("refs/heads/main") == old


def test_deploy_whose_worker_reports_ready_is_good(laptop: Workers) -> None:
    laptop.status.write_text("ready\n")
    assert laptop.deploy() == laptop.running


def test_release_from_before_workers_reported_is_still_good(laptop: Workers) -> None:
    """One can go back to it."""
    laptop.machine.build = type(laptop.machine).build.__get__(laptop.machine)  # type: ignore[method-assign]
    assert laptop.deploy() == laptop.running
