"""The source of a film, a local path or a URL: reads its bytes by offset and returns arguments that open it safely.

A URL is always that of reading/serving.py, on this machine: the worker reads the store, ffmpeg does not.

Hostile input: a playlist named .mkv makes ffmpeg open what the playlist names, even by protocols that are not in
-protocol_whitelist. So two lists are passed: only the protocols that the source needs, and only demuxers that read
nothing but their one input. Playlists (hls, dash, imf), scripts (concat, ffmetadata), patterns (image2), devices
(lavfi, x11grab) and text formats (tty, subtitles) are not among them.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nebula.errors import FfmpegFailed

FILM_DEMUXERS = (
    "mov", "matroska", "avi", "flv", "live_flv", "mpegts", "mpeg", "asf", "ogg", "rm", "mxf", "nut", "dv", "gxf", "ivf",
    "wtv", "nsv", "yuv4mpegpipe", "mpegvideo", "h264", "hevc",
)  # fmt: skip
AUDIO_DEMUXERS = (
    "mp3", "aac", "loas", "ac3", "eac3", "dts", "dtshd", "truehd", "flac", "wav", "w64", "aiff", "au", "caf", "ape",
    "wv", "tta", "tak", "mpc", "mpc8", "amr", "dsf",
)  # fmt: skip
PICTURE_DEMUXERS = (
    "jpeg_pipe", "png_pipe", "apng", "gif", "webp_pipe", "bmp_pipe", "tiff_pipe", "psd_pipe", "j2k_pipe",
    "jpegxl_pipe", "qoi_pipe", "exr_pipe", "ico",
)  # fmt: skip
DEMUXERS = ",".join((*FILM_DEMUXERS, *AUDIO_DEMUXERS, *PICTURE_DEMUXERS))
TIMEOUT_S = 45  # longer than the worker waits for its store, so that its error, which names the store, comes first


def is_url(source: str) -> bool:
    """Whether the source is read over HTTP."""
    return source.startswith(("http://", "https://"))


def shown(source: str) -> str:
    """Return the source for logs: a URL loses its query, which holds a token or a signature."""
    return urlunsplit(urlsplit(source)._replace(query="", fragment="")) if is_url(source) else source


def input_arguments(source: str) -> list[str]:
    """Return the arguments with which ffmpeg or ffprobe opens the source and nothing else."""
    if not is_url(source):
        # "file:" keeps a name with a colon from being taken for a protocol, a leading dash for an option.
        return ["-protocol_whitelist", "file", "-format_whitelist", DEMUXERS, "-i", f"file:{source}"]
    return [
        *("-protocol_whitelist", "http,tcp", "-format_whitelist", DEMUXERS),
        # Longer than the worker waits for a store that accepts a connection and stays silent. If the store cuts it off,
        # the worker itself continues the read; if the worker gives up, another try is useless.
        *("-rw_timeout", str(2 * TIMEOUT_S * 1_000_000)),
        *("-i", source),
    ]


class SourceBytes:
    """A source's bytes by offset."""

    def __init__(self, source: str) -> None:
        self._source = source
        # The URL is on this machine: no proxy is used, and no redirect is followed.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
        self.size_bytes = self._url_size() if is_url(source) else Path(source).stat().st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`, fewer only at the end. Raises FfmpegFailed."""
        size = min(size, self.size_bytes - offset)
        if size <= 0:
            return b""
        if is_url(self._source):
            return self._fetch(offset, size)
        with Path(self._source).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _url_size(self) -> int:
        try:
            with self._open("bytes=0-0") as answer:
                return int(answer.headers["Content-Range"].rpartition("/")[2])
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # no range can be satisfied: the source is empty
                return 0
            raise _unreachable(error) from error
        except (OSError, ValueError, TypeError) as error:
            raise _unreachable(error) from error

    def _fetch(self, offset: int, size: int) -> bytes:
        try:
            with self._open(f"bytes={offset}-{offset + size - 1}") as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            raise _unreachable(error) from error
        except OSError as error:
            raise _unreachable(error) from error
        if len(body) != size:
            raise FfmpegFailed("The store cut the source off while it was probed.", log="")
        return body

    def _open(self, span: str) -> Any:
        request = urllib.request.Request(self._source, headers={"Range": span})
        return self._opener.open(request, timeout=TIMEOUT_S)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow no redirect: it becomes an error."""


def _unreachable(error: Exception) -> FfmpegFailed:
    # Only the kind of error: its text may hold the URL with its token.
    what = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
    return FfmpegFailed(f"The source cannot be read from its store ({what}).", log="")
