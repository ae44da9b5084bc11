"""The plan: the cheapest way to make a source playable everywhere, with its reasons. Pure.

Web-ready (plays in every browser, VLC and mpv as it is): MP4, index first, not fragmented; H.264 Constrained
Baseline, Main or High up to level 5.1, 8-bit 4:2:0, progressive, square pixels, upright, a key frame at least every
10 s, SDR; AAC-LC or no sound. The action depends on what does not meet this:

    only the container      REMUX        video and audio are copied
    the sound               COPY_VIDEO   video is copied, every audio stream becomes stereo AAC
    the picture             ENCODE       the picture is encoded too; the sound is copied if it is already AAC-LC

The reasons are sentences for people. They are stable, because they are stored with the job and shown by `nebula job`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nebula.domain.media import AudioStream, MediaFacts, VideoStream
from nebula.domain.states import FileState, PlanAction

VERSION = 1  # a node takes only plans of its own version

WEB_PROFILES = frozenset({"Constrained Baseline", "Main", "High"})
WEB_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})
WEB_TAGS = frozenset({"avc1", "avc3"})
MAX_LEVEL = 51
# 10 s, or x264's default of 250 frames at 23.976 or 24 frames a second, the rate of most films: 10.43 s.
MAX_KEY_INTERVAL_S = 10.5
LONG_SIDE, SHORT_SIDE = 1920, 1080  # the highest rung
MAX_FRAME_RATE = 120.0  # 1080p above this rate is beyond level 5.1
SLOWED_FRAME_RATE = 60.0
# Absurd sizes in a header must not make a decoder use the memory for them: the limit is 8K in either direction.
MAX_SIDE, MAX_PIXELS = 16384, 8192 * 4352
MAX_DURATION_S = 48 * 3600.0
# MP4 stores the time between two pictures in 31 bits: 4.9 hours on the film's clock (arguments.CLOCK_HZ).
MAX_GAP_S = 4 * 3600.0
# No codec's packet holds more sound than this (FLAC's hold 1.5 s, Monkey's Audio's 6 s). If sound lasts longer than its
# packets can, the rest is silence that the encoder has to make.
MAX_PACKET_S = 10.0
MAX_SILENCE_S = 12 * 3600.0
MIN_SIDE = 16
# The length that a container claims is rounded or estimated.
CLAIM_SLACK_S, CLAIM_SLACK = 0.5, 0.02
# Formats whose clock may jump: ffmpeg corrects those jumps itself, and a copy then differs from the packet list.
JUMPING_FORMATS = frozenset({"mpegts", "mpeg"})
MAX_JUMP_S = 10.0

# ".ts" is missing: it is more often TypeScript than a transport stream, which can be recognised by its bytes.
VIDEO_NAMES = frozenset(
    "3g2 3gp asf avi divx f4v flv m2ts m2v m4v mkv mov mp4 mpe mpeg mpg mts mxf ogv rm rmvb vob webm wmv".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Plan:
    """What to make from a source, and why.

    `state` is the content's state from now on: READY (web-ready as it is), STORED (no moving picture), FAILED (the name
    or media type says video, but no film can be made: `reasons` say why), or PROCESSING (a film is to be made).
    """

    action: PlanAction
    state: FileState
    reasons: tuple[str, ...]
    version: int = VERSION
    rung: str | None = None  # "source" if the video is copied; "1080p", ... if it is encoded
    width: int | None = None  # of the film
    height: int | None = None
    video: VideoStream | None = None  # the stream that the film shows
    audio: tuple[AudioStream, ...] = ()  # in the film's order
    encodes_audio: bool = False
    deinterlace: bool = False
    tone_map: bool = False
    frame_rate: float | None = None  # None: every frame keeps its own time

    @property
    def makes_film(self) -> bool:
        return self.action is not PlanAction.NOTHING

    @property
    def web_ready(self) -> bool:
        """Whether the original itself plays everywhere."""
        return self.state is FileState.READY

    @property
    def encodes_video(self) -> bool:
        return self.action is PlanAction.ENCODE


def decide(facts: MediaFacts | None, *, name: str, media_type: str, problem: str | None = None) -> Plan:
    """Return the plan for a source.

    `facts` is None if nothing is known: the source is not media, or it could not be read and `problem` (MediaError's
    message) says why. `name` and `media_type` come from the person: if they say video, having no film is a failure.
    """
    says_video = is_called_video(name, media_type)
    if facts is None:
        return _no_film(says_video, problem or "it holds no media that ffmpeg can read")
    if not facts.moving:
        return _no_film(says_video, "it has no moving picture")
    video = facts.moving[0]
    obstacle = _obstacle(facts, video)
    if obstacle:
        # A moving picture was found, so it is a video, whatever its name is.
        return Plan(PlanAction.NOTHING, FileState.FAILED, (obstacle,))
    return _film(facts, video)


def is_called_video(name: str, media_type: str) -> bool:
    """Whether the name's ending or the media type says that the file is a video."""
    ending = name.rsplit("/", 1)[-1].rpartition(".")[2].lower()
    return media_type.lower().startswith("video/") or ("." in name and ending in VIDEO_NAMES)


