"""Finds out which encoder works on this machine, by making two chunks of a small film in the same way as real films.

An encoder that ffmpeg lists need not work, and a driver that opens may hang or make green pictures. So the trial's
chunks are verified like all chunks, and compared to their source picture by picture. A trial never takes longer than
its bound, whatever a driver does: it runs in its own thread, which is abandoned if even the kernel cannot end ffmpeg.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nebula.domain import plan as plans
from nebula.domain.encoders import AUTO, HARDWARE, SOFTWARE
from nebula.errors import FfmpegFailed, NebulaError, Stopped
from nebula.media.ffmpeg import arguments
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.tools import INSTALLED, Tools
from nebula.media.making import chunking
from nebula.media.reading import probe
from nebula.media.verifying import chunk_checks

VERSION = 1  # of the trial; results of another version are ignored
TRIAL_S = 60.0  # for one encoder on one device
GRACE_S = 10.0  # extra time for an ffmpeg that does not end
STALL_S = 20.0
POLL_S = 0.1
CHUNK_S = 2.0
DEVICES = Path("/dev/dri")
DRIVERS = ("dri/*_drv_video.so", "libmfx*.so*", "libvpl.so*", "libva.so*", "libigdgmm.so*", "libavcodec.so*")
LIBRARIES = ("usr/lib/*-linux-gnu", "usr/lib", "usr/local/lib")
CLIP = ("testsrc2=size=640x360:rate=25:duration=4", "-c:v", "mpeg2video", "-q:v", "2", "-g", "25", "-bf", "2")


@dataclass(frozen=True)
class Found:
    """The encoder that works, the device it works on, and why the better ones do not."""

    encoder: str
    device: str = ""
    reasons: tuple[str, ...] = ()


def devices(folder: Path = DEVICES) -> list[str]:
    """Return the graphics devices that can encode, in the kernel's order."""
    return [str(path) for path in sorted(folder.glob("renderD*"))]


def machine(ffmpeg: str) -> dict[str, str]:
    """Return what a trial's result depends on (kernel, drivers, ffmpeg), as far as known without running anything."""
    names = [f"{folder}/{name}" for folder in LIBRARIES for name in DRIVERS]
    paths = sorted({path.resolve() for name in names for path in Path("/").glob(name)})
    program = shutil.which(ffmpeg)
    return {
        "kernel": os.uname().release,
        "drivers": " ".join(_named(path) for path in paths),
        "ffmpeg": _named(Path(program).resolve()) if program else "",
    }


def _named(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return path.name
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"


def find(
    wanted: str,
    *,
    paths: list[str],
    stop: threading.Event | None = None,
    tools: Tools = INSTALLED,
    trial_s: float = TRIAL_S,
) -> Found:
    """Try the wanted encoder, or each one if "auto", best first, on the devices at `paths`; return the one that works.

    Falls back to software, which is not tried: nothing works without it anyway. Raises Stopped.
    """
    reasons: list[str] = []
    candidates = [name for name in HARDWARE if wanted in (AUTO, name)]
    if candidates and not paths:
        reasons.append(f"there is no graphics device ({DEVICES}/renderD*)")
    for encoder, device in ((encoder, device) for encoder in candidates for device in paths):
        own = replace(tools, render_node=device, stall_s=min(tools.stall_s, STALL_S))
        why = fault(encoder, stop=stop, tools=own, trial_s=trial_s)
        if why is None:
            return Found(encoder, device, tuple(reasons))
        reasons.append(f"{encoder} does not work on {device}: {why}")
    return Found(SOFTWARE, "", tuple(reasons))


def fault(
    encoder: str, *, stop: threading.Event | None = None, tools: Tools = INSTALLED, trial_s: float = TRIAL_S
) -> str | None:
    """Try one encoder on the device in `tools`; return why it does not work, None if it does. Raises Stopped."""
    return _within(trial_s, stop, lambda ended: _try(encoder, Control(tools, ended)))


def _within(seconds: float, stop: threading.Event | None, work: Callable[[threading.Event], str | None]) -> str | None:
    """Return the result of the work, or that it took too long. Raises Stopped if `stop` was set meanwhile."""
    results: list[str | None] = []
    end = threading.Event()
    thread = threading.Thread(target=lambda: results.append(work(end)), name="trial", daemon=True)
    thread.start()
    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline and not (stop and stop.is_set()):
        thread.join(POLL_S)
    is_late = thread.is_alive()
    end.set()
    thread.join(GRACE_S)
    if stop and stop.is_set():
        raise Stopped("The trial of the encoders was stopped.")
    if is_late:
        return f"it did not end within {seconds:.0f} s"
    return results[0] if results else "its trial broke off"


def _try(encoder: str, control: Control) -> str | None:
    """Make a film's chunks; return why that failed or what is wrong with them, None if nothing is."""
    try:
        with tempfile.TemporaryDirectory(prefix="nebula-trial-", ignore_cleanup_errors=True) as folder:
            _make(encoder, Path(folder), control)
    except FfmpegFailed as error:
        # The first complaint is the reason; those after it are consequences.
        complaints = [line.strip() for line in str(error.details.get("log") or "").splitlines() if line.strip()]
        return complaints[0][:200] if complaints else error.message
    except (NebulaError, OSError) as error:
        return str(error)
    return None


def _make(encoder: str, folder: Path, control: Control) -> None:
    clip = str(folder / "clip.mkv")
    tools = control.tools
    argv = [tools.ffmpeg, *arguments.QUIET, "-y", "-f", "lavfi", "-i", *CLIP, f"file:{clip}"]
    run(argv, source="", on_line=lambda line: True, bounds=Bounds(stall_s=tools.stall_s), control=control)
    facts = probe.probe(clip, control=control)
    plan = plans.decide(facts, name="", media_type="")
    if facts is None or not plan.encodes_video:
        raise FfmpegFailed("The clip for the trial cannot be read.", log="")
    fingerprint = None
    for part in chunking.list_chunks(clip, facts, plan, least_s=CHUNK_S, most_s=2 * CHUNK_S, control=control):
        target = folder / f"{part.number}.mp4"
        chunking.make_chunk(clip, facts, plan, part, target, encoder=encoder, control=control)
        # The second chunk must have the same header as the first, or the two could not be joined.
        verified = chunk_checks.verify_chunk(
            plan,
            part,
            target,
            fingerprint=fingerprint,
            encoder=encoder,
            source=clip,
            compared=part.frames,
            control=control,
        )
        fingerprint = verified.fingerprint
    if fingerprint is None:
        raise FfmpegFailed("The clip for the trial cannot be cut.", log="")
