"""Extracts the text subtitles of a source, each as a WebVTT file, in one run of ffmpeg that reads the source once.

ffmpeg turns every kind of subtitles into an ASS script, whose events domain/webvtt.py writes as cues. Only packets of
the source are read, so subtitles cannot name another file, and only text decoders are used. If a stream breaks the run,
or its script grows larger than any film's, each stream is extracted alone, and those that fail are left out.

Times are the source's own, minus what its clock shows at the film's zero, as for a film's sound. ffmpeg's script cannot
hold a time below zero or above ten hours. So the film's zero is at one minute in it, and subtitles after 9:59 h are
lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nebula.domain import webvtt
from nebula.domain.media import MediaFacts, SubtitleStream
from nebula.domain.subtitles import shown
from nebula.errors import FfmpegFailed, FfmpegStalled
from nebula.media.ffmpeg.arguments import QUIET
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.progress import Progress, ProgressReader
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import input_arguments
from nebula.media.ffmpeg.tools import Tools
from nebula.media.making import film
from nebula.media.making.film import Made
from nebula.media.verifying.film_checks import digest

LEAD_S = 60.0
MAX_SCRIPT_BYTES = 32 << 20
# Reading a film costs little. The limit ends a decoder that loops.
CPU_S = 300
LEAST_BYTES_PER_CPU_S = 50e6
SLOWEST_BYTES_PER_S = 10e6
ALONE_S = 600.0
SHORT_S = 1.0


@dataclass(frozen=True)
class MadeSubtitles:
    """One stream as a WebVTT file."""

    stream: SubtitleStream
    path: Path
    size_bytes: int
    sha256: str
    cues: int
    reaches_s: float


@dataclass(frozen=True)
class Extraction:
    """What was made of a source's subtitles; `notes` say which streams were left out, and why."""

    made: tuple[MadeSubtitles, ...]
    notes: tuple[str, ...]
    run: Made
    is_short: bool = False  # a stream's last texts are missing: they are unreadable, or the source was cut off


def arguments(
    source: str, facts: MediaFacts, streams: Sequence[SubtitleStream], zero_s: float, folder: Path, ffmpeg: str
) -> list[str]:
    """Return the command that writes each stream's script into `folder`.

    `zero_s` is the film's zero on the source's clock.
    """
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        # Texts that cannot be decoded are skipped, no matter how many.
        *("-copyts", "-max_error_rate", "1"),
        # ffmpeg's advanced edit lists suit pictures and sound; they shift texts by seconds.
        *(["-advanced_editlist", "0"] if facts.is_mp4_family else []),
        *input_arguments(source),
        *(word for stream in streams for word in _script(stream, zero_s, folder)),
    ]


def extract(
    source: str,
    facts: MediaFacts,
    streams: Sequence[SubtitleStream],
    folder: Path,
    *,
    zero_s: float,
    control: Control = FREE,
) -> Extraction:
    """Write the WebVTT files of these streams into `folder`.

    Raises FfmpegFailed if the source could not be read, NoRoom, Stopped, and what control.check_source raises.
    """
    tools = control.tools

    def take(some: Sequence[SubtitleStream]) -> Made:
        argv = arguments(source, facts, some, zero_s, folder, tools.ffmpeg)
        reader = ProgressReader(facts.listed_s + LEAD_S)
        take_line, bounds = _told(reader, control.on_progress), _bounds(facts, tools)
        log = run(argv, source=source, on_line=take_line, bounds=bounds, control=control)
        return Made(film.command(argv, source), log)

    notes: list[str] = []
    try:
        made_run = take(streams)
    except FfmpegFailed as error:
        _raise_if_unread(error)
        command = film.command(arguments(source, facts, streams, zero_s, folder, tools.ffmpeg), source)
        made_run = Made(command, str(error.details.get("log", "")))
        notes += _alone(take, streams, folder, error)
    budget = webvtt.Budget(streams=webvtt.STREAMS_AT_MOST)
    results = [_written(stream, folder, notes, budget) for stream in streams if _script_path(stream, folder).exists()]
    subtitles = tuple(result for result in results if result is not None)
    is_short = len(subtitles) < len(streams) or any(_is_short(result, zero_s) for result in subtitles)
    return Extraction(subtitles, tuple(notes), made_run, is_short)


