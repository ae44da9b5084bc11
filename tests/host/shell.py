"""Commands of the test bed: each has a deadline, and says what it printed when it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class CommandFailed(AssertionError):
    """A command ended with another status than 0, or not in time."""


def run(argv: Sequence[str | Path], *, stdin: str = "", timeout: float = 60, check: bool = True) -> str:
    """Return what it printed on both outputs, stripped; with `check=False` also when it failed, never when it hung."""
    try:
        done = subprocess.run(
            argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as expired:
        printed = expired.output or b""
        raise CommandFailed(f"{_shown(argv)}: not within {timeout:g} s\n{printed.decode(errors='replace')}") from None
    if check and done.returncode != 0:
        raise CommandFailed(f"{_shown(argv)}: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout.strip()


def _shown(argv: Sequence[str | Path]) -> str:
    return " ".join(map(str, argv))[-300:]