def is_web_ready(facts: MediaFacts) -> bool:
    """Whether the source plays everywhere as it is. Every film that Nebula makes must satisfy this, too."""
    return decide(facts, name="", media_type="").web_ready


def _no_film(says_video: bool, why: str) -> Plan:
    return Plan(PlanAction.NOTHING, FileState.FAILED if says_video else FileState.STORED, (why,))


def _obstacle(facts: MediaFacts, video: VideoStream) -> str | None:
    """Return why no film can be made at all; None if one can."""
    if not video.codec:
        return "its video codec is unknown to this ffmpeg"
    size_problem = absurd_size(video.width, video.height)
    if size_problem:
        return size_problem
    if video.packets.count == 0:
        return "its video stream is empty"
    if max(facts.duration_s, facts.listed_s) > MAX_DURATION_S:
        return f"it claims to last {max(facts.duration_s, facts.listed_s) / 3600:.0f} hours; 48 are the most"
    return _standstill(facts, video)


def _standstill(facts: MediaFacts, video: VideoStream) -> str | None:
    """Return why a source is refused if its pictures or sound stop for hours; None if they do not."""
    if JUMPING_FORMATS & set(facts.format.split(",")):
        return None  # ffmpeg closes the gaps in these formats
    gap_s = video.packets.longest_gap_s
    if gap_s > MAX_GAP_S:
        return f"there are {gap_s / 3600:.0f} hours between two of its pictures; 4 are the most"
    gap_s = max((stream.packets.longest_gap_s for stream in _audio_order(facts)), default=0.0)
    if gap_s > MAX_GAP_S:
        return f"there are {gap_s / 3600:.0f} hours between two pieces of its sound; 4 are the most"
    silent_s = sum(_silent_s(facts, stream) for stream in _audio_order(facts))
    if silent_s > MAX_SILENCE_S:
        return f"{silent_s / 3600:.0f} hours of its sound are empty; 12 are the most"
    return None


def _silent_s(facts: MediaFacts, stream: AudioStream) -> float:
    """Return for how many seconds a stream of sound holds nothing, from the film's start to the stream's end."""
    lasts_s = (stream.packets.ends_s or 0.0) - facts.start_s
    return max(0.0, lasts_s - stream.packets.count * MAX_PACKET_S)


def absurd_size(width: int, height: int) -> str | None:
    """Return why a picture of this size is refused before anything decodes it; None if it is not refused."""
    if min(width, height) == 0:
        return "the size of its picture is impossible"
    if min(width, height) < MIN_SIDE:
        return f"its picture of {width}x{height} is too small for a film"
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        return f"its picture of {width}x{height} is too large; 8192x4352 is the most"
    return None


def _film(facts: MediaFacts, video: VideoStream) -> Plan:
    audio = _audio_order(facts)
    about_container = _container_reasons(facts, video)
    about_video = _video_reasons(facts, video)
    about_audio = tuple(f"audio is {_audio_name(stream)}, not AAC-LC" for stream in audio if not stream.is_aac_lc)
    reasons = tuple(dict.fromkeys((*about_container, *about_video, *about_audio)))
    if not reasons:
        about = ("it is web-ready as it is",)
        return Plan(PlanAction.NOTHING, FileState.READY, about, VERSION, None, *video.shown_size, video, audio)
    if about_video:
        return _encode(video, audio, bool(about_audio), reasons)
    return Plan(
        PlanAction.COPY_VIDEO if about_audio else PlanAction.REMUX,
        FileState.PROCESSING,
        reasons,
        rung="source",
        width=video.width,
        height=video.height,
        video=video,
        audio=audio,
        encodes_audio=bool(about_audio),
    )


def _encode(video: VideoStream, audio: tuple[AudioStream, ...], encodes_audio: bool, reasons: tuple[str, ...]) -> Plan:
    width, height, rung = film_size(*video.shown_size)
    return Plan(
        PlanAction.ENCODE,
        FileState.PROCESSING,
        reasons,
        rung=rung,
        width=width,
        height=height,
        video=video,
        audio=audio,
        encodes_audio=encodes_audio,
        deinterlace=video.is_interlaced,
        tone_map=video.is_hdr,
        frame_rate=slowed_rate(video),
    )


def slowed_rate(video: VideoStream) -> float | None:
    """Return the constant rate of a film whose source has too many pictures a second; else None.

    The packets decide, not the header. A constant rate fills every gap with pictures; the film has no more pictures
    than the source only if the source really has that many.
    """
    return SLOWED_FRAME_RATE if video.listed_rate > MAX_FRAME_RATE else None


