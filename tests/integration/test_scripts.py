"""The scripts on a fresh machine: what they get by themselves, and what they say when they cannot go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "cut", "dirname", "env", "flock", "ls", "mktemp", "rm", "setpriv", "sh", "sha256sum", "tail")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the scripts and what they read."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "script", folder / "script")
    for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with the tools that every Debian has, a person who is not root, and this Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    stub(folder / "id", "echo 1000")
    stub(folder / "python3", f'exec "{sys.executable}" "$@"')
    return folder


def stub(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(script: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([script], env={"PATH": str(path)}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "script").iterdir() if path.is_file()))
def test_script_is_plain_sh(name: str) -> None:
    script = ROOT / "script" / name
    assert script.read_text().startswith("#!/bin/sh\n")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0


@pytest.mark.parametrize("name", ["server", "bootstrap"])
def test_what_is_missing_is_named_with_the_way_to_get_it(checkout: Path, path: Path, name: str) -> None:
    stub(path / "apt-get", "exit 100")
    ended = run(checkout / "script" / name, path)
    assert ended.returncode == 1
    assert "missing here: ffmpeg; this is not root, and there is no sudo." in ended.stderr
    assert "Get them, as root, with: apt-get update && apt-get install --no-install-recommends ffmpeg" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_machine_without_apt_is_told_so(checkout: Path, path: Path) -> None:
    stub(path / "sudo", 'exec "$@"')
    assert "this machine has no apt-get" in run(checkout / "script" / "bootstrap", path).stderr


def test_apt_that_fails_is_quoted_after_a_second_try_with_new_lists(checkout: Path, path: Path) -> None:
    stub(path / "sudo", 'exec "$@"')
    stub(path / "apt-get", f'echo "apt-get $1: no route to host"; echo "$1" >>"{checkout}/calls"; exit 100')
    ended = run(checkout / "script" / "bootstrap", path)
    assert ended.returncode == 1
    assert "apt-get install: no route to host" in ended.stderr
    assert "apt-get could not install them (above)" in ended.stderr
    assert (checkout / "calls").read_text().split() == ["install", "update", "install"]


def test_apt_installs_what_is_missing_without_asking(checkout: Path, path: Path) -> None:
    stub(path / "sudo", 'exec "$@"')
    made = f'for name in ffmpeg ffprobe; do ln -s /bin/true "{path}/$name"; done'
    stub(path / "apt-get", f'echo "$DEBIAN_FRONTEND $*" >"{checkout}/calls"; PATH=/usr/bin:/bin; {made}')
    stub(path / "python3", f'[ "$1 $2" != "-m venv" ] || exit 7; exec "{sys.executable}" "$@"')
    ended = run(checkout / "script" / "bootstrap", path)
    assert "missing here" not in ended.stderr
    called = (checkout / "calls").read_text()
    assert called.startswith("noninteractive install -y ")
    assert called.split()[-1] == "ffmpeg"
