"""The scripts: what they install on a fresh machine, what they say if they cannot go on, and which tests they run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests import stores

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "cat", "cut", "date", "dirname", "env", "find", "flock", "kill", "ls", "mktemp", "rm", "setpriv")
TOOLS += ("setsid", "sh", "sha256sum", "sort", "tail")


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


def run(script: Path, path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments], env={"PATH": str(path)} | environ, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def set_up(checkout: Path) -> Path:
    """A checkout whose scripts and tools only note how they are called, and fail if FAIL names them."""
    tools = [checkout / ".venv" / "bin" / name for name in ("python", "ruff", "mypy", "ansible-lint")]
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / "roles").mkdir()
    (checkout / "playbooks").mkdir()
    for name in ("ansible.cfg", "inventory.ini", "roles/tasks.yml"):
        (checkout / name).write_text(name)
    for tool in [*tools, *(checkout / "script" / name for name in ("bootstrap", "build-minio", "build-tailnet"))]:
        stub(tool, f'echo "{tool.name} $*" >>"{checkout}/calls"; [ "$FAIL" != {tool.name} ] || exit 3')
    return checkout


def calls(checkout: Path, tool: str) -> list[str]:
    """Return the arguments of each call of a tool."""
    lines = (checkout / "calls").read_text().splitlines()
    return [line.removeprefix(f"{tool} ") for line in lines if line.startswith(f"{tool} ")]


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


def test_everyday_run_has_the_checks_and_all_tests_but_the_slow_ones(set_up: Path, path: Path) -> None:
    ended = run(set_up / "script" / "test", path)
    assert ended.returncode == 0
    assert calls(set_up, "bootstrap") == ["--test"]
    assert calls(set_up, "ruff") == ["check", "format --check"]
    assert len(calls(set_up, "mypy")) == len(calls(set_up, "ansible-lint")) == 1
    (pytest_call,) = calls(set_up, "python")
    assert pytest_call.startswith("-m pytest ")
    assert pytest_call.endswith("-m not slow")
    assert "script/test: set-up 0 s, checks 0 s, tests 0 s" in ended.stderr


def test_all_is_every_test(set_up: Path, path: Path) -> None:
    assert run(set_up / "script" / "test", path, "--all").returncode == 0
    assert calls(set_up, "bootstrap") == ["--test-all"]
    assert len(calls(set_up, "ansible-lint")) == 1
    (pytest_call,) = calls(set_up, "python")
    assert pytest_call.startswith("-m pytest ")
    assert "slow" not in pytest_call
    assert "--all" not in pytest_call


def test_with_arguments_it_is_pytest(set_up: Path, path: Path) -> None:
    run(set_up / "script" / "test", path, "tests/unit", "-x", "-k", "a or b")
    assert calls(set_up, "python") == ["-m pytest tests/unit -x -k a or b"]
    assert calls(set_up, "ruff") == calls(set_up, "mypy") == []


@pytest.mark.parametrize("tool", ["ruff", "mypy", "ansible-lint"])
@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_failed_check_fails_the_run_and_is_named_after_the_tests(
    set_up: Path, path: Path, tool: str, arguments: tuple[str, ...]
) -> None:
    ended = run(set_up / "script" / "test", path, *arguments, FAIL=tool)
    assert ended.returncode == 1
    assert f"script/test: failed before the tests (see above): {tool} " in ended.stderr
    assert len(calls(set_up, "python")) == 1


@pytest.mark.parametrize("arguments", [(), ("--all",), ("tests/unit",)])
@pytest.mark.parametrize("tool", ["python", "bootstrap"])
def test_failed_tests_and_a_failed_set_up_fail_the_run(
    set_up: Path, path: Path, arguments: tuple[str, ...], tool: str
) -> None:
    assert run(set_up / "script" / "test", path, *arguments, FAIL=tool).returncode == 3


def test_playbooks_are_checked_again_only_if_they_have_changed_or_did_not_pass(set_up: Path, path: Path) -> None:
    def checked(**environ: str) -> int:
        before = len(calls(set_up, "ansible-lint")) if (set_up / "calls").exists() else 0
        run(set_up / "script" / "test", path, **environ)
        return len(calls(set_up, "ansible-lint")) - before

    assert (checked(FAIL="ansible-lint"), checked(), checked()) == (1, 1, 0)
    (set_up / "roles" / "tasks.yml").write_text("changed")
    assert (checked(FAIL="ansible-lint"), checked(FAIL="ansible-lint"), checked(), checked()) == (1, 1, 1, 0)
    (set_up / "roles" / "new.yml").touch()
    assert (checked(), checked()) == (1, 0)


def test_program_that_cannot_be_built_is_named_and_the_tests_run_without_it(set_up: Path, path: Path) -> None:
    ended = run(set_up / "script" / "test", path, FAIL="build-minio")
    assert ended.returncode == 0
    assert "script/test: minio could not be built (see above): tests that need it are skipped." in ended.stderr
    assert len(calls(set_up, "python")) == 1


def test_build_that_no_test_waited_for_ends_with_the_run(set_up: Path, path: Path) -> None:
    started = set_up / "started"
    stub(set_up / "script" / "build-minio", f"/bin/sh -c 'echo $$ >\"{started}\"; exec /bin/sleep 600'")
    stub(set_up / ".venv" / "bin" / "python", f'until [ -s "{started}" ]; do /bin/sleep 0.05; done')
    assert run(set_up / "script" / "test", path, "tests/unit").returncode == 0
    build = int(started.read_text())
    stores.wait_until(lambda: not psutil.pid_exists(build), what="the end of the build")


def test_what_needs_minio_waits_for_its_build_and_has_its_own_time_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "minio"
    monkeypatch.setattr(stores, "CACHE", tmp_path)
    monkeypatch.setenv("NEBULA_TEST_MINIO", str(program))
    script = f'echo building; read -r _; cp /bin/true "{program}"'
    argv = ["flock", tmp_path / "build-minio.lock", "sh", "-c", script]
    with (
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as build,
        ThreadPoolExecutor() as threads,
    ):
        assert build.stdout is not None
        assert build.stdout.readline() == b"building\n"
        lacking = threads.submit(stores.MinIO(tmp_path / "data").missing)
        build.communicate(b"go on\n")
        assert lacking.result(60) == ""
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 300  # that of pytest-timeout


def test_tests_on_booted_machines_are_slow() -> None:
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not slow", "tests/host"]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, ended.stdout
    assert " deselected" in ended.stdout
