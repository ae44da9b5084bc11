"""A deploy that is cut off at any step: by an exception, by a command that does not end, by kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nebula_deploy import repository as repository_of
from nebula_deploy import spool as spool_of
from nebula_deploy.machine import Machine
from nebula_deploy.places import Places, Stop
from nebula_deploy.repository import DEPLOYED, MAIN
from nebula_deploy.spool import Spool
from tests.deploys import FIRST, Laptop, Recorder, revision
from tests.static.source import ROOT

BEFORE_THE_SWITCH = ["unpack", "build", "schema", "dump", "migrate"]
STEPS = [*BEFORE_THE_SWITCH, "restart", "wait_until_ready"]
ERRORS: dict[str, Callable[[], BaseException]] = {
    "timeout": lambda: subprocess.TimeoutExpired(["pg_dump"], 3600),
    "mistake": lambda: RuntimeError("a slip"),
    "disk": lambda: OSError(28, "No space left on device"),
    "ctrl-c": KeyboardInterrupt,
}


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def _break(laptop: Laptop, step: str, error: Callable[[], BaseException], times: int = 1) -> None:
    """Let a step of the machine raise, so many times."""
    real, left = getattr(laptop.machine, step), [None] * times

    def broken(*words: object, **named: object) -> object:
        if left:
            left.pop()
            raise error()
        return real(*words, **named)

    setattr(laptop.machine, step, broken)


def _is_as_before(laptop: Laptop, release: str, commit: str | None) -> None:
    assert laptop.running == release
    assert [path.name for path in laptop.releases_on_disk()] == sorted({FIRST, release})
    assert laptop.repository.named(MAIN) == laptop.repository.named(DEPLOYED) == commit


EVERY_STEP = [(step, "timeout") for step in STEPS]
EVERY_ERROR = [(step, error) for step in ("build", "wait_until_ready") for error in ERRORS if error != "timeout"]


@pytest.mark.parametrize(("step", "error"), EVERY_STEP + EVERY_ERROR)
def test_deploy_that_an_exception_ends_is_taken_back_and_can_be_pushed_again(
    laptop: Laptop, step: str, error: str
) -> None:
    old = laptop.deploy()
    before = laptop.repository.named(MAIN)
    commit = laptop.push(revision("2", "0001"))
    _break(laptop, step, ERRORS[error])
    with pytest.raises((Stop, RuntimeError, KeyboardInterrupt)):
        laptop.deploying.deploy(commit)
    _is_as_before(laptop, old, before)
    laptop.checkout.git("fetch", "nebula")
    assert "Everything up-to-date" not in laptop.checkout.run("push", "nebula", "main").stderr
    laptop.deploying.deploy(commit)
    assert laptop.running == laptop.repository.release_name(commit)


@pytest.mark.parametrize("step", ["build", "restart"])
def test_first_push_that_an_exception_ends_leaves_no_main(laptop: Laptop, step: str) -> None:
    commit = laptop.push(revision("2", "0001"))
    _break(laptop, step, ERRORS["timeout"])
    with pytest.raises(Stop, match=r"pg_dump did not end within 3600 s\."):
        laptop.deploying.deploy(commit)
    _is_as_before(laptop, FIRST, None)


@pytest.mark.parametrize("step", ["mark", "prune"])
def test_record_that_cannot_be_written_leaves_main_at_what_runs(
    laptop: Laptop, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop.deploy()
    commit = laptop.push()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    deploying = laptop.deploying
    monkeypatch.setattr(deploying._releases, step, full)
    if step == "mark":
        with pytest.raises(Stop, match="No space left on device"):
            deploying.deploy(commit)
    else:
        deploying.deploy(commit)
    main = laptop.repository.named(MAIN)
    assert main == laptop.repository.named(DEPLOYED)
    assert laptop.running == laptop.repository.release_name(str(main))


def test_old_release_comes_back_even_if_the_journal_does_not_answer(laptop: Laptop) -> None:
    old = laptop.deploy()
    commit = laptop.push()
    laptop.machine.broken[laptop.repository.release_name(commit)] = "/readyz answers 503."
    _break(laptop, "last_words", ERRORS["timeout"])
    with pytest.raises(Stop):
        laptop.deploying.deploy(commit)
    _is_as_before(laptop, old, laptop.repository.named(DEPLOYED))


@pytest.mark.parametrize(("step", "error"), [("restart", "timeout"), ("wait_until_ready", "mistake")])
def test_rollback_that_an_exception_ends_is_undone(laptop: Laptop, step: str, error: str) -> None:
    laptop.deploy()
    new = laptop.deploy()
    before = laptop.repository.named(MAIN)
    _break(laptop, step, ERRORS[error])
    with pytest.raises((Stop, RuntimeError, KeyboardInterrupt)):
        laptop.deploying.rollback()
    assert laptop.running == new
    assert laptop.repository.named(MAIN) == laptop.repository.named(DEPLOYED) == before


@pytest.mark.parametrize(
    ("step", "error"),
    [("build", "timeout"), ("dump", "mistake"), ("restart", "ctrl-c"), ("server", "disk"), ("server", "mistake")],
)
def test_outcome_is_recorded_and_the_pusher_sees_it(laptop: Laptop, step: str, error: str) -> None:
    commit = laptop.push(revision("2", "0001"))
    laptop.machine = machine = Recorder(laptop.places, {})
    spool_of.put(laptop.places.pushes, commit)
    _break(laptop, step, ERRORS[error])
    spool = Spool(laptop.places, laptop.repository, machine)  # type: ignore[arg-type]
    if error == "ctrl-c":
        with pytest.raises(KeyboardInterrupt):
            spool.carry_out()
    else:
        spool.carry_out()
    last = (laptop.places.logs / f"{commit}.log").read_text().splitlines()[-1]
    if step == "server" and error == "disk":  # a machine whose database does not answer deploys all the same
        assert last == f"Done: {laptop.repository.release_name(commit)} serves."
        return
    assert last.startswith("Not done: ")
    if step != "server":
        assert [state for _, state, _ in machine.ended] == ["failed"]
    _is_as_before(laptop, FIRST, None)


def test_log_that_cannot_be_written_keeps_no_deploy_from_its_end(laptop: Laptop) -> None:
    commit = laptop.push()
    laptop.machine = machine = Recorder(laptop.places, {})
    laptop.places.logs.rmdir()
    laptop.places.logs.write_text("no directory")
    spool_of.put(laptop.places.pushes, commit)
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert [state for _, state, _ in machine.ended] == ["done"]
    assert laptop.running == laptop.repository.release_name(commit)


# Carries out the spool, or deploys one commit as playbooks/deploy.yml does, and is killed at a step.
KILLED = """
import os, signal, sys
from pathlib import Path
from nebula_deploy.places import Places
from nebula_deploy.repository import DEPLOYED, MAIN, Repository
from nebula_deploy.spool import Spool
from tests.deploys import Recorder

