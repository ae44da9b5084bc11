"""What a probe found in a source: plain facts, stored with the content as JSON. plan.py draws the conclusions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

Kind = TypeVar("Kind")

HDR_TRANSFERS = frozenset({"smpte2084", "arib-std-b67"})  # PQ (HDR10, Dolby Vision) and HLG
INTERLACED_ORDERS = frozenset({"tt", "bb", "tb", "bt"})
PICTURE_FORMATS = frozenset({"gif", "apng", "ico", "jpegxl_anim"})  # every *_pipe is one too
PICTURE_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1", "msf1", "avif", "avis"})  # photos in MP4
PICTURE_CODECS = frozenset({"mjpeg", "png", "gif", "webp", "bmp", "tiff", "jpeg2000", "jpegxl", "apng"})


@dataclass(frozen=True)
class PacketFacts:
    """Facts from the list of one stream's packets. Times are in seconds on the container's clock.

    `hidden` to `disordered` each count some of the packets in `count`.
    """

    count: int = 0
    hidden: int = 0  # packets that are decoded but not shown (an edit list cuts them off)
    before_key: int = 0  # packets before the first key frame, where no decoder can begin
    leading: int = 0  # packets after the first key frame but shown before it; they may need pictures that are missing
    untimed: int = 0  # packets without a presentation time
    disordered: int = 0  # packets whose decoding time does not increase
    starts_s: float | None = None  # counted from the first key frame
    last_s: float | None = None  # when the last one is shown
    ends_s: float | None = None  # when the last one ends, if its duration is known
    longest_gap_s: float = 0.0  # between the decoding times of two neighbouring packets
    key_interval_s: float = 0.0  # longest time from a key frame to a picture that is decoded from it

    @property
    def span_s(self) -> float:
        """Seconds from the first packet to the end of the last."""
        if self.starts_s is None or self.ends_s is None:
            return 0.0
        return self.ends_s - self.starts_s


@dataclass(frozen=True)
class VideoStream:
    """One video stream. `width` and `height` are as stored: before pixel aspect and rotation."""

    index: int
    codec: str  # ffprobe's name; "" if this ffmpeg has no decoder for it
    width: int
    height: int
    profile: str = ""
    level: int = 0  # H.264: 41 is level 4.1; 0 if unknown
    tag: str = ""
    pixel_format: str = ""
    bit_depth: int = 8
    aspect: tuple[int, int] = (1, 1)  # of one pixel
    rotation: int = 0  # degrees, 0-359
    field_order: str = ""
    frame_rate: float = 0.0  # average; 0 if unknown
    real_frame_rate: float = 0.0  # the highest rate that the timestamps need
    declared: int = 0  # number of frames that the container declares; 0 if it does not
    delay: int = 0  # frames that a decoder reads before it shows the first
    primaries: str = ""
    transfer: str = ""
    matrix: str = ""
    color_range: str = ""
    is_still: bool = False  # cover art, or a picture of one packet
    is_default: bool = False
    language: str = ""
    packets: PacketFacts = PacketFacts()

    @property
    def is_interlaced(self) -> bool:
        return self.field_order in INTERLACED_ORDERS

    @property
    def listed_rate(self) -> float:
        """Pictures a second by the list of packets. The header's claim counts only if the packets have no times."""
        return self.packets.count / self.packets.span_s if self.packets.span_s > 0 else self.frame_rate

    @property
    def is_hdr(self) -> bool:
        """Whether an ordinary screen shows wrong brightness or colours (PQ, HLG, or BT.2020 primaries)."""
        return self.transfer in HDR_TRANSFERS or self.primaries == "bt2020"

    @property
    def has_square_pixels(self) -> bool:
        return self.aspect[0] == self.aspect[1]

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height on a screen with square pixels: the height is kept, then the rotation is applied."""
        width = round(self.width * self.aspect[0] / self.aspect[1])
        return (self.height, width) if self.rotation % 180 == 90 else (width, self.height)


@dataclass(frozen=True)
class AudioStream:
    """One audio stream."""

    index: int
    codec: str
    profile: str = ""
    channels: int = 0
    sample_rate: int = 0
    language: str = ""
    title: str = ""
    is_default: bool = False
    packets: PacketFacts = PacketFacts()

    @property
    def is_aac_lc(self) -> bool:
        return self.codec == "aac" and self.profile == "LC"


@dataclass(frozen=True)
class SubtitleStream:
    """One subtitle stream."""

    index: int
    codec: str
    language: str = ""
    title: str = ""
    is_default: bool = False
    is_forced: bool = False
    is_for_hearing_impaired: bool = False
    packets: PacketFacts = PacketFacts()


@dataclass(frozen=True)
class MediaFacts:
    """Everything that the plan, the ffmpeg arguments and the verification need to know about a source."""

    format: str  # ffprobe's list of names: "mov,mp4,m4a,3gp,3g2,mj2"
    brand: str = ""  # the MP4 family's major brand: "isom", "qt"
    size_bytes: int = 0
    duration_s: float = 0.0  # as the container says; 0 if it does not
    start_s: float = 0.0
    reaches_s: float = 0.0  # when the last packet of any stream ends, on the container's clock
    bitrate_bps: int = 0
    index_first: bool = False  # MP4 family: moov comes before mdat
    is_fragmented: bool = False  # MP4 family: samples are in moof boxes
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()

    @property
    def is_picture(self) -> bool:
        """Whether the file as a whole is a photo or drawing. An animated picture counts too."""
        names = self.format.split(",")
        in_mp4 = self.is_mp4_family and self.brand in PICTURE_BRANDS
        return in_mp4 or any(name in PICTURE_FORMATS or name.endswith("_pipe") for name in names)

    @property
    def moving(self) -> tuple[VideoStream, ...]:
        """The streams that make a film: neither cover art nor photos. The default one comes first."""
        if self.is_picture:
            return ()
        films = [stream for stream in self.video if not stream.is_still]
        return tuple(sorted(films, key=lambda stream: not stream.is_default))

    @property
    def is_mp4_family(self) -> bool:
        return "mp4" in self.format.split(",")

    @property
    def is_mp4(self) -> bool:
        """Whether the container is MP4 proper. QuickTime belongs to the family, but browsers refuse parts of it."""
        return self.is_mp4_family and self.brand != "qt"

    @property
    def container(self) -> str:
        """The container's name as people know it: "MP4", "QuickTime", "matroska"."""
        if self.is_mp4_family:
            return "MP4" if self.is_mp4 else "QuickTime"
        return self.format.split(",")[0]

    @property
    def listed_s(self) -> float:
        """Seconds that the packets of video and audio really cover, from the first to the end of the last."""
        tallies = [stream.packets for stream in self.moving] + [stream.packets for stream in self.audio]
        starts = [tally.starts_s for tally in tallies if tally.starts_s is not None]
        ends = [tally.ends_s for tally in tallies if tally.ends_s is not None]
        return max(ends) - min(starts) if starts and ends else 0.0

    def to_json(self) -> str:
        """Return the facts as JSON; `from_json` returns equal facts."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MediaFacts:
        """Read what any version's `to_json` wrote.

        A field that is missing in the JSON gets its default; a field that this version does not know is ignored.
        """
        raw = json.loads(text)
        raw["video"] = tuple(_stream(VideoStream, raw_stream) for raw_stream in raw.get("video", ()))
        raw["audio"] = tuple(_stream(AudioStream, raw_stream) for raw_stream in raw.get("audio", ()))
        raw["subtitles"] = tuple(_stream(SubtitleStream, raw_stream) for raw_stream in raw.get("subtitles", ()))
        return _made(cls, raw)


def _stream(kind: type[Kind], raw: dict[str, Any]) -> Kind:
    if "packets" in raw:
        raw = raw | {"packets": _made(PacketFacts, raw["packets"])}
    if "aspect" in raw:
        raw = raw | {"aspect": tuple(raw["aspect"])}
    return _made(kind, raw)


def _made(kind: type[Kind], raw: dict[str, Any]) -> Kind:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in raw.items() if name in known})