def film_size(width: int, height: int) -> tuple[int, int, str]:
    """Return width, height and name of the highest rung for a shown size: never upscaled, both sides even.

    An upright picture has an upright rung: 1080x1920 is 1080p, as 1920x1080 is.
    """
    scale = min(1.0, LONG_SIDE / max(width, height), SHORT_SIDE / min(width, height))
    size = (_even(width * scale), _even(height * scale))
    return *size, f"{SHORT_SIDE if scale < 1 else min(size)}p"


def _even(side: float) -> int:
    return max(2, int(side / 2 + 1e-6) * 2)


def _audio_order(facts: MediaFacts) -> tuple[AudioStream, ...]:
    """Return all audio streams that can be decoded, the default one first."""
    usable = [stream for stream in facts.audio if stream.codec and stream.channels and stream.packets.count]
    return tuple(sorted(usable, key=lambda stream: not stream.is_default))


def _audio_name(stream: AudioStream) -> str:
    return f"{stream.codec} {stream.profile}" if stream.codec == "aac" and stream.profile else stream.codec


def _container_reasons(facts: MediaFacts, video: VideoStream) -> tuple[str, ...]:
    if not facts.is_mp4:
        return (f"container is {facts.container}, not MP4",)
    checks = (
        (facts.is_fragmented, "the MP4 is fragmented: VLC cannot seek in it"),
        (bool(damage(facts)), damage(facts) or ""),
        (not facts.index_first, "the MP4's index comes after its media"),
        (video.codec == "h264" and video.tag not in WEB_TAGS, f"video is tagged {video.tag!r}, not 'avc1'"),
        (_first_track(facts) != video.index, "the first video stream is not the film"),
    )
    return tuple(reason for applies, reason in checks if applies)


def _first_track(facts: MediaFacts) -> int:
    """Return the stream that a browser shows: the first one, not the default one."""
    return min(stream.index for stream in facts.moving)


def damage(facts: MediaFacts) -> str | None:
    """Return a sentence if the source holds less than its header claims; None if it is complete.

    Either the source was cut off, or the reading of it was.
    """
    # Matroska and MP4 claim the time at which they end; other formats claim the time from start to end.
    reached_s = facts.reaches_s - (0.0 if "matroska" in facts.format or facts.is_mp4_family else facts.start_s)
    if reached_s < facts.duration_s - max(CLAIM_SLACK_S, CLAIM_SLACK * facts.duration_s):
        return f"it breaks off after {clock(reached_s)} of {clock(facts.duration_s)}"
    for stream in facts.moving:
        if stream.packets.count < stream.declared * (1 - CLAIM_SLACK) - 1:
            return f"it holds {stream.packets.count} of the {stream.declared} pictures that it declares"
    return None


def clock(seconds: float) -> str:
    """Return a duration as people write it: 1:02.5."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _video_reasons(facts: MediaFacts, video: VideoStream) -> tuple[str, ...]:
    if video.codec != "h264":
        return (f"video is {video.codec}, not H.264", *_picture_reasons(video))
    checks = (
        (
            video.profile not in WEB_PROFILES,
            f"H.264 profile is {video.profile or 'unknown'}, not Constrained Baseline, Main or High",
        ),
        (not 0 < video.level <= MAX_LEVEL, f"H.264 level is {video.level / 10:g}; 5.1 is the most"),
        (
            video.pixel_format not in WEB_PIXEL_FORMATS,
            f"pixels are {video.pixel_format or 'unknown'}, not 8-bit 4:2:0",
        ),
        (
            video.packets.key_interval_s > MAX_KEY_INTERVAL_S,
            f"key frames are up to {video.packets.key_interval_s:.0f} s apart; 10 s are the most",
        ),
        (bool(_clock_problem(facts, video)), _clock_problem(facts, video) or ""),
    )
    return (*(reason for applies, reason in checks if applies), *_picture_reasons(video))


def _picture_reasons(video: VideoStream) -> tuple[str, ...]:
    """Return what must be corrected in the picture itself, whatever its codec."""
    width, height = video.aspect
    checks = (
        (video.is_interlaced, "video is interlaced"),
        (not video.has_square_pixels, f"pixels are not square ({width}:{height})"),
        (video.rotation != 0, f"video is rotated by {video.rotation} degrees"),
        (video.is_hdr, "video is HDR"),
    )
    return tuple(reason for applies, reason in checks if applies)


def _clock_problem(facts: MediaFacts, video: VideoStream) -> str | None:
    """Return why the packets' times do not allow a copy; None if they do."""
    packets = video.packets
    if packets.untimed or packets.disordered:
        return "its packets are not in order of time"
    if packets.longest_gap_s > MAX_JUMP_S and JUMPING_FORMATS & set(facts.format.split(",")):
        return f"its clock jumps by {packets.longest_gap_s:.0f} s"
    return None
