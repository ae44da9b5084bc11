"""The rungs below a film's first, for slow connections and small screens. They are made when every film has its first.

An original that plays everywhere as it is has lower rungs, too: it is its own first rung. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from nebula.domain.media import VideoStream
from nebula.domain.plan import LONG_SIDE, SHORT_SIDE, Plan, slowed_rate
from nebula.domain.states import FileState, PlanAction

LOWER_RUNGS = (1080, 720, 480)  # 1080 is lower only than a picture that is copied
REASON = "a smaller picture for slow connections"


def lower(plan: Plan) -> tuple[Plan, ...]:
    """Return the plans of the rungs below the plan's own, the highest first. None of them is larger than the source."""
    if plan.video is None:
        return ()
    plans = [_at(plan, plan.video, short) for short in LOWER_RUNGS]
    return tuple(smaller for smaller in plans if (smaller.width or 0) < (plan.width or 0))


def at(plan: Plan, rung: str | None) -> Plan:
    """Return a film's plan for one of its rungs. The plan for a rung that the film does not have needs nothing."""
    if rung is None or rung == plan.rung:
        return plan
    nothing = replace(plan, action=PlanAction.NOTHING, reasons=(f"the film has no rung {rung}",))
    return next((smaller for smaller in lower(plan) if smaller.rung == rung), nothing if plan.makes_film else plan)


def _at(plan: Plan, video: VideoStream, short: int) -> Plan:
    width, height = video.shown_size
    scale = min(short / min(width, height), short * LONG_SIDE / SHORT_SIDE / max(width, height))
    return replace(
        plan,
        action=PlanAction.ENCODE,
        state=FileState.PROCESSING,
        reasons=(REASON,),
        rung=f"{short}p",
        width=_even(width * scale),
        height=_even(height * scale),
        deinterlace=video.is_interlaced,
        tone_map=video.is_hdr,
        frame_rate=slowed_rate(video),
    )


def _even(side: float) -> int:
    return max(2, int(side / 2 + 1e-6) * 2)
