"""The argument lists of ffmpeg, from facts and plan. Pure: the same input gives the same command.

For ffmpeg 5.1 (Debian 12) to 7.1 (Debian 13) and on. A list is input, streams, picture, sound, container, target.
A film is made in one piece, or in chunks of its picture with the whole of its sound, which are joined.
"""

from __future__ import annotations

from pathlib import Path

from nebula.domain.chunks import Chunk
from nebula.domain.encoders import SOFTWARE
from nebula.domain.frames import most_frames
from nebula.domain.media import AudioStream, VideoStream
from nebula.domain.plan import MAX_PIXELS, Plan
from nebula.media.ffmpeg.encoders import KEY_INTERVAL_S, family
from nebula.media.ffmpeg.source import input_arguments

AUDIO_BITRATE = "160k"
MAX_SAMPLE_RATE = 48_000
# Ticks a second in which 24, 25, 30, 48, 50 and 60 frames, and those three that are a thousandth slower, are whole.
CLOCK_HZ = 120_000
# B-frames are stored before they are shown, by as much as several gaps. ffmpeg reads such an offset up to 2^28 ticks,
# which are 37 minutes of this clock.
MAX_REORDERED_GAP_S = 60.0
# A picture may change its size in the middle of a stream: what was refused at the start is refused there, too.
PIXEL_BOUND = ("-max_pixels", str(MAX_PIXELS))
PEAK = "lavfi.astats.Overall.Peak_level"  # how the loudest sample of a frame is called, in dB
QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning")


def film(
    source: str,
    plan: Plan,
    target: Path,
    *,
    ffmpeg: str = "ffmpeg",
    encoder: str = SOFTWARE,
    device: str = "",
    threads: int = 0,
) -> list[str]:
    """Return the command that makes the planned film, in one piece.

    `device` is the graphics device of an encoder that is hardware. `threads` bounds the encoder's and the decoder's
    threads; 0 is as many as the machine has cores.
    """
    if plan.video is None or not plan.makes_film:
        raise ValueError("the plan makes no film")
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        *([*family(encoder).device(device), "-threads", str(threads)] if plan.encodes_video else []),
        *PIXEL_BOUND,
        *input_arguments(source),
        *_streams(plan.video, plan.audio),
        *(_encoded_picture(plan, plan.video, None, encoder, threads) if plan.encodes_video else _copied_picture()),
        *_sound(plan),
        *_container(),
        # "file:" as for the input: a name is never an option or a protocol.
        f"file:{target}",
    ]


def chunk(
    source: str,
    plan: Plan,
    part: Chunk,
    target: Path,
    *,
    ffmpeg: str = "ffmpeg",
    encoder: str = SOFTWARE,
    device: str = "",
    threads: int = 0,
) -> list[str]:
    """Return the command that encodes one chunk of the planned film's picture."""
    if plan.video is None or not plan.encodes_video:
        raise ValueError("the plan encodes no picture")
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        *family(encoder).device(device),
        *("-threads", str(threads)),
        *PIXEL_BOUND,
        # The packets keep the times of their list, and what comes before the chunk is cut off by those.
        *("-copyts", "-noaccurate_seek"),
        *([] if part.seek_s is None else ["-ss", f"{part.seek_s:.6f}"]),
        *input_arguments(source),
        *_streams(plan.video, ()),
        *_encoded_picture(plan, plan.video, part, encoder, threads),
        # One more would be the next chunk's: where a picture cannot be decoded, the count must not be made up with it.
        *("-frames:v", str(part.frames), "-an"),
        *("-f", "mp4", f"file:{target}"),
    ]


