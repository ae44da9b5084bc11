"""Reads how much of a film is done from ffmpeg's -progress pipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How much of a film is done. `speed` is media seconds per second."""

    fraction: float  # 0..1
    speed: float | None = None
    eta_s: float | None = None


class ProgressReader:
    """Turns the lines of -progress (key=value, a report ends with the key "progress") into Progress."""

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._values: dict[str, str] = {}
        self._position: tuple[str, str] = ("", "")
        self.frames = 0
        self.moved = False  # whether the last report differs from the one before

    def feed(self, line: str) -> Progress | None:
        """Take one line; return the progress if the line ends a report, else None."""
        name, _, value = line.partition("=")
        if name != "progress":
            self._values[name] = value.strip()
            return None
        position = (self._values.get("out_time_us", ""), self._values.get("total_size", ""))
        self.moved = position != self._position
        self._position = position
        self.frames = int(_number(self._values.get("frame")) or 0)
        return self._report()

    def _report(self) -> Progress:
        done_s = max(0.0, (_number(self._values.get("out_time_us")) or 0.0) / 1e6)
        speed = _number(self._values.get("speed", "").rstrip("x"))
        if self._duration_s <= 0:
            return Progress(0.0, speed)
        left_s = max(0.0, self._duration_s - done_s)
        return Progress(min(1.0, done_s / self._duration_s), speed, left_s / speed if speed else None)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None  # "N/A"
