"""Checks that an encoded chunk is complete and can be joined with the other chunks of its film.

It checks the number of pictures, both in the packet list and by decoding every picture; when the first and the last
picture are shown; that no hole is longer than the source's; that size, profile, level and pixel format are as planned;
and the fingerprint of the codec's header (SPS and PPS), which all chunks must share because a film has only one header.

Hardware is trusted less than x264. Its key frames are counted, no picture may be broken, and the first pictures are
compared to the source's (likeness.py), because a broken driver makes green pictures that decode without an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nebula.domain.chunks import Chunk
from nebula.domain.encoders import SOFTWARE
from nebula.domain.frames import most_frames
from nebula.domain.media import VideoStream
from nebula.domain.plan import MAX_KEY_INTERVAL_S, MAX_LEVEL, WEB_PIXEL_FORMATS, WEB_PROFILES, Plan
from nebula.errors import FfmpegFailed, Incomplete, MediaError, OtherFingerprint
from nebula.media.ffmpeg import arguments, processor
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.progress import ProgressReader
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import input_arguments
from nebula.media.ffmpeg.tools import Tools
from nebula.media.reading.packets import seconds
from nebula.media.verifying import damage, likeness
from nebula.media.verifying.film_checks import GAP_SLACK_S, digest

TIME_SLACK_S = 0.002  # two ticks of Matroska's clock, the coarsest common one
PARAMETERS = "codec_name,profile,level,width,height,pix_fmt,sample_aspect_ratio,field_order,extradata_hash"


@dataclass(frozen=True)
class VerifiedChunk:
    """A chunk that may be stored and joined."""

    size_bytes: int
    sha256: str
    frames: int
    start_s: float  # when its first picture is shown in the film
    last_s: float  # when its last picture is shown in the film
    fingerprint: str  # of the codec's header: sha256 of the avcC box
    warning: str | None = None


def verify_chunk(
    plan: Plan,
    chunk: Chunk,
    target: Path,
    *,
    fingerprint: str | None = None,
    encoder: str = SOFTWARE,
    source: str = "",
    compared: int = likeness.FRAMES,
    accept_short: bool = False,
    control: Control = FREE,
) -> VerifiedChunk:
    """Check the chunk at `target`. `fingerprint` is that of the film's other chunks, if there are any yet.

    A hardware encoder's chunk is checked more closely: its first `compared` pictures are compared to the `source`. If
    a chunk is short and that is accepted, its number of pictures is compared to what the `source` shows.

    Raises Incomplete if the chunk is not all of its interval (with `accept_short` that becomes the result's `warning`,
    as long as it has a picture), OtherFingerprint, FfmpegFailed if it cannot be decoded or is not as planned,
    MediaError if nothing of it can be played, Stopped.
    """
    if plan.video is None:
        raise ValueError("the plan makes no film")
    report = _listed(target, control)
    if not report.frames:
        raise _nothing(accept_short)
    _judge(report.parameters, plan, fingerprint)
    is_strict = encoder != SOFTWARE
    if is_strict:
        _judge_keys(report, plan.video)
    undecoded = _undecoded(report, plan, target, is_strict, control)
    shortfalls = [*_shortfalls(report, chunk, plan.video), *undecoded]
    if shortfalls and not accept_short:
        raise Incomplete(f"Chunk {chunk.number} is not all of its source: {'; '.join(shortfalls)}.", log="")
    if is_strict:
        likeness.check(source, plan, chunk, target, frames=compared, control=control)
    if shortfalls and source:
        _refuse_lost(report, source, plan.video, chunk, control)
    return VerifiedChunk(
        size_bytes=target.stat().st_size,
        sha256=digest(target),
        frames=report.frames,
        start_s=_as_planned(chunk.start_s, chunk.start_s + report.start_s),
        last_s=_as_planned(chunk.last_s, chunk.start_s + report.last_s),
        fingerprint=report.parameters["extradata_hash"],
        warning=f"The source is damaged: {'; '.join(shortfalls)}." if shortfalls else None,
    )


def look_closely(
    source: str,
    plan: Plan,
    target: Path,
    *,
    control: Control = FREE,
) -> None:
    """Check a film that hardware made in one piece for the faults of hardware encoders. Raises FfmpegFailed.

    film_checks.py checks everything else.
    """
    argv = arguments.decode(target, is_strict=True, ffmpeg=control.tools.ffmpeg)
    bounds = _bounds(control.tools, processor.made_s(plan, most_frames(plan.video) if plan.video else 0))
    run(argv, source="", on_line=_moves(ProgressReader(0)), bounds=bounds, control=control)
    likeness.check(source, plan, None, target, control=control)


@dataclass
class _Listed:
    """What ffprobe reports about a chunk. Times are on the chunk's clock: its first picture belongs at 0."""

    parameters: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    start_s: float = math.inf
    last_s: float = -math.inf
    longest_gap_s: float = 0.0
    key_interval_s: float = 0.0  # infinite if it does not begin with a key frame
    _key_s: float = -math.inf
    _clock_s: float | None = None

    def take(self, line: str) -> bool:
        # "packet|pts_time=0.041667|dts_time=0.000000", "stream|codec_name=h264|..."
        section, *pairs = line.split("|")
        values = dict(pair.partition("=")[::2] for pair in pairs)
        if section == "packet":
            self._take_packet(seconds(values.get("pts_time", "")), seconds(values.get("dts_time", "")))
            self._take_key(seconds(values.get("pts_time", "")), "K" in values.get("flags", ""))
        elif section == "stream":
            self.parameters = values
        return True

    def _take_packet(self, pts_s: float | None, dts_s: float | None) -> None:
        self.frames += 1
        if pts_s is not None:
            self.start_s = min(self.start_s, pts_s)
            self.last_s = max(self.last_s, pts_s)
        if dts_s is not None and self._clock_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, dts_s - self._clock_s)
        self._clock_s = dts_s

    def _take_key(self, pts_s: float | None, is_key: bool) -> None:
        if pts_s is None:
            return
        if is_key:
            self._key_s = pts_s
        self.key_interval_s = max(self.key_interval_s, pts_s - self._key_s)


