"""The chunk plan: decides from the list of the film's packets where an encode is cut. Pure.

A chunk consists of the pictures that are shown from one key frame (inclusive) to a later one (exclusive), so the
pictures that an open GOP shows before its key frame belong to the previous chunk. A chunk is cut out by time, halfway
between two neighbouring pictures, and its pictures are counted: ffmpeg is never trusted to begin or end where it was
told to.

There are two clocks. The source's clock is the one on which its packets are listed, and on which ffmpeg is made to stay
(-copyts). The film's clock is 0 when the source's shows `MediaFacts.start_s`. ffmpeg's own zero cannot be used for
cutting: it depends on which streams a command reads, and is rounded to the stream's ticks.

A source is not cut if its pictures cannot be put in order (no key frames, a clock that jumps, no times at all), or if
its frame rate is lowered.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import overload

from nebula.domain.frames import LEAST_OF_UNEVEN, is_uneven
from nebula.domain.media import MediaFacts, VideoStream
from nebula.domain.plan import JUMPING_FORMATS, MAX_JUMP_S, Plan

VERSION = 1  # of the cuts and the arguments: chunks of different versions are not joined
LEAST_S, MOST_S = 30.0, 60.0
MANY = 40  # chunks: enough for any number of nodes, and the cost is small on one node
# How long before a chunk's first picture to seek, so that rounding does not lead to the next key frame.
LEAD_S = 0.01
# Pictures without times of their own are timed by the decoder's delay, so the decoder must have begun before.
LEAD_OF_UNTIMED_S = 0.5
# bwdif looks at the previous picture. In MPEG's transport and program streams, ffmpeg seeks to any packet, not to a key
# frame, and a picture is decoded from the key frame before it.
MOST_LEAD_OF_FIELDS_S = 2.0
BEFORE_KEY_S = 0.001
UNTIMED_FORMATS = frozenset({"avi"})


@dataclass(frozen=True)
class Packet:
    """One packet of the film's picture as ffprobe lists it. Times are in seconds on the container's clock."""

    pts_s: float | None
    dts_s: float | None
    duration_s: float = 0.0
    is_key: bool = False
    is_hidden: bool = False  # an edit list cuts it off


@dataclass(frozen=True)
class Chunk:
    """An interval of the source that is encoded on its own."""

    number: int  # from 0
    start_s: float  # when its first picture is shown in the film
    last_s: float  # when its last picture is shown in the film
    duration_s: float  # from its first picture to the next chunk's first, or to the end of its last
    frames: int  # the highest number of pictures that it can have
    least_frames: int  # the lowest number; the same if each packet is a picture
    clock_s: float  # what the source's clock shows at the first picture
    seek_s: float | None = None  # how far into the source to seek; None: start at the source's beginning
    from_s: float | None = None  # on the source's clock: earlier pictures belong to another chunk
    to_s: float | None = None  # on the source's clock: pictures from here on belong to another chunk
    version: int = VERSION

    def to_json(self) -> str:
        """Return the chunk as JSON; `from_json` returns an equal chunk."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Chunk:
        """Read what `to_json` wrote."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


def chunk_key(source_sha256: str, chunk: Chunk | None, arguments: Sequence[str], build: str) -> str:
    """Return the name of one piece of work. The same key means the same pictures, whoever makes them.

    If `chunk` is None, the work is all of the sound. `arguments` are the command's without anything that depends on a
    node (paths, threads); `build` is the encoder's.
    """
    parts = [source_sha256, chunk.to_json() if chunk else None, list(arguments), build]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


@dataclass
class Span:
    """The interval from one key frame to the next: the pictures that are shown in it."""

    key_s: float
    start_s: float = math.inf
    last_s: float = -math.inf
    ends_s: float = -math.inf
    frames: int = 0
    leading: int = 0  # in the first interval: shown before its key frame; they may need missing pictures

    def add(self, shown_s: float, duration_s: float) -> None:
        """Count one picture."""
        self.frames += 1
        self.start_s = min(self.start_s, shown_s)
        self.last_s = max(self.last_s, shown_s)
        self.ends_s = max(self.ends_s, shown_s + duration_s)


class Pictures:
    """Takes the film's packets in order, and counts its pictures from key frame to key frame."""

    def __init__(self, facts: MediaFacts, video: VideoStream) -> None:
        self._spans: list[Span] = []
        self._are_ordered = True
        self._latest_s = -math.inf
        # AVI has no presentation times. Decoders show the n-th picture when the packet that many places later arrives.
        is_untimed = video.packets.untimed > 0 and bool(UNTIMED_FORMATS & set(facts.format.split(",")))
        self._held_back = video.delay if is_untimed else 0
        self._is_untimed = is_untimed
        self._held: deque[Packet] = deque()

    @property
    def is_untimed(self) -> bool:
        """Whether the times are computed, not read from the source."""
        return self._is_untimed

    @property
    def frames(self) -> int:
        """How many pictures were counted."""
        return sum(interval.frames for interval in self._spans)

    def take(self, packet: Packet) -> None:
        """Count the next packet of the list."""
        if not self._is_untimed:
            self._show(packet, packet.dts_s if packet.pts_s is None else packet.pts_s)
            return
        self._held.append(packet)
        if len(self._held) > self._held_back:
            self._show(self._held.popleft(), packet.dts_s)

    def spans(self) -> list[Span] | None:
        """Return the intervals after every packet was taken; None if the pictures cannot be put in order."""
        while self._held:
            packet = self._held.popleft()
            self._show(packet, self._latest_s + packet.duration_s)
        intervals = [interval for interval in self._spans if interval.frames]
        return intervals if intervals and self._are_ordered else None

    def _show(self, packet: Packet, shown_s: float | None) -> None:
        if shown_s is None or not math.isfinite(shown_s):
            self._are_ordered = False
            return
        is_later = not packet.is_hidden and shown_s > self._latest_s
        if packet.is_key and (is_later or not self._spans):
            self._spans.append(Span(shown_s))
        if self._spans and not packet.is_hidden:
            self._count(shown_s, packet.duration_s)

    def _count(self, shown_s: float, duration_s: float) -> None:
        place = len(self._spans) - 1
        if shown_s < self._spans[place].key_s:
            if place == 0:
                self._spans[0].leading += 1
            else:
                place -= 1
                # The picture is even before the previous interval, so the clock jumped back.
                self._are_ordered &= place == 0 or shown_s >= self._spans[place].key_s
        self._spans[place].add(shown_s, duration_s)
        self._latest_s = max(self._latest_s, shown_s)


