"""Checks that a film is all of its source. An ffmpeg that exits 0 may have lost half of it, so that is not trusted.

Every film must be web-ready by the plan's own rule. Its picture must have the packets that the source's packet list
promises, without a hole, over the same time; so must each stream of sound. Picture and sound must start as far apart
as in the source.

    copied picture   exact number of packets; the first seconds are decoded (the bytes are the source's own)
    encoded picture  number of frames (exact where the codec has one packet a frame); every frame is decoded
    copied sound     exact number of packets
    encoded sound    when it ends; all of it is decoded, and it must not be silent if the source is not

If a film was made in chunks, these and the sound were decoded before (chunk_checks.py, verify_sound), and the join was
proved to have the same packets. So only the beginning of the film is decoded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nebula.domain.frames import expected_frames, most_frames
from nebula.domain.media import AudioStream, MediaFacts, PacketFacts, VideoStream
from nebula.domain.plan import Plan, clock, damage, decide
from nebula.errors import FfmpegFailed, Incomplete, MediaError
from nebula.media.ffmpeg import arguments, processor
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.progress import ProgressReader
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.reading.packets import list_packets
from nebula.media.reading.probe import probe
from nebula.media.verifying.damage import Decoded, decode_stream, lost_pictures

FIRST_SECONDS = 10.0
# For a film whose packets are known to be good: only its header has to be tried.
JOINED_SECONDS = 1.0
# Differences that nobody sees or hears; a lost second of a film exceeds them.
SPAN_SLACK_S = 0.5
SYNC_SLACK_S = 0.15
GAP_SLACK_S = 0.1
SILENT_DB, AUDIBLE_DB = -80.0, -60.0


@dataclass(frozen=True)
class VerifiedFilm:
    """A film that may be published."""

    size_bytes: int
    sha256: str
    width: int
    height: int
    duration_s: float
    video_codec: str
    audio_codec: str | None
    warning: str | None = None


@dataclass(frozen=True)
class VerifiedSound:
    """The sound of a film, ready to be joined to its picture."""

    size_bytes: int
    sha256: str
    warning: str | None = None


@dataclass(frozen=True)
class _Check:
    """Everything that the checks look at."""

    source: str
    facts: MediaFacts
    plan: Plan
    target: Path
    made: MediaFacts
    video: VideoStream
    control: Control
    are_parts_verified: bool = False

    @property
    def made_video(self) -> VideoStream:
        return self.made.moving[0]

    def pairs(self) -> list[tuple[AudioStream, AudioStream]]:
        """Return each of the plan's audio streams with the stream that was made of it."""
        return list(zip(self.plan.audio, self.made.audio, strict=False))


def verify(
    source: str,
    facts: MediaFacts,
    plan: Plan,
    target: Path,
    *,
    accept_short: bool = False,
    parts_verified: bool = False,
    control: Control = FREE,
) -> VerifiedFilm:
    """Check the film at `target` against the facts that it was made from.

    `parts_verified` says that it was joined from chunks and sound that were each verified before.

    Raises Incomplete if the film is not all of the source. The caller should then try once more from a local copy,
    probed again. If that is incomplete too, the source is damaged: `accept_short` then turns the error into the
    result's `warning`, as long as something can be played. Raises FfmpegFailed if the film is not web-ready, cannot be
    decoded, or lacks something that its source has, MediaError if nothing of it can be played, Stopped.
    """
    if plan.video is None:
        raise ValueError("the plan makes no film")
    film = _probed(target, accept_short, control)
    check = _Check(source, facts, plan, target, film, plan.video, control, parts_verified)
    shortfalls = _shortfalls(check, accept_short)
    if shortfalls and not accept_short:
        raise Incomplete(f"The film is not all of its source: {'; '.join(shortfalls)}.", log="")
    if shortfalls:
        _refuse_lost("film", [*_lost_pictures(check), *_lost_sounds(check)])
    warning = f"The source is damaged: {'; '.join(shortfalls)}." if shortfalls else None
    video = check.made_video
    return VerifiedFilm(
        size_bytes=target.stat().st_size,
        sha256=digest(target),
        width=video.width,
        height=video.height,
        duration_s=round(film.listed_s, 3),
        video_codec=video.codec,
        audio_codec=film.audio[0].codec if film.audio else None,
        warning=warning,
    )


