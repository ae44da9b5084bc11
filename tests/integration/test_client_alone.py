"""An installation of the client alone, in a virtual environment that has nothing else."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from tests.static.source import ROOT

CLIENT_LIBRARIES = ("fire", "termcolor", "urllib3")


@pytest.fixture(scope="module")
def client_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that sees what `pip install .` installs: both packages, and the client's libraries."""
    folder = tmp_path_factory.mktemp("client") / "venv"
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "nebula.pth").write_text(f"{ROOT / 'src'}\n{ROOT / 'cli'}\n")
    for name in CLIENT_LIBRARIES:
        (packages / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    return folder / "bin" / "python"


def run(python: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as its entry in pyproject.toml does."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][script]
    module, _, function = entry.partition(":")
    code = f"import sys; from {module} import {function} as run; sys.exit(run())"
    return subprocess.run([python, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [["up"], ["--version"], ["migrate", "--status"], []])
def test_server_command_says_what_to_install_without_its_packages(client_alone: Path, words: list[str]) -> None:
    ended = run(client_alone, "nebula-server", *words)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("nebula-server: only the client is installed here")
    assert "pip install '.[server]'" in line


def test_client_runs_without_the_server_s_packages(client_alone: Path) -> None:
    ended = run(client_alone, "nebula", "--version")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_server_command_runs_when_everything_is_there() -> None:
    ended = run(Path(sys.executable), "nebula-server", "--version")
    assert ended.stdout.startswith("Nebula ")
    assert ended.returncode == 0