def least_s(film_s: float, wanted_s: float) -> float:
    """Return the least length of a film's chunks: up to twice the wanted length if there are many chunks.

    Each chunk costs the start of an encoder and the pictures since the key frame before it: 3 % of its work at 30 s.
    """
    return min(2 * wanted_s, max(wanted_s, film_s / MANY))


def chunks(
    pictures: Pictures, facts: MediaFacts, plan: Plan, *, least_s: float = LEAST_S, most_s: float = MOST_S
) -> tuple[Chunk, ...]:
    """Return the chunks of a film, in order. Each is as short as `least_s` and the key frames allow.

    Returns no chunks instead of a single one: such a film is made in one piece.
    """
    if plan.video is None:
        raise ValueError("the plan makes no film")
    intervals = pictures.spans()
    if intervals is None or plan.frame_rate or _jumps(facts, plan.video):
        return ()
    groups = _groups(intervals, least_s, most_s)
    if len(groups) < 2:
        return ()
    # What a decoder makes of packets before the first key frame is not a picture.
    begins_s = intervals[0].start_s - BEFORE_KEY_S if plan.video.packets.before_key else None
    cuts = [begins_s, *((before[-1].last_s + after[0].start_s) / 2 for before, after in pairwise(groups)), None]
    starts = [group[0].start_s for group in groups] + [groups[-1][-1].ends_s]
    lead_s = _lead_s(plan, plan.video, pictures.is_untimed)
    return tuple(
        Chunk(
            number=number,
            start_s=_rounded(starts[number] - facts.start_s),
            last_s=_rounded(max(interval.last_s for interval in group) - facts.start_s),
            duration_s=_rounded(starts[number + 1] - starts[number]),
            frames=sum(interval.frames for interval in group),
            least_frames=_least(group, is_uneven(plan.video)),
            clock_s=_rounded(starts[number]),
            seek_s=_seek(starts[number] - lead_s - facts.start_s) if number else None,
            from_s=_rounded(cuts[number]),
            to_s=_rounded(cuts[number + 1]),
        )
        for number, group in enumerate(groups)
    )


def _jumps(facts: MediaFacts, video: VideoStream) -> bool:
    """Whether the source's clock has jumps that ffmpeg corrects as it reads from the start."""
    return video.packets.longest_gap_s > MAX_JUMP_S and bool(JUMPING_FORMATS & set(facts.format.split(",")))


def _groups(spans: list[Span], least_s: float, most_s: float) -> list[list[Span]]:
    groups: list[list[Span]] = []
    for interval in spans:
        if not groups or interval.start_s - groups[-1][0].start_s >= least_s:
            groups.append([])
        groups[-1].append(interval)
    # A short rest does not become a chunk of its own.
    ends_s = spans[-1].ends_s
    if len(groups) > 1 and ends_s - groups[-1][0].start_s < least_s / 2 and ends_s - groups[-2][0].start_s <= most_s:
        rest = groups.pop()
        groups[-1] += rest
    return groups


def _lead_s(plan: Plan, video: VideoStream, is_untimed: bool) -> float:
    if is_untimed:
        return LEAD_OF_UNTIMED_S
    if plan.deinterlace:
        return min(LEAD_S + video.packets.key_interval_s + video.packets.longest_gap_s, MOST_LEAD_OF_FIELDS_S)
    return LEAD_S


def _least(group: list[Span], is_uneven: bool) -> int:
    frames = sum(interval.frames for interval in group)
    return int(frames * LEAST_OF_UNEVEN) if is_uneven else frames - group[0].leading


def _seek(seek_s: float) -> float | None:
    return _rounded(seek_s) if seek_s > 0 else None


@overload
def _rounded(seconds: float) -> float: ...
@overload
def _rounded(seconds: None) -> None: ...
def _rounded(seconds: float | None) -> float | None:
    """Round to whole microseconds, which is what ffmpeg's command line and its lists can express."""
    return None if seconds is None else round(seconds, 6)