def _script(stream: SubtitleStream, zero_s: float, folder: Path) -> list[str]:
    return [
        *("-map", f"0:{stream.index}", "-c:s", "ass", "-output_ts_offset", f"{LEAD_S - zero_s:.6f}"),
        # Otherwise a text more than a minute before the film's zero would shift all texts after it.
        *("-avoid_negative_ts", "disabled"),
        # The events are sorted later: ffmpeg itself would hold back those that it thinks are too early.
        *("-f", "ass", "-ignore_readorder", "1", f"file:{_script_path(stream, folder)}"),
    ]


def _script_path(stream: SubtitleStream, folder: Path) -> Path:
    return folder / f"{stream.index}.ass"


def _alone(
    take: Callable[[Sequence[SubtitleStream]], Made],
    streams: Sequence[SubtitleStream],
    folder: Path,
    failure: FfmpegFailed,
) -> list[str]:
    """Extract each stream alone after the run for all of them failed; return a note for each that fails again."""
    notes: list[str] = []
    deadline = time.monotonic() + ALONE_S
    for stream in streams:
        if len(streams) > 1 and time.monotonic() < deadline:
            try:
                take([stream])
                continue
            except FfmpegFailed as error:
                _raise_if_unread(error)
                failure = error
        _script_path(stream, folder).unlink(missing_ok=True)
        notes.append(f"{shown(stream)} could not be read: {failure.message}")
    return notes


def _raise_if_unread(error: FfmpegFailed) -> None:
    """Raise an error that says nothing about the subtitles: a stall. `run` itself raises the store's failures."""
    if isinstance(error, FfmpegStalled):
        raise error


def _written(stream: SubtitleStream, folder: Path, notes: list[str], of_file: webvtt.Budget) -> MadeSubtitles | None:
    """Write the WebVTT of a script. Return None, and add a note, if it has no text or too much."""
    script, target = _script_path(stream, folder), folder / f"{stream.index}.vtt"
    try:
        with script.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            cues = webvtt.cues((line.rstrip("\r\n") for line in lines), -LEAD_S, of_file)
    except webvtt.TooMuch as error:
        notes.append(f"{shown(stream)} holds {error}")
        return None
    finally:
        script.unlink()
    if not cues:
        notes.append(f"{shown(stream)} holds no text that can be read")
        return None
    with target.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(webvtt.written(cues))
    return MadeSubtitles(
        stream, target, target.stat().st_size, digest(target), len(cues), max(cue.end_ms for cue in cues) / 1000
    )


def _is_short(made: MadeSubtitles, zero_s: float) -> bool:
    """Whether the texts end before the stream's packets do. ffmpeg exits 0 even if its source was cut off."""
    return made.reaches_s < (made.stream.packets.last_s or 0.0) - zero_s - SHORT_S


def _told(reader: ProgressReader, on_progress: Callable[[Progress], None]) -> Callable[[str], bool]:
    def take(line: str) -> bool:
        progress = reader.feed(line)
        if progress is not None:
            on_progress(progress)
        return progress is not None and reader.moved

    return take


def _bounds(facts: MediaFacts, tools: Tools) -> Bounds:
    return Bounds(
        memory_bytes=tools.probe_memory_bytes,
        file_bytes=MAX_SCRIPT_BYTES,
        cpu_s=CPU_S + int(facts.size_bytes / LEAST_BYTES_PER_CPU_S),
        # ffmpeg may read hours of a film that have no text, and reports nothing new meanwhile.
        stall_s=tools.stall_s + facts.size_bytes / SLOWEST_BYTES_PER_S,
    )
