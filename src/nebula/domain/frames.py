"""How many pictures a film of a stream must have, from the stream's packets."""

from __future__ import annotations

from nebula.domain.media import VideoStream
from nebula.domain.plan import Plan

# Packets that are no frame of their own: VP8's hidden references, MPEG-4's packed and empty frames, Real's.
UNEVEN_CODECS = frozenset(
    {"vp8", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv3", "vc1", "rv30", "rv40", "h263"}
)
LEAST_OF_UNEVEN = 0.45
SLACK_FRAMES = 2  # a constant rate may begin and end with one more


def is_uneven(video: VideoStream) -> bool:
    """Whether the stream may have more packets than pictures.

    H.264 in fields has two packets a frame where nothing joined them. Holes are found by the clock.
    """
    return video.codec in UNEVEN_CODECS or (video.is_interlaced and video.codec == "h264")


def most_frames(video: VideoStream) -> int:
    """Return how many pictures an encoder may be given, whatever the filters before it do: no film has more.

    Each packet is a picture or less, and a constant rate has fewer pictures than the packets (plan.slowed_rate).
    """
    return video.packets.count + SLACK_FRAMES


def expected_frames(plan: Plan, video: VideoStream) -> tuple[int, int]:
    """Return the least and the most packets that a film of this stream has."""
    packets = video.packets
    if not plan.encodes_video:
        # Packets that an edit list hides are copied with the list, or dropped with it.
        return packets.count - packets.before_key - packets.hidden, packets.count - packets.before_key
    if plan.frame_rate:
        frames = round(packets.span_s * plan.frame_rate)
        return frames - 2, frames + 2
    most = packets.count - packets.before_key - packets.hidden
    if is_uneven(video):
        return int(most * LEAST_OF_UNEVEN), most
    # Frames that lead the first key frame may be left out: nothing shows them right.
    return most - packets.leading, most