def sound(source: str, plan: Plan, start_s: float, target: Path, *, ffmpeg: str = "ffmpeg") -> list[str]:
    """Return the command that makes all of the planned film's sound, and nothing else.

    `start_s` is what the source's clock shows at the film's start, which may be the picture's: ffmpeg's own zero would
    be the sound's.
    """
    if not plan.audio:
        raise ValueError("the plan has no sound")
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        "-copyts",
        *input_arguments(source),
        *_streams(None, plan.audio),
        *("-vn", *_sound(plan, start_s)),
        *([] if plan.encodes_audio else ["-output_ts_offset", f"{-start_s:.6f}"]),
        *("-f", "mp4", f"file:{target}"),
    ]


def join(
    script: Path, begins_s: float, sound_file: Path | None, plan: Plan, target: Path, *, ffmpeg: str = "ffmpeg"
) -> list[str]:
    """Return the command that puts the chunks of a concat script and the sound into one film; both are copied."""
    sounds = [] if sound_file is None else input_arguments(str(sound_file))
    maps = [word for number in range(len(plan.audio)) for word in ("-map", f"1:a:{number}")]
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        # Every time is the film's already: what each file says of its own start is no reason to move it.
        *("-copyts", "-itsoffset", f"{begins_s:.6f}"),
        *_script_input(script),
        *sounds,
        *("-map", "0:v:0", *(maps if sounds else [])),
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *(word for number, stream in enumerate(plan.audio if sounds else ()) for word in _sound_tags(number, stream)),
        *_copied_picture(),
        *("-video_track_timescale", str(CLOCK_HZ)),
        *("-c:a", "copy"),
        *_container(),
        f"file:{target}",
    ]


def picture_hash(source: Path, *, is_script: bool = False, ffmpeg: str = "ffmpeg") -> list[str]:
    """Return the command that writes a digest of the picture's packets, as they are, to stdout."""
    return [
        *(ffmpeg, *QUIET),
        *(_script_input(source) if is_script else input_arguments(str(source))),
        *("-map", "0:v:0", "-c", "copy", "-f", "streamhash", "-hash", "sha256", "-"),
    ]


def _script_input(script: Path) -> list[str]:
    # The script is Nebula's own and names nothing but its own chunks. Without auto_convert the packets stay as they
    # are; the one header that all chunks share serves them all.
    return [
        *("-protocol_whitelist", "file", "-format_whitelist", "concat,mov", "-f", "concat", "-safe", "0"),
        *("-auto_convert", "0", "-i", f"file:{script}"),
    ]