def verify_sound(
    source: str,
    facts: MediaFacts,
    plan: Plan,
    target: Path,
    *,
    accept_short: bool = False,
    control: Control = FREE,
) -> VerifiedSound:
    """Check the sound at `target`, which was made without the picture. Raises as `verify` does."""
    if plan.video is None or not plan.audio:
        raise ValueError("the plan has no sound")
    try:
        sound = probe(str(target), control=control) or MediaFacts("")
    except MediaError as error:
        raise FfmpegFailed(f"The sound that was made cannot be read: {error.message}", log="") from error
    packets = list_packets(str(target), control=control)
    audio = tuple(replace(stream, packets=packets.get(stream.index, PacketFacts())) for stream in sound.audio)
    sound = replace(sound, audio=audio)
    check = _Check(source, facts, plan, target, sound, plan.video, control)
    shortfalls = [*_sound_shortfalls(check), *_start_shortfalls(check)]
    if accept_short or not shortfalls:
        shortfalls += _silences(check)
    if shortfalls and not accept_short:
        raise Incomplete(f"The sound is not all of its source's: {'; '.join(shortfalls)}.", log="")
    if shortfalls:
        _refuse_lost("sound", [*_lost_sounds(check)])
    warning = f"The source is damaged: {'; '.join(shortfalls)}." if shortfalls else None
    return VerifiedSound(target.stat().st_size, digest(target), warning)


def _probed(target: Path, accept_short: bool, control: Control) -> MediaFacts:
    try:
        film = probe(str(target), control=control)
    except MediaError as error:
        raise FfmpegFailed(f"The film that was made cannot be read: {error.message}", log="") from error
    if film is None or not film.moving or not film.moving[0].packets.count:
        if accept_short:
            raise MediaError("Nothing of this film can be played: it ends before its first picture.")
        raise Incomplete("The film that was made holds no picture.", log="")
    decision = decide(film, name="", media_type="")
    if not decision.web_ready:
        raise FfmpegFailed(f"The film that was made is not web-ready: {'; '.join(decision.reasons)}.", log="")
    return film


def _shortfalls(check: _Check, accept_short: bool) -> list[str]:
    """Return everything that the film lacks of its source; decode it only if the result can matter."""
    # The source itself may be short: it was cut off, or the read of it was while it was probed.
    cut = damage(check.facts)
    shortfalls = [cut] if cut else []
    shortfalls += [*_picture_shortfalls(check), *_sound_shortfalls(check), *_sync_shortfalls(check)]
    if shortfalls and not accept_short:
        return shortfalls
    return [*shortfalls, *_decoding_shortfalls(check)]


def _picture_shortfalls(check: _Check) -> Iterator[str]:
    least, most = expected_frames(check.plan, check.video)
    got = check.made_video.packets.count
    if not least <= got <= most:
        yield f"it has {got} pictures, not {most}"
    # Frames shown before the first key frame may be left out: no decoder can show them correctly.
    slack_s = SPAN_SLACK_S + check.video.packets.leading * _frame_s(check.video)
    before, after = check.video.packets, check.made_video.packets
    if abs(_shown_s(before) - _shown_s(after)) > slack_s:
        yield f"its pictures last {clock(_shown_s(after))}, not {clock(_shown_s(before))}"
    yield from _holes("picture", before, after)


