"""Child processes leave nothing behind, however their parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from nebula.errors import FfmpegFailed
from nebula.media.ffmpeg.run import Bounds, run
from nebula.process import end, spawn
from tests.stores import wait_until

REPETITIONS = 12


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def runs_program(pid: int, name: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().strip() == name


def test_child_dies_when_its_parent_is_killed_right_after_starting_it():
    program = textwrap.dedent("""
        import os, signal
        from nebula.process import spawn
        print(spawn(["sleep", "600"]).pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    for _ in range(REPETITIONS):
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
        child = int(done.stdout)
        wait_until(lambda child=child: not is_alive(child), what="end of the child")


def test_child_dies_when_its_parent_is_killed_while_it_works():
    program = textwrap.dedent("""
        from nebula.process import spawn
        child = spawn(["sleep", "600"])
        print(child.pid, flush=True)
        child.wait()
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as pipe:
        child = int(pipe.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(child), what="end of the child")


def test_child_leads_a_session_of_its_own_and_keeps_its_id():
    child = spawn(["sleep", "600"])
    try:
        assert os.getsid(child.pid) == child.pid
        wait_until(lambda: runs_program(child.pid, "sleep"), what="exec of the program")
    finally:
        end(child)


def test_whole_group_ends_when_the_leader_ignores_the_request(tmp_path):
    script = f'trap "" TERM; sleep 600 & echo $! > {tmp_path}/inner; echo ready; wait; sleep 600'
    child = spawn(["sh", "-c", script], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as pipe:
        assert pipe.readline() == b"ready\n"
    inner = int((tmp_path / "inner").read_text())
    assert end(child, grace_s=0.2) == -signal.SIGKILL
    wait_until(lambda: not is_alive(inner), what="end of the leader's child")


def test_stopped_process_ends():
    child = spawn(["sleep", "600"])
    os.killpg(child.pid, signal.SIGSTOP)
    assert end(child) == -signal.SIGTERM


def test_what_a_program_left_in_its_group_ends_with_it(tmp_path):
    child = spawn(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/inner"])
    wait_until(lambda: (tmp_path / "inner").exists() and (tmp_path / "inner").read_text(), what="the inner process")
    inner = int((tmp_path / "inner").read_text())
    end(child)
    wait_until(lambda: not is_alive(inner), what="end of what was left")


def test_ending_twice_tells_the_same():
    child = spawn(["sh", "-c", "exit 7"])
    assert child.wait() == 7
    assert end(child) == 7
    assert end(child) == 7


def test_child_ends_with_the_thread_that_started_it():
    children: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        children.append(spawn(["sleep", "600"]))
        wait_until(lambda: runs_program(children[0].pid, "sleep"), what="exec of the program")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert children[0].wait(60) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("limits", "script"),
    [
        ({"memory_bytes": 64 << 20}, "import sys; bytearray(256 << 20)"),
        (
            {"file_bytes": 1000},
            "import os; os.write(os.open('big', os.O_CREAT | os.O_WRONLY), bytes(2000)) == 2000 or 1 / 0",
        ),
        ({"cpu_s": 1}, "while True: pass"),
    ],
)
def test_limit_stops_what_takes_too_much(limits, script, tmp_path):
    child = spawn([sys.executable, "-S", "-c", script], **limits, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        assert child.wait(60) != 0
    finally:
        end(child)
    assert not (tmp_path / "big").exists() or (tmp_path / "big").stat().st_size <= 1000


def test_run_says_that_its_processor_time_is_used_up():
    argv = ["sh", "-c", "echo busy; while :; do :; done"]
    with pytest.raises(FfmpegFailed, match="more than the 1 s of processor time"):
        run(argv, source="", on_line=lambda line: True, bounds=Bounds(cpu_s=1))


def test_program_that_is_killed_by_someone_else_did_not_use_up_its_processor_time():
    argv = ["sh", "-c", "kill -9 $$"]
    with pytest.raises(FfmpegFailed, match="killed by signal 9"):
        run(argv, source="", on_line=lambda line: True, bounds=Bounds(cpu_s=1))
