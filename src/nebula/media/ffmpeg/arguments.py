"""Returns the argument lists of ffmpeg for facts and a plan. Pure: the same input gives the same command.

For ffmpeg 5.1 (Debian 12), 7.1 (Debian 13) and later. The order is input, streams, picture, sound, container, target.
A film is made either in one piece, or as chunks of its picture and one file with all of its sound, which are joined.
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
# Ticks a second. A frame is a whole number of them at 24, 25, 30, 48, 50 and 60 frames a second, and at the three
# rates that are a thousandth slower.
CLOCK_HZ = 120_000
# B-frames are stored before they are shown, by up to several gaps. ffmpeg reads such an offset up to 2^28 ticks, which
# are 37 minutes of this clock.
MAX_REORDERED_GAP_S = 60.0
# Pictures may change their size in the middle of a stream, so the size limit must apply there too.
PIXEL_BOUND = ("-max_pixels", str(MAX_PIXELS))
PEAK = "lavfi.astats.Overall.Peak_level"  # ffmpeg's name for the loudest sample of a frame, in dB
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

    `device` is the graphics device of a hardware encoder. `threads` limits the threads of the encoder and of the
    decoder; 0 means as many as the machine has cores.
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
        # Packets keep the times of the packet list; what comes before the chunk is cut off by these times.
        *("-copyts", "-noaccurate_seek"),
        *([] if part.seek_s is None else ["-ss", f"{part.seek_s:.6f}"]),
        *input_arguments(source),
        *_streams(plan.video, ()),
        *_encoded_picture(plan, plan.video, part, encoder, threads),
        # If a picture cannot be decoded, ffmpeg must not take the next chunk's first picture instead.
        *("-frames:v", str(part.frames), "-an"),
        *("-f", "mp4", f"file:{target}"),
    ]


def sound(source: str, plan: Plan, start_s: float, target: Path, *, ffmpeg: str = "ffmpeg") -> list[str]:
    """Return the command that makes all of the planned film's sound, and nothing else.

    `start_s` is the source's clock at the film's start. The picture may start first, and without `start_s` ffmpeg
    would take the start of the sound as zero.
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
    """Return the command that joins the chunks of a concat script and the sound into one film, without encoding."""
    sounds = [] if sound_file is None else input_arguments(str(sound_file))
    maps = [word for number in range(len(plan.audio)) for word in ("-map", f"1:a:{number}")]
    return [
        *(ffmpeg, *QUIET, "-y", "-progress", "pipe:1"),
        # All times are the film's already: ffmpeg must not move them because of a file's own start.
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
    # Nebula wrote the script, which names only its own chunks. Without auto_convert the packets stay as they are;
    # one header is enough, because all chunks share it.
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
    """Return the command that decodes a film's picture, or its first `seconds`, and discards the result.

    A broken picture is decoded as far as possible and counts; with `is_strict` it makes the run fail. `threads` is as
    in `film`.
    """
    length = [] if seconds is None else ["-t", f"{seconds:g}"]
    return [
        *(ffmpeg, *QUIET, "-progress", "pipe:1"),
        *("-threads", str(threads)),
        *(["-xerror", "-err_detect", "explode"] if is_strict else []),
        *PIXEL_BOUND,
        # Nobody looks at the pictures. Smoothing the edges of blocks finds no errors and is a sixth of the work.
        *("-skip_loop_filter", "all"),
        *input_arguments(str(target)),
        *length,
        # Count every frame as it comes: add or drop none to keep a constant rate.
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
    # Pair pictures by number, not by time: a missing picture shifts all that follow.
    return [f"trim=end_frame={frames}", "settb=1/25", "setpts=N"]


def loudness(source: str, stream: int, *, ffmpeg: str = "ffmpeg") -> list[str]:
    """Return the command that decodes one stream of sound and writes the loudest sample of each frame to stdout.

    It uses stdout because stderr may contain text from the file, which can imitate a measurement.
    """
    peak_meter = "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level"
    return [
        *(ffmpeg, *QUIET),
        *input_arguments(source),
        *("-map", f"0:{stream}", "-af", f"{peak_meter},ametadata=mode=print:key={PEAK}:file=-", "-f", "null", "-"),
    ]


def _streams(video: VideoStream | None, audio: tuple[AudioStream, ...]) -> list[str]:
    # By index: "0:v:0" may be cover art, and data streams do not belong in the film.
    indexes = [*([video.index] if video else []), *(stream.index for stream in audio)]
    arguments = [word for index in indexes for word in ("-map", f"0:{index}")]
    # A phone's films contain the location where they were taken, and links make films public: so only the tags of
    # the sound that players show are copied. MP4 stores chapters as a text track, which every reader must skip.
    arguments += ["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"]
    for number, stream in enumerate(audio):
        arguments += _sound_tags(number, stream)
    return arguments


def _sound_tags(number: int, stream: AudioStream) -> list[str]:
    tags = (("language", stream.language), ("title", stream.title))
    arguments = [word for tag, text in tags if text for word in (f"-metadata:s:a:{number}", f"{tag}={text}")]
    # The first stream plays by default; with two defaults the player would choose.
    return [*arguments, f"-disposition:a:{number}", "default" if number == 0 else "0"]


def _copied_picture() -> list[str]:
    # Safari refuses tags that come from the source's container (H264, avc3).
    return ["-c:v", "copy", "-tag:v", "avc1"]


def _encoded_picture(plan: Plan, video: VideoStream, part: Chunk | None, encoder: str, threads: int) -> list[str]:
    encoder_family = family(encoder)
    # A chunk's times are shifted to zero at the output, not with setpts. setpts may unset the frame rate, by which
    # hardware divides its bits; from ffmpeg 7 on also the frames' duration, and then the edit list omits the last one.
    zero_s = part.clock_s if part else 0.0
    # In a film with sound, -frames:v would buffer all streams, even raw pictures, to end them together.
    bound = [] if part else [f"trim=end_frame={most_frames(video)}"]
    chain = [*_picture_filters(plan, video, part), *bound, *encoder_family.filters]
    return [
        *("-vf", ",".join(chain)),
        # Each frame keeps its own time. A constant rate would double and drop frames of a phone's film, and the
        # frames could not be compared to the source's packets.
        *("-fps_mode", "passthrough", "-enc_time_base", f"1:{CLOCK_HZ}"),
        *("-video_track_timescale", str(CLOCK_HZ)),
        *encoder_family.options(plan, plan.frame_rate or video.listed_rate, threads),
        *(["-bf", "0"] if video.packets.longest_gap_s > MAX_REORDERED_GAP_S else []),
        # A key frame at the first picture of every two seconds, by time and not by count: seeks land close, and HLS
        # segments begin there. ffmpeg sees the first picture at time 0 here, whatever the clock shows. Counting with
        # n_forced would make every picture after a gap a key frame, until the gap's two-second slots are used up.
        *("-force_key_frames", f"expr:isnan(prev_forced_t)+gt({_slot('t')},{_slot('prev_forced_t')})"),
        *(["-output_ts_offset", f"{-zero_s:.6f}"] if zero_s else []),
        *(_sdr_tags() if plan.tone_map else []),
    ]


def _slot(name: str) -> str:
    return f"floor({name}/{KEY_INTERVAL_S})"


def _picture_filters(plan: Plan, video: VideoStream, part: Chunk | None) -> list[str]:
    """Return the filters before the encoder's own. ffmpeg itself rotates the picture before the first of these."""
    size = (plan.width or 0, plan.height or 0)
    return [
        # One frame out for each frame in, so that frames can be counted; only frames marked as interlaced are changed.
        *(["bwdif=mode=send_frame:deint=interlaced"] if plan.deinterlace else []),
        *([] if part is None else _cut(part)),
        *([f"fps={plan.frame_rate:g}"] if plan.frame_rate else []),
        *(_tone_map(video, *size) if plan.tone_map else [f"scale=w={size[0]}:h={size[1]}"]),
        # The width already includes the pixels' aspect ratio.
        "setsar=1",
    ]


def _cut(part: Chunk) -> list[str]:
    """Return the filters that leave only the chunk's own pictures; after bwdif, which looks at their neighbours."""
    bounds = (("start", part.from_s), ("end", part.to_s))
    limits = [f"{name}={time_s:.6f}" for name, time_s in bounds if time_s is not None]
    # trim rounds to the stream's ticks, which may be as long as a picture: so smaller ticks are set first.
    return ["settb=AVTB", f"trim={':'.join(limits)}"]


def _tone_map(video: VideoStream, width: int, height: int) -> list[str]:
    # zscale refuses frames without colour tags, so missing tags are filled in: ten bits and BT.2020 without a
    # transfer is HDR10 from an encoder that did not write the tag.
    default_transfer = "smpte2084" if video.bit_depth > 8 else "bt709"
    transfer = video.transfer or default_transfer
    source_tags = ":".join(
        (
            f"tin={transfer}",
            f"pin={video.primaries or 'bt2020'}",
            f"min={video.matrix or 'bt2020nc'}",
            f"rin={'full' if video.color_range == 'pc' else 'limited'}",
        )
    )
    # Scale first: light is computed in 32-bit floats, which take four times as many bytes for a 4K picture.
    if transfer not in {"smpte2084", "arib-std-b67"}:
        return [f"zscale=w={width}:h={height}:{source_tags}:t=bt709:p=bt709:m=bt709:r=limited"]
    return [
        f"zscale=w={width}:h={height}:{source_tags}:t=linear:npl=100",
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
    # Holes in the source's sound and a late start become silence. Otherwise all sound after them would run ahead of
    # the picture.
    shift = [f"asetpts=PTS-{start_s:.6f}/TB"] if start_s else []
    return [*arguments, "-af", ",".join([*shift, "aresample=async=1:first_pts=0"])]


def _container() -> list[str]:
    return [
        # Sound that comes long before the first picture (or vice versa) waits in this queue.
        *("-max_muxing_queue_size", "4096"),
        # The index goes to the front: players open and seek in two requests.
        *("-movflags", "+faststart", "-f", "mp4"),
    ]
