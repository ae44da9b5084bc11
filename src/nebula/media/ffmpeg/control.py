"""What all runs of ffmpeg for one task share: the tools, the pause and stop switches, and the callbacks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from nebula.media.ffmpeg.progress import Progress
from nebula.media.ffmpeg.tools import INSTALLED, Tools


@dataclass(frozen=True)
class Control:
    """The tools, the switches that pause and stop the work, and callbacks for progress and for causes of failure."""

    tools: Tools = INSTALLED
    stop: threading.Event | None = None  # if set, the program is ended and Stopped is raised
    is_paused: Callable[[], bool] = lambda: False  # while True, the program is suspended
    on_command: Callable[[str], None] = lambda command: None  # called with the command when a film is begun
    on_progress: Callable[[Progress], None] = lambda progress: None  # called during the run
    # Called after each run, even a good one: raises the error that kept the source from being read.
    check_source: Callable[[], None] = lambda: None
    # Called after a failed run, before anything is removed: raises NoRoom if the disk is full.
    check_room: Callable[[], None] = lambda: None


FREE = Control()
