"""Probes a source with ffprobe and returns MediaFacts. Refuses hostile input before anything decodes it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from nebula.domain.media import (
    PICTURE_CODECS,
    AudioStream,
    MediaFacts,
    PacketFacts,
    SubtitleStream,
    VideoStream,
)
from nebula.domain.plan import absurd_size
from nebula.errors import FfmpegFailed, FfmpegStalled, MediaError
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import SourceBytes, input_arguments, is_url
from nebula.media.reading import boxes
from nebula.media.reading.packets import list_packets

MAX_ANSWER_BYTES = 4 << 20
# Below this, ffmpeg itself does not rely on its guess (AVPROBE_SCORE_RETRY); random bytes sometimes score as much.
MIN_SCORE = 26
PROBE_CPU_S = 300
MAX_TEXT = 200
FIELD_CODECS = frozenset({"h264", "mpeg2video", "vc1", "hevc"})
FIELD_FRAMES = 24


def probe(source: str, *, control: Control = FREE) -> MediaFacts | None:
    """Return the facts of a source (a local path or the store's URL); None if it is not media.

    Raises MediaError with a plain reason (media that cannot or must not be read), FfmpegFailed if trying again may
    help (the store did not answer), Stopped.
    """
    contents = SourceBytes(source)
    if contents.size_bytes == 0:
        return None
    answer = _ask(source, contents, control)
    if answer is None:
        return None
    facts = _facts(answer, contents)
    _refuse_absurd(facts)
    if not facts.moving:
        return facts
    return _with_packets(_with_fields(facts, source, control), source, control)


def _ask(source: str, contents: SourceBytes, control: Control) -> dict[str, Any] | None:
    """Return ffprobe's JSON about format and streams; None if it finds no media."""
    lines: list[str] = []
    size = 0

    def take(line: str) -> bool:
        nonlocal size
        size += len(line)
        if size > MAX_ANSWER_BYTES:
            raise MediaError("It describes itself at more length than any film does.")
        lines.append(line)
        return True

    tools = control.tools
    argv = [tools.ffprobe, "-v", "error", "-show_format", "-show_streams", "-of", "json", *input_arguments(source)]
    bounds = Bounds(memory_bytes=tools.probe_memory_bytes, cpu_s=PROBE_CPU_S, stall_s=tools.stall_s)
    try:
        run(argv, source=source, on_line=take, bounds=bounds, control=control)
    except FfmpegFailed as error:
        _explain(error, source, contents)
        return None
    answer: dict[str, Any] = json.loads("\n".join(lines))
    is_guess = int(answer.get("format", {}).get("probe_score", 0)) < MIN_SCORE
    return None if is_guess or not answer.get("streams") else answer


def _explain(error: FfmpegFailed, source: str, contents: SourceBytes) -> None:
    """Return if ffprobe failed because this is not media; otherwise raise the error that explains the failure.

    Only ffprobe's exit status and the file's own bytes decide: ffprobe's messages may be text from the file.
    """
    if isinstance(error, FfmpegStalled):
        if is_url(source):
            raise error
        raise MediaError("ffprobe finds no end in it.") from error
    if int(str(error.details.get("status", 0))) < 0:
        raise MediaError("ffprobe breaks down over it.") from error
    if boxes.layout(contents).is_cut_off:
        raise MediaError("The MP4's index is missing: the file was cut off.") from error


def _refuse_absurd(facts: MediaFacts) -> None:
    for stream in facts.moving:
        problem = absurd_size(stream.width, stream.height) if stream.codec else None
        if problem:
            raise MediaError(f"{problem[0].upper()}{problem[1:]}.")


def _with_fields(facts: MediaFacts, source: str, control: Control) -> MediaFacts:
    """Correct the field order from the first frames: Matroska headers often say progressive because nobody set it."""
    film = facts.moving[0]
    if "matroska" not in facts.format or film.codec not in FIELD_CODECS or film.is_interlaced:
        return facts
    orders: list[str] = []

    def take(line: str) -> bool:
        if "interlaced_frame=1" in line:
            orders.append("tt" if "top_field_first=1" in line else "bb")
        return True

    entries = ["-show_entries", "frame=interlaced_frame,top_field_first", "-of", "compact", "-select_streams"]
    tools = control.tools
    argv = [tools.ffprobe, "-v", "error", "-read_intervals", f"%+#{FIELD_FRAMES}", *entries, str(film.index)]
    bounds = Bounds(memory_bytes=tools.probe_memory_bytes, cpu_s=PROBE_CPU_S, stall_s=tools.stall_s)
    with contextlib.suppress(FfmpegFailed):  # a film that cannot be decoded fails when it is made
        run([*argv, *input_arguments(source)], source=source, on_line=take, bounds=bounds, control=control)
    if not orders:
        return facts
    corrected = replace(film, field_order=orders[0])
    return replace(facts, video=tuple(corrected if stream is film else stream for stream in facts.video))


def _with_packets(facts: MediaFacts, source: str, control: Control) -> MediaFacts:
    packets = list_packets(source, control=control)
    video = tuple(_as_listed(replace(track, packets=packets.get(track.index, PacketFacts()))) for track in facts.video)
    audio = tuple(replace(track, packets=packets.get(track.index, PacketFacts())) for track in facts.audio)
    texts = tuple(replace(track, packets=packets.get(track.index, PacketFacts())) for track in facts.subtitles)
    reaches_s = max((tally.ends_s for tally in packets.values() if tally.ends_s is not None), default=0.0)
    return replace(facts, video=video, audio=audio, subtitles=texts, reaches_s=reaches_s)


def _as_listed(stream: VideoStream) -> VideoStream:
    """Mark a stream with only one picture as a still, not a film; only the packet list shows that."""
    is_one_picture = stream.codec in PICTURE_CODECS and stream.packets.count <= 1
    return replace(stream, is_still=stream.is_still or is_one_picture)


def _facts(answer: Mapping[str, Any], contents: SourceBytes) -> MediaFacts:
    container = answer["format"]
    streams = answer["streams"]
    facts = MediaFacts(
        format=_text(container.get("format_name")),
        brand=_text(container.get("tags", {}).get("major_brand")).strip(),
        size_bytes=contents.size_bytes,
        duration_s=max(0.0, _number(container.get("duration"))),
        start_s=_number(container.get("start_time")),
        bitrate_bps=int(_number(container.get("bit_rate"))),
        video=tuple(_video(stream) for stream in streams if stream.get("codec_type") == "video"),
        audio=tuple(_audio(stream) for stream in streams if stream.get("codec_type") == "audio"),
        subtitles=tuple(_subtitles(stream) for stream in streams if stream.get("codec_type") == "subtitle"),
    )
    if not facts.is_mp4_family:
        return facts
    layout = boxes.layout(contents)
    return replace(facts, index_first=layout.index_first, is_fragmented=layout.is_fragmented)


def _video(raw: Mapping[str, Any]) -> VideoStream:
    disposition = raw.get("disposition", {})
    pixel_format = _text(raw.get("pix_fmt"))
    return VideoStream(
        index=raw["index"],
        codec=_codec(raw),
        width=int(_number(raw.get("width"))),
        height=int(_number(raw.get("height"))),
        profile=_text(raw.get("profile")),
        level=max(0, int(_number(raw.get("level")))),
        tag=_text(raw.get("codec_tag_string")),
        pixel_format=pixel_format,
        bit_depth=_bit_depth(pixel_format),
        aspect=_aspect(_text(raw.get("sample_aspect_ratio"))),
        rotation=_rotation(raw),
        field_order=_text(raw.get("field_order")),
        frame_rate=_rate(raw.get("avg_frame_rate")),
        real_frame_rate=_rate(raw.get("r_frame_rate")),
        declared=int(_number(raw.get("nb_frames"))),
        delay=max(0, int(_number(raw.get("has_b_frames")))),
        primaries=_color(raw.get("color_primaries")),
        transfer=_color(raw.get("color_transfer")),
        matrix=_color(raw.get("color_space")),
        color_range=_color(raw.get("color_range")),
        is_still=any(disposition.get(kind) for kind in ("attached_pic", "timed_thumbnails", "still_image")),
        is_default=bool(disposition.get("default")),
        language=_tag(raw, "language"),
    )


def _audio(raw: Mapping[str, Any]) -> AudioStream:
    return AudioStream(
        index=raw["index"],
        codec=_codec(raw),
        profile=_text(raw.get("profile")),
        channels=int(_number(raw.get("channels"))),
        sample_rate=int(_number(raw.get("sample_rate"))),
        language=_tag(raw, "language"),
        title=_tag(raw, "title"),
        is_default=bool(raw.get("disposition", {}).get("default")),
    )


def _subtitles(raw: Mapping[str, Any]) -> SubtitleStream:
    disposition = raw.get("disposition", {})
    return SubtitleStream(
        index=raw["index"],
        codec=_codec(raw),
        language=_tag(raw, "language"),
        title=_tag(raw, "title"),
        is_default=bool(disposition.get("default")),
        is_forced=bool(disposition.get("forced")),
        is_for_hearing_impaired=bool(disposition.get("hearing_impaired")),
    )


def _codec(raw: Mapping[str, Any]) -> str:
    name = _text(raw.get("codec_name"))
    return "" if name in {"unknown", "none"} else name


def _text(value: object) -> str:
    """Return text from an untrusted file, shortened and without control characters."""
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:MAX_TEXT]