root, commit, step = sys.argv[1:]
places = Places(Path(root))
machine = Recorder(places, {})
repository = Repository(places.repository)
def die(*words, **named):
    os.kill(os.getpid(), signal.SIGKILL)
if step == "mark":
    from nebula_deploy.releases import Releases
    Releases.mark = die
elif step == "record":
    move = repository.move
    repository.move = lambda ref, *words, **named: die() if ref == DEPLOYED else move(ref, *words, **named)
else:
    setattr(machine, step, die)
spool = Spool(places, repository, machine)
if commit == "rollback":
    with spool.turn():
        spool.rollback("by-hand", None)
elif commit:
    with spool.turn():
        repository.move(MAIN, commit)
        spool.deploy(commit)
else:
    spool.carry_out()
"""


def _killed(laptop: Laptop, step: str, commit: str = "") -> None:
    command = [sys.executable, "-c", KILLED, str(laptop.places.root), commit, step]
    environ = os.environ | {"PYTHONPATH": ":".join(sys.path[1:])}
    ended = subprocess.run(command, capture_output=True, env=environ, cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


KILL_STEPS = [*STEPS, "mark", "record"]


@pytest.mark.parametrize("step", ["unpack", "dump", "wait_until_ready", "record"])
def test_push_whose_deployer_was_killed_is_carried_out_at_the_next_start(laptop: Laptop, step: str) -> None:
    laptop.deploy()
    commit = laptop.push(revision("2", "0001"))
    spool_of.put(laptop.places.pushes, commit)
    _killed(laptop, step)
    laptop.machine = machine = Recorder(laptop.places, {})
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert [state for _, state, _ in machine.ended] == ["done"]
    assert laptop.running == laptop.repository.release_name(commit)
    assert laptop.repository.named(MAIN) == laptop.repository.named(DEPLOYED) == commit


@pytest.mark.parametrize("step", ["build", "migrate", "restart"])
def test_push_whose_deployer_was_killed_and_fails_at_the_next_start_is_taken_back(laptop: Laptop, step: str) -> None:
    old = laptop.deploy()
    before = laptop.repository.named(MAIN)
    commit = laptop.push(revision("2", "0001"))
    spool_of.put(laptop.places.pushes, commit)
    _killed(laptop, step)
    laptop.machine = machine = Recorder(laptop.places, {})
    machine.broken[laptop.repository.release_name(commit)] = "/readyz answers 503."
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert [state for _, state, _ in machine.ended] == ["failed"]
    _is_as_before(laptop, old, before)


@pytest.mark.parametrize("step", KILL_STEPS)
def test_deploy_by_hand_that_was_killed_is_taken_back_at_the_next_start(laptop: Laptop, step: str) -> None:
    old = laptop.deploy()
    before = laptop.repository.named(MAIN)
    commit = laptop.push(revision("2", "0001"))
    _killed(laptop, step, commit)
    with Spool(laptop.places, laptop.repository, laptop.machine).turn():  # type: ignore[arg-type]
        pass
    if step == "record":  # it had come to serve: what was left to do is written down
        assert laptop.running == laptop.repository.release_name(commit)
        assert laptop.repository.named(MAIN) == laptop.repository.named(DEPLOYED) == commit
    else:
        _is_as_before(laptop, old, before)
        laptop.checkout.git("push", "nebula", "main")
        laptop.deploying.deploy(commit)


@pytest.mark.parametrize("step", ["restart", "wait_until_ready", "record"])
def test_rollback_that_was_killed_leaves_main_at_what_runs_after_the_next_start(laptop: Laptop, step: str) -> None:
    laptop.deploy()
    laptop.deploy()
    _killed(laptop, step, "rollback")
    with Spool(laptop.places, laptop.repository, laptop.machine).turn():  # type: ignore[arg-type]
        pass
    main = laptop.repository.named(MAIN)
    assert main == laptop.repository.named(DEPLOYED)
    assert laptop.running == laptop.repository.release_name(str(main))


def test_push_that_waits_is_left_alone_by_what_was_killed_before_it(laptop: Laptop) -> None:
    laptop.deploy()
    first = laptop.push()
    _killed(laptop, "build", first)
    second = laptop.push()
    spool_of.put(laptop.places.pushes, second)
    laptop.machine = machine = Recorder(laptop.places, {})
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert laptop.running == laptop.repository.release_name(second)


def test_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    machine = Machine(Places(tmp_path), 1)
    started = tmp_path / "started"
    # The inner one holds the outer one's output: who waits for its end would wait for both.
    script = f"sleep 1000 & echo $! >{started}; wait"
    with pytest.raises(Stop, match=r"sh did not end within 1 s\."):
        machine._run(["sh", "-c", script], seconds=1)
    inner = int(started.read_text())
    for _ in range(100):
        if not _is_running(inner):
            return
        threading.Event().wait(0.05)
    raise AssertionError("it still runs")


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_git_that_does_not_end_is_told_in_a_sentence(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "bin/git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setattr(repository_of, "COMMAND_S", 0.5)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    with pytest.raises(Stop, match=r"git archive did not end within 0\.5 s\."):
        laptop.repository.archive("main")


def test_dump_that_does_not_end_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nebula_deploy import machine as machine_of

    places = Places(tmp_path)
    secret = tmp_path / "etc/nebula/secrets/database_url"
    secret.parent.mkdir(parents=True)
    secret.write_text("postgresql://nebula:x@127.0.0.1/nebula")
    monkeypatch.setattr(machine_of, "DUMP_S", 0.5)
    monkeypatch.setattr(machine_of, "_as", lambda _user: ["sh", "-c", "echo half; exec sleep 1000"])
    with pytest.raises(Stop, match=r"pg_dump did not end within 0\.5 s\."):
        Machine(places, 1).dump(places.dumps / "x.dump")
    assert list(places.dumps.iterdir()) == []


def test_error_of_a_deployer_does_not_show_the_pusher_what_it_was_reading(laptop: Laptop) -> None:
    commit = laptop.push()
    laptop.machine = machine = Recorder(laptop.places, {})
    spool_of.put(laptop.places.pushes, commit)
    _break(laptop, "schema", lambda: UnicodeDecodeError("utf-8", b"root:hash", 0, 1, "invalid start byte"))
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert "root:hash" not in (laptop.places.logs / f"{commit}.log").read_text()
