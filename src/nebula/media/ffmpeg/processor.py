"""Limits the processor time of a run of ffmpeg, so that a small file cannot keep a machine busy for days.

The limit grows with the work that the packet list promises (pictures, seconds of sound, bytes to read), never with what
a header claims. It allows about twenty times what the work takes on an old laptop. It ends a decoder that loops, or
that makes more output than its input holds.
"""

from __future__ import annotations

from nebula.domain.chunks import Chunk
from nebula.domain.frames import most_frames
from nebula.domain.media import MediaFacts, VideoStream
from nebula.domain.plan import Plan

BASE_S = 300
# Decoding and encoding a 1080p picture takes 0.03 to 0.1 s; at four million pixels a second it may take 1 s.
PIXELS_PER_S = 4e6
SOUND_S_PER_S = 10.0  # AAC is encoded a hundred times faster than it plays
BYTES_PER_S = 5e6
LISTING_S = 4 * 3600  # listing packets.MAX_PACKETS packets takes less
LEAD_FRAMES = 1000  # pictures that a chunk's decoder may need before the chunk, besides as many as the chunk has


def limit_s(*, pixels: float = 0.0, sound_s: float = 0.0, size_bytes: int = 0) -> int:
    """Return the seconds of processor time for pixels to decode or encode, sound, and bytes to read or write."""
    return int(BASE_S + pixels / PIXELS_PER_S + sound_s / SOUND_S_PER_S + size_bytes / BYTES_PER_S)


def film_s(facts: MediaFacts, plan: Plan) -> int:
    """Return the limit for making a whole film, or all of its sound."""
    frames = most_frames(plan.video) if plan.video and plan.encodes_video else 0
    sound_s = sound_length_s(facts, plan) if plan.encodes_audio else 0.0
    return limit_s(pixels=frames * _pixels(plan), sound_s=sound_s, size_bytes=2 * facts.size_bytes)


def chunk_s(facts: MediaFacts, plan: Plan, chunk: Chunk) -> int:
    """Return the limit for making a chunk; a source without an index is read from its start."""
    frames = 2 * chunk.frames + LEAD_FRAMES
    return limit_s(pixels=frames * _pixels(plan), size_bytes=facts.size_bytes)


def made_s(plan: Plan, frames: int) -> int:
    """Return the limit for decoding this many pictures of the film that was made."""
    return limit_s(pixels=frames * (plan.width or 0) * (plan.height or 0))


def source_s(facts: MediaFacts) -> int:
    """Return the limit for decoding any one stream of the source."""
    pixels = max((stream.packets.count * _stored_pixels(stream) for stream in facts.moving), default=0)
    return limit_s(pixels=pixels, sound_s=facts.listed_s, size_bytes=facts.size_bytes)


def sound_length_s(facts: MediaFacts, plan: Plan) -> float:
    """Return the total length of the film's audio streams from the film's start. Gaps count: they become silence."""
    ends_s = [stream.packets.ends_s or 0.0 for stream in plan.audio]
    return sum(max(0.0, end_s - facts.start_s) for end_s in ends_s)


def _pixels(plan: Plan) -> int:
    """Return the pixels of one picture of the source plus one of the film."""
    return (_stored_pixels(plan.video) if plan.video else 0) + (plan.width or 0) * (plan.height or 0)


def _stored_pixels(video: VideoStream) -> int:
    return video.width * video.height