def _listed(target: Path, control: Control) -> _Listed:
    report = _Listed()
    entries = ["-show_entries", f"packet=pts_time,dts_time,flags:stream={PARAMETERS}", "-show_data_hash", "sha256"]
    argv = [control.tools.ffprobe, "-v", "error", *entries, "-of", "compact", *input_arguments(str(target))]
    run(argv, source="", on_line=report.take, bounds=_bounds(control.tools, processor.BASE_S), control=control)
    return report


def _refuse_lost(listed: _Listed, source: str, video: VideoStream, chunk: Chunk, control: Control) -> None:
    """Raise if the source has pictures that the chunk lacks: then the source is not the damaged one."""
    lost = damage.lost_pictures(
        listed.frames,
        chunk.least_frames,
        chunk.frames,
        lambda: damage.decode_stream(source, video.index, chunk, cpu_s=_decoding_s(video), control=control),
    )
    if lost:
        raise FfmpegFailed(f"Chunk {chunk.number} is not all of its source, which is not damaged: {lost}.", log="")


def _decoding_s(video: VideoStream) -> int:
    return processor.limit_s(pixels=most_frames(video) * video.width * video.height)


def _nothing(accept_short: bool) -> Exception:
    if accept_short:
        return MediaError("Nothing of this part of the film can be played.")
    return Incomplete("The chunk that was made holds no picture.", log="")


def _judge(found: Mapping[str, str], plan: Plan, fingerprint: str | None) -> None:
    """Raise if the chunk is not encoded as planned, or its header differs from the other chunks'."""
    expected = (
        (found.get("codec_name") == "h264", "codec_name"),
        (found.get("profile") in WEB_PROFILES, "profile"),
        (0 < (seconds(found.get("level", "")) or 0) <= MAX_LEVEL, "level"),
        (found.get("pix_fmt") in WEB_PIXEL_FORMATS, "pix_fmt"),
        (found.get("width") == str(plan.width), "width"),
        (found.get("height") == str(plan.height), "height"),
        (found.get("sample_aspect_ratio", "N/A") in {"1:1", "0:1", "N/A"}, "sample_aspect_ratio"),
        (found.get("field_order", "unknown") in {"progressive", "unknown"}, "field_order"),
        (bool(found.get("extradata_hash")), "extradata_hash"),
    )
    wrong = [f"{name} {found.get(name)}" for is_right, name in expected if not is_right]
    if wrong:
        raise FfmpegFailed(f"The chunk is not what was planned: {', '.join(wrong)}.", log="")
    if fingerprint is not None and found["extradata_hash"] != fingerprint:
        raise OtherFingerprint("The chunk's header is not that of the film's other chunks.", log="")


def _judge_keys(listed: _Listed, video: VideoStream) -> None:
    if listed.key_interval_s > MAX_KEY_INTERVAL_S + video.packets.longest_gap_s:
        raise FfmpegFailed(
            f"The chunk is not what was planned: {listed.key_interval_s:.1f} s without a key frame.", log=""
        )


def _shortfalls(listed: _Listed, chunk: Chunk, video: VideoStream) -> Iterator[str]:
    if not chunk.least_frames <= listed.frames <= chunk.frames:
        yield f"it has {listed.frames} pictures, not {chunk.frames}"
    # If packets do not match pictures one to one, their times are not exact to the millisecond either.
    slack_s = TIME_SLACK_S
    if chunk.least_frames < chunk.frames:
        slack_s += GAP_SLACK_S + min(chunk.frames - chunk.least_frames, 16) * chunk.duration_s / chunk.frames
    for which, planned_s, got_s in (
        ("first", chunk.start_s, chunk.start_s + listed.start_s),
        ("last", chunk.last_s, chunk.start_s + listed.last_s),
    ):
        if not abs(planned_s - got_s) <= slack_s:
            yield f"its {which} picture is shown {got_s - planned_s:+.3f} s from where it belongs"
    if listed.longest_gap_s > video.packets.longest_gap_s * 1.05 + GAP_SLACK_S:
        yield f"it has a hole of {listed.longest_gap_s:.2f} s"


def _undecoded(listed: _Listed, plan: Plan, target: Path, is_strict: bool, control: Control) -> Iterator[str]:
    reader = ProgressReader(0)
    # x264 uses every core for the next chunk meanwhile: a decoder with threads is no faster then, and costs 10 % more.
    threads = 0 if is_strict else 1
    argv = arguments.decode(target, is_strict=is_strict, threads=threads, ffmpeg=control.tools.ffmpeg)
    bounds = _bounds(control.tools, processor.made_s(plan, listed.frames))
    run(argv, source="", on_line=_moves(reader), bounds=bounds, control=control)
    if reader.frames != listed.frames:
        yield f"{reader.frames} of its {listed.frames} pictures can be decoded"


def _moves(reader: ProgressReader) -> Callable[[str], bool]:
    return lambda line: reader.feed(line) is not None and reader.moved


def _bounds(tools: Tools, cpu_s: int) -> Bounds:
    return Bounds(memory_bytes=tools.film_memory_bytes, cpu_s=cpu_s, stall_s=tools.stall_s)


def _as_planned(planned_s: float, got_s: float) -> float:
    """Return the planned time if the measured one differs only by the rounding of clocks."""
    return planned_s if abs(planned_s - got_s) <= TIME_SLACK_S else round(got_s, 6)
