"""Child processes that leave nothing behind: they die with the thread that started them, and end as a whole group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

POLL_S = 0.02

# setpriv arms the death signal, but it comes too late if the parent has already died. So the shell compares its parent
# with the intended one ($0) before it becomes the program. The process id stays the same throughout.
_CHECK_PARENT = '[ "$PPID" = "$0" ] || exit 137; exec "$@"'


def spawn(
    argv: Sequence[str],
    *,
    memory_bytes: int | None = None,
    file_bytes: int | None = None,
    cpu_s: int | None = None,
    **popen: Any,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; it is killed when its parent ends.

    The kernel watches the calling *thread*: the thread that spawns the program must also wait for it, because the
    program is killed when that thread ends. The limits apply to the program and everything that it starts: private
    memory (not address space: each thread's allocator reserves 64 MiB of address space and uses little of it), size of
    any file that it writes, seconds of CPU. `popen` goes to subprocess.Popen.
    """
    limits = (("data", memory_bytes), ("fsize", file_bytes), ("cpu", cpu_s))
    limited = [f"--{name}={value}" for name, value in limits if value is not None]
    guard = ["setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", _CHECK_PARENT, str(os.getpid())]
    return subprocess.Popen(
        [*guard, *(["prlimit", *limited, "--"] if limited else []), *argv], start_new_session=True, **popen
    )


def end(process: subprocess.Popen[bytes], *, grace_s: float = 5.0) -> int:
    """End the program's whole group: SIGTERM, then SIGKILL after `grace_s`. Reap it and return its exit status.

    May be called again, and on a program that has ended by itself: what it left behind in its group is killed too.
    """
    if process.returncode is not None:
        return process.returncode
    _signal(process, signal.SIGTERM)
    _signal(process, signal.SIGCONT)  # a stopped process cannot end
    _wait_unreaped(process, grace_s)
    # Until the program is reaped, its id cannot be given to another group.
    _signal(process, signal.SIGKILL)
    return process.wait()


def cpu_s(process: subprocess.Popen[bytes], *, wait_s: float) -> float:
    """Wait at most `wait_s` for the program to end, and return the seconds of CPU that it has used so far.

    The program is not reaped: its exit status can still be read.
    """
    _wait_unreaped(process, wait_s)
    # The name, in parentheses, may contain anything; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hold(process: subprocess.Popen[bytes]) -> None:
    """Suspend the program's whole group (SIGSTOP): it keeps its memory and uses no processor."""
    _signal(process, signal.SIGSTOP)


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Resume a suspended group (SIGCONT)."""
    _signal(process, signal.SIGCONT)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is not None:
        return  # reaped: its id may belong to another group
    with contextlib.suppress(ProcessLookupError):  # every member has ended
        os.killpg(process.pid, number)


def _wait_unreaped(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(POLL_S)
