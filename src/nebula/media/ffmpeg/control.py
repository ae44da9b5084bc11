"""What every run of ffmpeg of one piece of work is given: the tools, the pause and stop switches, the callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from nebula.media.ffmpeg.progress import Progress
from nebula.media.ffmpeg.tools import INSTALLED, Tools


@dataclass(frozen=True)
class Control:
    """How work is run, what holds and ends it, who is told of it, and who knows why it failed."""

    tools: Tools = INSTALLED
    stop: threading.Event | None = None  # when it is set, the program is ended and Stopped raised
    is_paused: Callable[[], bool] = lambda: False  # while it says so, the program is held where it is
    on_command: Callable[[str], None] = lambda command: None  # told how a film is made, when that begins
    on_progress: Callable[[Progress], None] = lambda progress: None  # and how far it is
    # Asked after each run, even a good one: raises what kept the source from being read.
    check_source: Callable[[], None] = lambda: None
    # Asked after a bad end, before anything is removed: raises NoRoom if the disk is full.
    check_room: Callable[[], None] = lambda: None


FREE = Control()
