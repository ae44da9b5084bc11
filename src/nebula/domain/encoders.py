"""The encoders, and which films hardware encoders may make. media/ffmpeg/encoders.py knows the arguments of each."""

from __future__ import annotations

from nebula.domain.media import MediaFacts, VideoStream
from nebula.domain.plan import Plan, damage

SOFTWARE = "libx264"  # available on every node
HARDWARE = ("h264_qsv", "h264_vaapi")  # the better one first
FAMILIES = (*HARDWARE, SOFTWARE)
AUTO = "auto"
# How far the frame rate that the container states may differ from the rate of its packets.
RATE_SLACK = 0.05


def suited(facts: MediaFacts, plan: Plan) -> tuple[str, ...]:
    """Return the encoders that may make a film.

    A hardware encoder divides its bits by the frame rate that the container states. If the container states a thousand
    (a browser's recording), or if the pictures come at irregular times, the film would get far too few or too many
    bits. Damaged sources are also made in software, so that missing pictures are not taken for a hardware fault.
    """
    if plan.video is None or damage(facts) is not None or not _tells_its_rate(plan, plan.video):
        return (SOFTWARE,)
    return FAMILIES


def _tells_its_rate(plan: Plan, video: VideoStream) -> bool:
    if plan.frame_rate:
        return True  # the film is made at this rate
    listed_rate = video.listed_rate if video.packets.span_s > 0 else 0.0
    return listed_rate > 0 and all(
        abs(rate / listed_rate - 1) <= RATE_SLACK for rate in (video.real_frame_rate, video.frame_rate or listed_rate)
    )
