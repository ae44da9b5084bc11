"""The families of encoders, and which films the hardware's may make. What is asked of each is media/encoders.py's."""

from __future__ import annotations

from nebula.domain.media import MediaFacts, VideoStream
from nebula.domain.plan import Plan, damage

SOFTWARE = "libx264"  # every node has it
HARDWARE = ("h264_qsv", "h264_vaapi")  # the better one first
FAMILIES = (*HARDWARE, SOFTWARE)
AUTO = "auto"
# How far a rate that the container tells may be from the one that its packets have.
RATE_SLACK = 0.05


def suited(facts: MediaFacts, plan: Plan) -> tuple[str, ...]:
    """Return the families that may make a film.

    Hardware divides its bits by frames a second, as the container tells them: one that tells a thousand (a browser's
    recording) or whose pictures come as they like would be starved or bloated. And what is missing in a damaged source
    must not be taken for a fault of the hardware.
    """
    if plan.video is None or damage(facts) is not None or not _tells_its_rate(plan, plan.video):
        return (SOFTWARE,)
    return FAMILIES


def _tells_its_rate(plan: Plan, video: VideoStream) -> bool:
    if plan.frame_rate:
        return True  # it is made so
    listed = video.listed_rate if video.packets.span_s > 0 else 0.0
    return listed > 0 and all(
        abs(told / listed - 1) <= RATE_SLACK for told in (video.real_frame_rate, video.frame_rate or listed)
    )
