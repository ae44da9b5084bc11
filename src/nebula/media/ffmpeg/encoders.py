"""What is asked of each encoder, as arguments. Pure. All of them promise the same film.

H.264 High of the plan's level, 8 bits of 4:2:0, no more bits a second than the rung's, a key frame every two seconds
that begins a closed group, and a header that depends on nothing in the pictures.

The graphics device encodes and does nothing else: decoding, scaling, tone mapping, rotation and deinterlacing are the
processor's for every encoder, so that a film looks the same whoever makes it. Low-power encoding is not used: without
firmware that Linux leaves off on an 11th generation it keeps no bit rate. (facts.md 5)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nebula.domain.encoders import SOFTWARE
from nebula.domain.plan import Plan

KEY_INTERVAL_S = 2
# Height of the rung's short side -> the most that one second may take. A quiet film takes much less in software (CRF).
MAX_RATES_KBPS = ((1080, 8000), (720, 5000), (480, 2500), (0, 1500))
# Of that, what hardware is to take on the average: its rate control is by a mean, and it needs more than x264 does.
MEAN_SHARE = 0.75
# H.264 table A-1: level -> macroblocks in a picture, macroblocks in a second.
LEVELS = (("3.1", 3600, 108_000), ("4.1", 8192, 245_760), ("4.2", 8704, 522_240), ("5.1", 36_864, 983_040))


@dataclass(frozen=True)
class Family:
    """How ffmpeg is made to use one family of encoders."""

    options: Callable[[Plan, float, int], list[str]]  # of plan, frames a second and threads
    filters: tuple[str, ...] = ("format=yuv420p",)  # the last ones before the encoder
    device: Callable[[str], list[str]] = lambda path: []  # what opens the graphics device of that path
    is_hardware: bool = True


def level(width: int, height: int, frame_rate: float) -> str:
    """Return the lowest H.264 level of LEVELS that holds pictures of this size and rate."""
    blocks = -(-width // 16) * -(-height // 16)
    for name, in_picture, in_second in LEVELS:
        if blocks <= in_picture and blocks * frame_rate <= in_second:
            return name
    return LEVELS[-1][0]


def _most_kbps(plan: Plan) -> int:
    side = min(plan.width or 0, plan.height or 0)
    return next(rate for least, rate in MAX_RATES_KBPS if side >= least)


def _x264(plan: Plan, frame_rate: float, threads: int) -> list[str]:
    most = _most_kbps(plan)
    return [
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "21"),
        *("-maxrate", f"{most}k", "-bufsize", f"{2 * most}k"),
        *("-profile:v", "high", "-pix_fmt", "yuv420p"),
        # x264 would take the level from the rate that the container claims: 1000 where a browser recorded the film.
        *("-level:v", level(plan.width or 0, plan.height or 0, frame_rate)),
        # Key frames come by the clock alone; one more at each cut costs bits in the smallest of spans.
        *("-sc_threshold", "0", "-threads", str(threads)),
        # A chunk stands alone, and every chunk's header is the same whatever is in its pictures.
        *("-x264-params", "open-gop=0:stitchable=1"),
    ]


def _qsv(plan: Plan, frame_rate: float, threads: int) -> list[str]:
    most = _most_kbps(plan)
    return [
        *("-c:v", "h264_qsv", "-preset", "veryfast", "-low_power", "0"),
        *_hardware_rate(most),
        *("-rc_init_occupancy", f"{most}k", "-mbbrc", "1"),
        *_hardware_shape(plan, frame_rate),
        # A key frame that is asked for is a real one, which players can begin at.
        *("-forced_idr", "1"),
    ]


def _vaapi(plan: Plan, frame_rate: float, threads: int) -> list[str]:
    return [
        *("-c:v", "h264_vaapi", "-low_power", "0", "-rc_mode", "VBR"),
        *_hardware_rate(_most_kbps(plan)),
        *_hardware_shape(plan, frame_rate),
        # Neither captions, which made pictures too large for its buffer, nor the encoder's name. (facts.md 16.3)
        *("-sei", "recovery_point"),
    ]


def _hardware_rate(most_kbps: int) -> list[str]:
    return [
        *("-b:v", f"{round(most_kbps * MEAN_SHARE)}k"),
        *("-maxrate", f"{most_kbps}k", "-bufsize", f"{2 * most_kbps}k"),
    ]


def _hardware_shape(plan: Plan, frame_rate: float) -> list[str]:
    return [
        *("-profile:v", "high", "-level:v", level(plan.width or 0, plan.height or 0, frame_rate).replace(".", "")),
        # Key frames are asked for by the clock. Where a driver does not listen, this count is the same but for one.
        *("-g", str(math.ceil(KEY_INTERVAL_S * frame_rate) + 1), "-flags:v", "+cgop"),
        # Drivers reckon the decoding times of B-frames from a constant rate, which sources do not keep.
        *("-bf", "0"),
    ]


FAMILIES = {
    SOFTWARE: Family(_x264, is_hardware=False),
    "h264_qsv": Family(
        _qsv,
        # It takes pictures from memory and uploads them itself, as many as it wants at a time.
        ("format=nv12",),
        # By way of VA-API, which names the device: with two graphics cards QSV alone may open the wrong one.
        lambda path: ["-init_hw_device", f"vaapi=va:{path}", "-init_hw_device", "qsv=qs@va"],
    ),
    "h264_vaapi": Family(
        _vaapi,
        ("format=nv12", "hwupload"),
        lambda path: ["-init_hw_device", f"vaapi=va:{path}", "-filter_hw_device", "va"],
    ),
}


def family(encoder: str) -> Family:
    """Return the family of that name. Raises ValueError."""
    if encoder not in FAMILIES:
        raise ValueError(f"no arguments are known for the encoder {encoder}")
    return FAMILIES[encoder]
