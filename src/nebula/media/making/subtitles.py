"""Takes the text subtitles out of a source, each as a WebVTT file, in one run of ffmpeg that reads it once.

ffmpeg turns every kind into an ASS script, whose events domain/webvtt.py writes as cues. Only packets of the source are
read, so that no subtitles can name another file, and only decoders of text are used. A stream that breaks the run, or
whose script grows beyond any film's, is found by taking each alone, and left out.

Times are the source's own, less what its clock shows at the film's zero, as for a film's sound. ffmpeg's script cannot
show a time below zero or beyond ten hours: so zero is a minute in it, and what a film of more than 9:59 h says after
that is lost.
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
# Reading a film costs little; a decoder that loops is ended.
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
    is_short: bool = False  # a stream's last texts are missing: they cannot be read, or the source was cut off


def arguments(
    source: str, facts: MediaFacts, streams: Sequence[SubtitleStream], zero_s: float, folder: Path, ffmpeg: str
) -> list[str]:
    """Return the command that writes each stream's script into `folder`. `zero_s` is the film's zero on its clock."""
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        # A text that cannot be decoded costs itself alone, however many they are.
        *("-copyts", "-max_error_rate", "1"),
        # The other way to read an MP4's edit list cuts it for pictures and sound, and sets texts off by seconds.
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

    Raises FfmpegFailed if the source could not be read, NoRoom, Stopped, and what control.check_source does.
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
        made = take(streams)
    except FfmpegFailed as error:
        _raise_if_unread(error)
        command = film.command(arguments(source, facts, streams, zero_s, folder, tools.ffmpeg), source)
        made = Made(command, str(error.details.get("log", "")))
        notes += _alone(take, streams, folder, error)
    budget = webvtt.Budget(streams=webvtt.STREAMS_AT_MOST)
    found = [_written(stream, folder, notes, budget) for stream in streams if _script_path(stream, folder).exists()]
    kept = tuple(one for one in found if one is not None)
    is_short = len(kept) < len(streams) or any(_is_short(one, zero_s) for one in kept)
    return Extraction(kept, tuple(notes), made, is_short)


def _script(stream: SubtitleStream, zero_s: float, folder: Path) -> list[str]:
    return [
        *("-map", f"0:{stream.index}", "-c:s", "ass", "-output_ts_offset", f"{LEAD_S - zero_s:.6f}"),
        # Else what is shown more than a minute before the film's zero would move all that comes after it.
        *("-avoid_negative_ts", "disabled"),
        # The order of time is made later: ffmpeg would hold back what it takes for too early.
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
    """Take each stream by itself after a run of all of them failed; return notes of those that fail again."""
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
    """Raise what says nothing about the subtitles: nothing came for too long. A store that failed is raised by run."""
    if isinstance(error, FfmpegStalled):
        raise error


def _written(stream: SubtitleStream, folder: Path, notes: list[str], of_file: webvtt.Budget) -> MadeSubtitles | None:
    """Write the WebVTT of a script. Return None, with a note, if it shows nothing or too much."""
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
    """Whether texts end before the stream's packets do: ffmpeg reads a source that is cut off and exits 0."""
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
        # Hours may pass in a film without a word, and all of it is read meanwhile.
        stall_s=tools.stall_s + facts.size_bytes / SLOWEST_BYTES_PER_S,
    )
