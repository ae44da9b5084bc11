"""How many pictures a film made from a stream must have, computed from the stream's packets."""

from __future__ import annotations

from nebula.domain.media import VideoStream
from nebula.domain.plan import Plan

# Codecs with packets that are not a frame: VP8's hidden references, MPEG-4's packed and empty frames, and RealVideo.
UNEVEN_CODECS = frozenset(
    {"vp8", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv3", "vc1", "rv30", "rv40", "h263"}
)
LEAST_OF_UNEVEN = 0.45
SLACK_FRAMES = 2  # a film with a constant rate may begin and end with one more frame


def is_uneven(video: VideoStream) -> bool:
    """Whether the stream may have more packets than pictures.

    H.264 in fields has two packets per frame if nothing joined them. Missing pictures are found by the clock instead.
    """
    return video.codec in UNEVEN_CODECS or (video.is_interlaced and video.codec == "h264")


def most_frames(video: VideoStream) -> int:
    """Return how many pictures an encoder may be given at most, whatever filters come before it. No film has more.

    Each packet is at most one picture, and a constant rate never has more pictures than packets (plan.slowed_rate).
    """
    return video.packets.count + SLACK_FRAMES


def expected_frames(plan: Plan, video: VideoStream) -> tuple[int, int]:
    """Return the lowest and the highest number of packets that a film of this stream can have."""
    packets = video.packets
    if not plan.encodes_video:
        # Packets that an edit list hides are either copied together with the list or dropped with it.
        return packets.count - packets.before_key - packets.hidden, packets.count - packets.before_key
    if plan.frame_rate:
        frames = round(packets.span_s * plan.frame_rate)
        return frames - 2, frames + 2
    most = packets.count - packets.before_key - packets.hidden
    if is_uneven(video):
        return int(most * LEAST_OF_UNEVEN), most
    # Frames that come before the first key frame may be left out: no decoder can show them correctly.
    return most - packets.leading, most