def decode(
    target: Path,
    *,
    seconds: float | None = None,
    is_strict: bool = False,
    threads: int = 0,
    ffmpeg: str = "ffmpeg",
) -> list[str]:
    """Return the command that decodes a film's picture, all of it or its first seconds, to nowhere.

    A broken picture is shown as well as it goes, and counts; with `is_strict` it ends the run badly. `threads` is as
    for `film`.
    """
    length = [] if seconds is None else ["-t", f"{seconds:g}"]
    return [
        *(ffmpeg, *QUIET, "-progress", "pipe:1"),
        *("-threads", str(threads)),
        *(["-xerror", "-err_detect", "explode"] if is_strict else []),
        *PIXEL_BOUND,
        # Nobody looks at them: to smooth the edges of blocks finds no error and is a sixth of the work.
        *("-skip_loop_filter", "all"),
        *input_arguments(str(target)),
        *length,
        # Every frame is counted as it comes: none is made up or left out to hold a rate.
        *("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def likeness(
    source: str, plan: Plan, part: Chunk | None, target: Path, *, frames: int, ffmpeg: str = "ffmpeg"
) -> list[str]:
    """Return the command that compares the first pictures of a film or a chunk to those that went into its encoder.

    It writes a line for each pair, with their SSIM, to stdout.
    """
    if plan.video is None or not plan.encodes_video:
        raise ValueError("the plan encodes no picture")
    chain = ",".join([*_picture_filters(plan, plan.video, part), "format=yuv420p", *_numbered(frames)])
    seek = [] if part is None or part.seek_s is None else ["-ss", f"{part.seek_s:.6f}"]
    return [
        *(ffmpeg, *QUIET, *PIXEL_BOUND),
        *([] if part is None else ["-copyts", "-noaccurate_seek"]),
        *seek,
        *input_arguments(source),
        *input_arguments(str(target)),
        "-lavfi",
        f"[0:{plan.video.index}]{chain}[a];[1:v:0]format=yuv420p,{','.join(_numbered(frames))}[b];"
        "[a][b]ssim=stats_file=-:shortest=1",
        *("-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def _numbered(frames: int) -> list[str]:
    # By their places and not by their times: a missing one moves all that follow.
    return [f"trim=end_frame={frames}", "settb=1/25", "setpts=N"]


def loudness(source: str, stream: int, *, ffmpeg: str = "ffmpeg") -> list[str]:
    """Return the command that decodes one stream of sound and writes the loudest sample of each frame to stdout.

    To stdout because stderr holds text of the file, which can imitate a measurement.
    """
    measured = "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level"
    return [
        *(ffmpeg, *QUIET),
        *input_arguments(source),
        *("-map", f"0:{stream}", "-af", f"{measured},ametadata=mode=print:key={PEAK}:file=-", "-f", "null", "-"),
    ]


def _streams(video: VideoStream | None, audio: tuple[AudioStream, ...]) -> list[str]:
    # By number: "0:v:0" may be cover art, and a data stream has no place in the film.
    chosen = [*([video.index] if video else []), *(stream.index for stream in audio)]
    arguments = [word for index in chosen for word in ("-map", f"0:{index}")]
    # A phone's films carry the place where they were taken, and links make films public: only what players show of
    # the sound is kept. MP4 keeps chapters as a text track, which would be one more for every reader to leave out.
    arguments += ["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"]
    for number, stream in enumerate(audio):
        arguments += _sound_tags(number, stream)
    return arguments


def _sound_tags(number: int, stream: AudioStream) -> list[str]:
    tags = (("language", stream.language), ("title", stream.title))
    named = [word for tag, text in tags if text for word in (f"-metadata:s:a:{number}", f"{tag}={text}")]
    # The first is the one that plays unasked; two defaults would leave it to the player.
    return [*named, f"-disposition:a:{number}", "default" if number == 0 else "0"]


def _copied_picture() -> list[str]:
    # A tag of the source's container (H264, avc3) is refused by Safari.
    return ["-c:v", "copy", "-tag:v", "avc1"]


def _encoded_picture(plan: Plan, video: VideoStream, part: Chunk | None, encoder: str, threads: int) -> list[str]:
    how = family(encoder)
    # A chunk gets its zero last: setpts may unset the rate of its frames, which hardware divides its bits by, and from
    # ffmpeg 7 on how long they last, so that the file's edit list leaves the last picture out.
    zero_s = part.clock_s if part else 0.0
    # In a film with sound -frames:v would hold all of its streams back, raw pictures among them, to end them together.
    bound = [] if part else [f"trim=end_frame={most_frames(video)}"]
    chain = [*_picture_filters(plan, video, part), *bound, *how.filters]
    return [
        *("-vf", ",".join(chain)),
        # Each frame keeps its own time: a constant rate would double and drop the frames of a phone's film, and the
        # frames could not be counted against the source's packets.
        *("-fps_mode", "passthrough", "-enc_time_base", f"1:{CLOCK_HZ}"),
        *("-video_track_timescale", str(CLOCK_HZ)),
        *how.options(plan, plan.frame_rate or video.listed_rate, threads),
        *(["-bf", "0"] if video.packets.longest_gap_s > MAX_REORDERED_GAP_S else []),
        # A key frame at the first picture of every two seconds, by time and not by count: seeking lands close, HLS
        # segments begin there. The first picture's time is 0 to ffmpeg here, whatever the clock shows. To count them
        # (n_forced) would make a key frame of every picture after a gap, until as many are made as the gap has twos.
        *("-force_key_frames", f"expr:isnan(prev_forced_t)+gt({_slot('t')},{_slot('prev_forced_t')})"),
        *(["-output_ts_offset", f"{-zero_s:.6f}"] if zero_s else []),
        *(_sdr_tags() if plan.tone_map else []),
    ]


def _slot(name: str) -> str:
    return f"floor({name}/{KEY_INTERVAL_S})"


def _picture_filters(plan: Plan, video: VideoStream, part: Chunk | None) -> list[str]:
    """Return the chain up to the encoder's own. Rotation is ffmpeg's: it comes before the first of these."""
    size = (plan.width or 0, plan.height or 0)
    return [
        # One frame out for each frame in, so that they can be counted; only where the frame says it is interlaced.
        *(["bwdif=mode=send_frame:deint=interlaced"] if plan.deinterlace else []),
        *([] if part is None else _cut(part)),
        *([f"fps={plan.frame_rate:g}"] if plan.frame_rate else []),
        *(_tone_map(video, *size) if plan.tone_map else [f"scale=w={size[0]}:h={size[1]}"]),
        # The aspect of the pixels went into the width.
        "setsar=1",
    ]


def _cut(part: Chunk) -> list[str]:
    """Return the filters that leave only the chunk's own pictures; after bwdif, which looks at their neighbours."""
    bounds = (("start", part.from_s), ("end", part.to_s))
    told = [f"{name}={time_s:.6f}" for name, time_s in bounds if time_s is not None]
    # trim rounds to the stream's ticks, which may be as long as a picture: so they are made small before.
    return ["settb=AVTB", f"trim={':'.join(told)}"]


def _tone_map(video: VideoStream, width: int, height: int) -> list[str]:
    # zscale refuses frames without colour tags, so what is missing is filled in: ten bits and BT.2020 without a
    # transfer is HDR10 from an encoder that forgot to say so. (facts.md 16.4)
    guessed = "smpte2084" if video.bit_depth > 8 else "bt709"
    transfer = video.transfer or guessed
    given = ":".join(
        (
            f"tin={transfer}",
            f"pin={video.primaries or 'bt2020'}",
            f"min={video.matrix or 'bt2020nc'}",
            f"rin={'full' if video.color_range == 'pc' else 'limited'}",
        )
    )
    # The size first: the light is reckoned with in 32-bit floats, four times as many bytes for a 4K picture.
    if transfer not in {"smpte2084", "arib-std-b67"}:
        return [f"zscale=w={width}:h={height}:{given}:t=bt709:p=bt709:m=bt709:r=limited"]
    return [
        f"zscale=w={width}:h={height}:{given}:t=linear:npl=100",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=limited",
    ]


def _sdr_tags() -> list[str]:
    return ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]


def _sound(plan: Plan, start_s: float = 0.0) -> list[str]:
    if not plan.audio:
        return ["-an"]
    if not plan.encodes_audio:
        return ["-c:a", "copy"]
    arguments = ["-c:a", "aac", "-b:a", AUDIO_BITRATE, "-ac", "2"]
    for number, stream in enumerate(plan.audio):
        rate = stream.sample_rate if stream.sample_rate in {44_100, MAX_SAMPLE_RATE} else MAX_SAMPLE_RATE
        arguments += [f"-ar:a:{number}", str(rate)]
    # A hole in the source's sound becomes silence, and sound that begins late begins with silence: else everything
    # after it would run ahead of the picture.
    moved = [f"asetpts=PTS-{start_s:.6f}/TB"] if start_s else []
    return [*arguments, "-af", ",".join([*moved, "aresample=async=1:first_pts=0"])]


def _container() -> list[str]:
    return [
        # Sound that comes long before the first picture (or the other way round) waits in this queue.
        *("-max_muxing_queue_size", "4096"),
        # The index goes to the front: players open and seek in two requests. (facts.md 16.5)
        *("-movflags", "+faststart", "-f", "mp4"),
    ]
