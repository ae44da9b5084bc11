"""What goes along with every run of ffmpeg that one piece of work takes: its programs, its reins and its ear."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from nebula.media.progress import Progress
from nebula.media.tools import INSTALLED, Tools


@dataclass(frozen=True)
class Control:
    """How work is run, what holds and ends it, and who is told of it."""

    tools: Tools = INSTALLED
    stop: threading.Event | None = None  # when it is set, the program is ended and Stopped raised
    is_paused: Callable[[], bool] = lambda: False  # while it says so, the program is held where it is
    on_command: Callable[[str], None] = lambda command: None  # told how a film is made, when that begins
    on_progress: Callable[[Progress], None] = lambda progress: None  # and how far it is


FREE = Control()
