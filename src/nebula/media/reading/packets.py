"""The packet list of a source: read once and counted for each stream, never kept in memory.

A film is verified against this list. Other signs are not reliable: an ffmpeg whose input was cut short exits 0, and a
container's own duration does not show a hole in the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nebula.domain.chunks import Packet
from nebula.domain.media import PacketFacts
from nebula.errors import MediaError
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.processor import LISTING_S
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import input_arguments

MAX_PACKETS = 50_000_000
MAX_STREAMS = 256


def list_packets(source: str, *, control: Control = FREE) -> dict[int, PacketFacts]:
    """Read every packet of the source; return the facts about each stream's packets, by the stream's index.

    Raises FfmpegFailed, Stopped, MediaError (more packets than any film has).
    """
    listing = _Listing()
    tools = control.tools
    argv = [tools.ffprobe, "-v", "error", *_ENTRIES, *input_arguments(source)]
    bounds = Bounds(memory_bytes=tools.probe_memory_bytes, cpu_s=LISTING_S, stall_s=tools.stall_s)
    run(argv, source=source, on_line=listing.take, bounds=bounds, control=control)
    return {index: tally.facts() for index, tally in listing.tallies.items()}


def follow_packets(source: str, index: int, take: Callable[[Packet], None], *, control: Control = FREE) -> None:
    """Call `take` with each packet of one stream, in the source's order. Raises the same errors as `list_packets`."""
    count = 0

    def on_line(line: str) -> bool:
        nonlocal count
        fields = line.split("|")
        if len(fields) < 5 or not fields[0].isdigit():
            return False
        count += 1
        if count > MAX_PACKETS:
            raise MediaError("It holds more packets than any film has.")
        pts_s, dts_s, duration_s = (seconds(field) for field in fields[1:4])
        take(Packet(pts_s, dts_s, duration_s or 0.0, "K" in fields[4], "D" in fields[4]))
        return True

    tools = control.tools
    argv = [tools.ffprobe, "-v", "error", *_ENTRIES, "-select_streams", str(index), *input_arguments(source)]
    bounds = Bounds(memory_bytes=tools.probe_memory_bytes, cpu_s=LISTING_S, stall_s=tools.stall_s)
    run(argv, source=source, on_line=on_line, bounds=bounds, control=control)


# Format "compact" without keys: the values come in ffprobe's order, as listed here; side data adds a trailing "|".
_ENTRIES = (
    *("-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags"),
    *("-of", "compact=print_section=0:nokey=1"),
)


class _Listing:
    def __init__(self) -> None:
        self.tallies: dict[int, _Tally] = {}
        self._count = 0

    def take(self, line: str) -> bool:
        fields = line.split("|")
        if len(fields) < 5 or not fields[0].isdigit():
            return False
        self._count += 1
        index = int(fields[0])
        if self._count > MAX_PACKETS or (index not in self.tallies and len(self.tallies) >= MAX_STREAMS):
            raise MediaError("It holds more packets or streams than any film has.")
        self.tallies.setdefault(index, _Tally()).take(
            seconds(fields[1]), seconds(fields[2]), seconds(fields[3]) or 0.0, fields[4]
        )
        return True


@dataclass
class _Tally:
    """The counts of one stream's packets so far."""

    count: int = 0
    hidden: int = 0
    before_key: int = 0
    leading: int = 0
    untimed: int = 0
    disordered: int = 0
    starts_s: float | None = None
    last_s: float | None = None
    ends_s: float | None = None
    longest_gap_s: float = 0.0
    key_interval_s: float = 0.0
    _first_key_s: float | None = None
    _key_s: float | None = None
    _previous_key_s: float | None = None
    _clock_s: float | None = None  # the last decoding time

    def take(self, pts_s: float | None, dts_s: float | None, duration_s: float, flags: str) -> None:
        self.count += 1
        self.untimed += pts_s is None
        shown_s = pts_s if pts_s is not None else dts_s
        is_key = "K" in flags
        if self._key_s is None and not is_key:
            self.before_key += 1
            return
        self.hidden += "D" in flags
        if shown_s is None:
            return
        self._take_key(shown_s, is_key)
        if dts_s is not None:  # Matroska stores none, and the first few of a film with B-frames stay unknown
            self._take_clock(dts_s)
        if "D" in flags:
            return
        self.starts_s = shown_s if self.starts_s is None else min(self.starts_s, shown_s)
        self.last_s = shown_s if self.last_s is None else max(self.last_s, shown_s)
        self.ends_s = max(self.ends_s or shown_s, shown_s + duration_s)

    def _take_key(self, shown_s: float, is_key: bool) -> None:
        if self._first_key_s is None:
            self._first_key_s = shown_s
        elif shown_s < self._first_key_s:
            self.leading += 1
        if is_key:
            self._previous_key_s, self._key_s = self._key_s, shown_s
            return
        # A picture that is shown before the latest key frame (in an open group) is decoded from the one before that.
        key_s = self._previous_key_s if self._key_s is not None and shown_s < self._key_s else self._key_s
        if key_s is not None:
            # There can be no key frame in a gap between pictures, so a gap before a key frame does not count.
            self.key_interval_s = max(self.key_interval_s, shown_s - key_s)

    def _take_clock(self, clock_s: float) -> None:
        if self._clock_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, clock_s - self._clock_s)
            self.disordered += clock_s <= self._clock_s
        self._clock_s = clock_s

    def facts(self) -> PacketFacts:
        return PacketFacts(
            count=self.count,
            hidden=self.hidden,
            before_key=self.before_key,
            leading=self.leading,
            untimed=self.untimed,
            disordered=self.disordered,
            starts_s=self.starts_s,
            last_s=self.last_s,
            ends_s=self.ends_s,
            longest_gap_s=round(self.longest_gap_s, 6),
            key_interval_s=round(self.key_interval_s, 6),
        )


def seconds(text: str) -> float | None:
    """Parse a time that ffprobe wrote; return None if it is not known."""
    try:
        return float(text)
    except ValueError:
        return None  # "N/A"
