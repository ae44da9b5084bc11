"""Returns the arguments of each encoder. Pure. All encoders make the same kind of film.

H.264 High at the plan's level, 8 bits, 4:2:0, at most the rung's bit rate, a key frame every two seconds that begins a
closed group, and a header that does not depend on the pictures.

The graphics device only encodes. The processor decodes, scales, tone-maps, rotates and deinterlaces for every encoder,
so that a film looks the same with each. Low-power encoding is not used: it needs firmware, which Linux does not load on
11th generation processors, and keeps no bit rate without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nebula.domain.encoders import SOFTWARE
from nebula.domain.plan import Plan

KEY_INTERVAL_S = 2
# Length of the rung's short side -> maximum bit rate. A quiet film takes much less in software (CRF).
MAX_RATES_KBPS = ((1080, 8000), (720, 5000), (480, 2500), (0, 1500))
# Hardware's mean bit rate as a share of the maximum: it is controlled by a mean, and needs more bits than x264.
MEAN_SHARE = 0.75
# H.264 table A-1: level -> macroblocks in a picture, macroblocks in a second.
LEVELS = (("3.1", 3600, 108_000), ("4.1", 8192, 245_760), ("4.2", 8704, 522_240), ("5.1", 36_864, 983_040))


@dataclass(frozen=True)
class Family:
    """The arguments with which ffmpeg uses one encoder."""

    options: Callable[[Plan, float, int], list[str]]  # from plan, frames a second and threads
    filters: tuple[str, ...] = ("format=yuv420p",)  # the last ones before the encoder
    device: Callable[[str], list[str]] = lambda path: []  # opens the graphics device at that path
    is_hardware: bool = True


def level(width: int, height: int, frame_rate: float) -> str:
    """Return the lowest H.264 level of LEVELS that allows pictures of this size and rate."""
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
        # x264 would derive the level from the container's frame rate, which is 1000 if a browser recorded the film.
        *("-level:v", level(plan.width or 0, plan.height or 0, frame_rate)),
        # Key frames are placed by time only; another at each cut would cost many bits within a short time.
        *("-sc_threshold", "0", "-threads", str(threads)),
        # Each chunk can be decoded alone, and all chunks have the same header, whatever their pictures show.
        *("-x264-params", "open-gop=0:stitchable=1"),
    ]


def _qsv(plan: Plan, frame_rate: float, threads: int) -> list[str]:
    most = _most_kbps(plan)
    return [
        *("-c:v", "h264_qsv", "-preset", "veryfast", "-low_power", "0"),
        *_hardware_rate(most),
        *("-rc_init_occupancy", f"{most}k", "-mbbrc", "1"),
        *_hardware_shape(plan, frame_rate),
        # Make forced key frames IDR frames, at which players can begin.
        *("-forced_idr", "1"),
    ]


def _vaapi(plan: Plan, frame_rate: float, threads: int) -> list[str]:
    return [
        *("-c:v", "h264_vaapi", "-low_power", "0", "-rc_mode", "VBR"),
        *_hardware_rate(_most_kbps(plan)),
        *_hardware_shape(plan, frame_rate),
        # Omit captions, which made pictures too large for the encoder's buffer, and the encoder's name.
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
        # Key frames are forced by time. If a driver ignores that, this count gives the same interval plus one frame.
        *("-g", str(math.ceil(KEY_INTERVAL_S * frame_rate) + 1), "-flags:v", "+cgop"),
        # Drivers compute the decoding times of B-frames from a constant rate, which sources do not keep.
        *("-bf", "0"),
    ]


FAMILIES = {
    SOFTWARE: Family(_x264, is_hardware=False),
    "h264_qsv": Family(
        _qsv,
        # QSV takes pictures from memory and uploads them itself, as many at a time as it needs.
        ("format=nv12",),
        # Through VA-API, which names the device: with two graphics cards, QSV alone may open the wrong one.
        lambda path: ["-init_hw_device", f"vaapi=va:{path}", "-init_hw_device", "qsv=qs@va"],
    ),
    "h264_vaapi": Family(
        _vaapi,
        ("format=nv12", "hwupload"),
        lambda path: ["-init_hw_device", f"vaapi=va:{path}", "-filter_hw_device", "va"],
    ),
}


def family(encoder: str) -> Family:
    """Return the arguments of the encoder with that name. Raises ValueError."""
    if encoder not in FAMILIES:
        raise ValueError(f"no arguments are known for the encoder {encoder}")
    return FAMILIES[encoder]