def _sound_shortfalls(check: _Check) -> Iterator[str]:
    if len(check.made.audio) != len(check.plan.audio):
        yield f"it has {len(check.made.audio)} streams of sound, not {len(check.plan.audio)}"
    for number, (before, after) in enumerate(check.pairs()):
        if check.plan.encodes_audio:
            yield from _end_shortfalls(check, number, before, after)
        else:
            yield from _copied_sound_shortfalls(number, before, after)


def _copied_sound_shortfalls(number: int, before: AudioStream, after: AudioStream) -> Iterator[str]:
    most = before.packets.count
    if not most - before.packets.hidden <= after.packets.count <= most:
        yield f"sound {number + 1} has {after.packets.count} packets, not {most}"
    yield from _holes(f"sound {number + 1}", before.packets, after.packets)


def _end_shortfalls(check: _Check, number: int, before: AudioStream, after: AudioStream) -> Iterator[str]:
    """Compare only the end: encoded sound is filled with silence from the film's start."""
    expected_s = (before.packets.ends_s or 0.0) - check.facts.start_s
    got_s = after.packets.ends_s or 0.0
    if abs(expected_s - got_s) > SPAN_SLACK_S:
        yield f"sound {number + 1} ends at {clock(got_s)}, not at {clock(expected_s)}"


def _holes(what: str, before: PacketFacts, after: PacketFacts) -> Iterator[str]:
    if after.longest_gap_s > before.longest_gap_s * 1.05 + GAP_SLACK_S:
        yield f"{what} has a hole of {after.longest_gap_s:.2f} s"


def _sync_shortfalls(check: _Check) -> Iterator[str]:
    """Compare how long after the start the picture begins. ffmpeg makes the source's start the film's zero."""
    before_s = (check.video.packets.starts_s or 0.0) - check.facts.start_s
    after_s = check.made_video.packets.starts_s or 0.0
    slack_s = SYNC_SLACK_S + check.video.packets.leading * _frame_s(check.video)
    if check.plan.audio and abs(before_s - after_s) > slack_s:
        yield f"picture and sound are {abs(before_s - after_s):.2f} s apart"


def _start_shortfalls(check: _Check) -> Iterator[str]:
    """Check that copied sound begins as long after the start as in the source; encoded sound begins at the start."""
    for number, (before, after) in enumerate(check.pairs()):
        if after.codec != "aac" or after.profile != "LC":
            yield f"sound {number + 1} is {after.codec} {after.profile}, not AAC-LC"
        late_s = (after.packets.starts_s or 0.0) - (before.packets.starts_s or 0.0) + check.facts.start_s
        if not check.plan.encodes_audio and abs(late_s) > SYNC_SLACK_S:
            yield f"sound {number + 1} begins {late_s:.2f} s late"


def _decoding_shortfalls(check: _Check) -> Iterator[str]:
    if check.plan.encodes_video and not check.are_parts_verified:
        frames = _decoded_frames(check, None)
        if frames != check.made_video.packets.count:
            yield f"{frames} of its {check.made_video.packets.count} pictures can be decoded"
    elif _decoded_frames(check, JOINED_SECONDS if check.are_parts_verified else FIRST_SECONDS) == 0:
        yield "none of its first pictures can be decoded"
    if not check.are_parts_verified:
        yield from _silences(check)


def _silences(check: _Check) -> Iterator[str]:
    for number, (before, after) in enumerate(check.pairs()):
        if check.plan.encodes_audio and _is_lost(check, before, after):
            yield f"sound {number + 1} is silent"


def _is_lost(check: _Check, before: AudioStream, after: AudioStream) -> bool:
    """Whether sound became silence; the source is decoded only if the film is silent, which is rare."""
    if _loudest_db(check, str(check.target), after.index) > SILENT_DB:
        return False
    return _loudest_db(check, check.source, before.index) > AUDIBLE_DB


def _refuse_lost(what: str, lost: list[str]) -> None:
    """Raise if the source has something that the result lacks: then the source is not the damaged one."""
    if lost:
        raise FfmpegFailed(f"The {what} is not all of its source, which is not damaged: {'; '.join(lost)}.", log="")