def _tag(raw: Mapping[str, Any], name: str) -> str:
    text = _text(raw.get("tags", {}).get(name))
    return "" if text == "und" else text


def _color(value: object) -> str:
    text = _text(value)
    return "" if text in {"unknown", "reserved", "unspecified"} else text


def _number(value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return 0.0
    return number if abs(number) < 1e15 else 0.0  # inf and nan also give 0, because they compare false


def _rate(value: object) -> float:
    try:
        return round(float(Fraction(str(value))), 6)
    except (ValueError, ZeroDivisionError):
        return 0.0  # "0/0"


def _aspect(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.split(":"))
    except ValueError:
        return 1, 1
    # 0:1 is "unknown". An aspect that would stretch the picture to a line comes from a damaged header.
    return (width, height) if width > 0 and height > 0 and 0.1 < width / height < 10 else (1, 1)


def _rotation(raw: Mapping[str, Any]) -> int:
    turns = [side_data["rotation"] for side_data in raw.get("side_data_list", ()) if "rotation" in side_data]
    return round(_number(turns[0])) % 360 if turns else 0


def _bit_depth(pixel_format: str) -> int:
    match = re.search(r"(?:p0?|gray)(9|10|12|14|16)(?:le|be)?$", pixel_format)
    return int(match[1]) if match else 8