def _lost_pictures(check: _Check) -> Iterator[str]:
    if check.are_parts_verified or check.plan.frame_rate:
        return
    made_frames, (least, most) = check.made_video.packets.count, expected_frames(check.plan, check.video)
    lost = lost_pictures(made_frames, least, most, lambda: _decoded(check, check.video.index))
    if lost:
        yield lost


def _lost_sounds(check: _Check) -> Iterator[str]:
    """Yield what a short film or sound lacks of its source's sound. Silence counts only if the source is audible."""
    if not check.are_parts_verified:
        yield from _silences(check)
    missing = check.plan.audio[len(check.made.audio) :]
    for number, before in enumerate(missing, start=len(check.made.audio) + 1):
        if _decoded(check, before.index).frames:
            yield f"ffmpeg left out sound {number}, which the source has"
    for number, (before, after) in enumerate(check.pairs(), start=1):
        falls_short = _copied_sound_shortfalls if not check.plan.encodes_audio else partial(_end_shortfalls, check)
        short = [*falls_short(number - 1, before, after)]
        if after.codec != "aac" or after.profile != "LC":
            yield f"ffmpeg made {after.codec} {after.profile} of sound {number}, not AAC-LC"
        elif short and _is_sound(check, before, after):
            yield f"the source's goes on, and {short[0]}"


def _is_sound(check: _Check, before: AudioStream, after: AudioStream) -> bool:
    """Whether the source's stream can be decoded to its last packet, or has more frames than what was made of it."""
    decoded = _decoded(check, before.index)
    if check.plan.encodes_audio:
        return decoded.ends_s > (before.packets.ends_s or 0.0) - SPAN_SLACK_S
    return decoded.frames > after.packets.count + 1


def _decoded(check: _Check, index: int) -> Decoded:
    return decode_stream(check.source, index, cpu_s=processor.source_s(check.facts), control=check.control)


def _loudest_db(check: _Check, source: str, stream: int) -> float:
    loudest_db = float("-inf")

    def take(line: str) -> bool:
        nonlocal loudest_db
        name, _, value = line.partition("=")
        if name == arguments.PEAK:
            loudest_db = max(loudest_db, float(value))
        return True

    tools = check.control.tools
    argv = arguments.loudness(source, stream, ffmpeg=tools.ffmpeg)
    bounds = Bounds(memory_bytes=tools.film_memory_bytes, stall_s=tools.stall_s)
    run(argv, source=source, on_line=take, bounds=bounds, control=check.control)
    return loudest_db


def _decoded_frames(check: _Check, seconds: float | None) -> int:
    reader = ProgressReader(0)
    argv = arguments.decode(check.target, seconds=seconds, ffmpeg=check.control.tools.ffmpeg)
    _run(check, argv, str(check.target), reader)
    return reader.frames


def _run(check: _Check, argv: list[str], source: str, reader: ProgressReader) -> None:
    tools = check.control.tools
    # For the film, or for the source if the film's sound is silent.
    cpu_s = processor.source_s(check.facts) + processor.made_s(check.plan, most_frames(check.video))
    bounds = Bounds(memory_bytes=tools.film_memory_bytes, cpu_s=cpu_s, stall_s=tools.stall_s)
    run(argv, source=source, on_line=_progressing(reader), bounds=bounds, control=check.control)


def _progressing(reader: ProgressReader) -> Callable[[str], bool]:
    return lambda line: reader.feed(line) is not None and reader.moved


def _shown_s(packets: PacketFacts) -> float:
    """Return the time from the first picture to the last; not every container says how long the last one is shown."""
    return (packets.last_s or 0.0) - (packets.starts_s or 0.0)


def _frame_s(video: VideoStream) -> float:
    return video.packets.span_s / video.packets.count if video.packets.count else 0.0


def digest(target: Path) -> str:
    """Return the sha256 of a file."""
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
