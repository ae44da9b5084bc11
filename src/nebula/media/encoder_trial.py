"""Which encoder works on this machine: tried by making two chunks of a small film, as films are made.

That ffmpeg lists an encoder says nothing, and a driver that opens may hang or make green pictures. So what it makes is
verified as chunks are, and compared to its source picture by picture. A trial takes no longer than its bound whatever a
driver does: it runs in a thread of its own, which is left behind where even the kernel cannot end its ffmpeg.
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

VERSION = 1  # of the trial: what another one found is not taken
TRIAL_S = 60.0  # of one encoder on one device
GRACE_S = 10.0  # more, for an ffmpeg that does not end
STALL_S = 20.0
POLL_S = 0.1
CHUNK_S = 2.0
DEVICES = Path("/dev/dri")
DRIVERS = ("dri/*_drv_video.so", "libmfx*.so*", "libvpl.so*", "libva.so*", "libigdgmm.so*", "libavcodec.so*")
LIBRARIES = ("usr/lib/*-linux-gnu", "usr/lib", "usr/local/lib")
CLIP = ("testsrc2=size=640x360:rate=25:duration=4", "-c:v", "mpeg2video", "-q:v", "2", "-g", "25", "-bf", "2")


@dataclass(frozen=True)
class Found:
    """The encoder that works, the device it works on, and why those that are better do not."""

    encoder: str
    device: str = ""
    reasons: tuple[str, ...] = ()


def devices(folder: Path = DEVICES) -> list[str]:
    """Return the graphics devices that can encode, in the kernel's order."""
    return [str(path) for path in sorted(folder.glob("renderD*"))]


def machine(ffmpeg: str) -> dict[str, str]:
    """Return what a trial's result depends on: kernel, drivers and ffmpeg, as far as it can be told without running."""
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
        found = path.stat()
    except OSError:
        return path.name
    return f"{path.name}:{found.st_size}:{found.st_mtime_ns}"


def find(
    wanted: str,
    *,
    paths: list[str],
    stop: threading.Event | None = None,
    tools: Tools = INSTALLED,
    trial_s: float = TRIAL_S,
) -> Found:
    """Try the wanted encoder, or with "auto" each, the best first, on the devices at `paths`; return what works.

    Software is what is left, and is not tried: without it nothing works anyway. Raises Stopped.
    """
    reasons: list[str] = []
    families = [one for one in HARDWARE if wanted in (AUTO, one)]
    if families and not paths:
        reasons.append(f"there is no graphics device ({DEVICES}/renderD*)")
    for encoder, device in ((encoder, device) for encoder in families for device in paths):
        own = replace(tools, render_node=device, stall_s=min(tools.stall_s, STALL_S))
        why = fault(encoder, stop=stop, tools=own, trial_s=trial_s)
        if why is None:
            return Found(encoder, device, tuple(reasons))
        reasons.append(f"{encoder} does not work on {device}: {why}")
    return Found(SOFTWARE, "", tuple(reasons))


def fault(
    encoder: str, *, stop: threading.Event | None = None, tools: Tools = INSTALLED, trial_s: float = TRIAL_S
) -> str | None:
    """Try one encoder, on the device of the tools; return why it makes no films, None where it does. Raises Stopped."""
    return _within(trial_s, stop, lambda ended: _try(encoder, Control(tools, ended)))


def _within(seconds: float, stop: threading.Event | None, work: Callable[[threading.Event], str | None]) -> str | None:
    """Return what the work says, or that it took too long. Raises Stopped where `stop` was set meanwhile."""
    said: list[str | None] = []
    end = threading.Event()
    thread = threading.Thread(target=lambda: said.append(work(end)), name="trial", daemon=True)
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
    return said[0] if said else "its trial broke off"


def _try(encoder: str, control: Control) -> str | None:
    """Make a film's chunks; return what is wrong with them or with their making."""
    try:
        with tempfile.TemporaryDirectory(prefix="nebula-trial-", ignore_cleanup_errors=True) as folder:
            _make(encoder, Path(folder), control)
    except FfmpegFailed as error:
        # The first complaint is the reason, what comes after it are its consequences.
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
        # The second one must have the first one's header, or the two could not be joined.
        made = chunk_checks.verify_chunk(
            plan,
            part,
            target,
            fingerprint=fingerprint,
            encoder=encoder,
            source=clip,
            compared=part.frames,
            control=control,
        )
        fingerprint = made.fingerprint
    if fingerprint is None:
        raise FfmpegFailed("The clip for the trial cannot be cut.", log="")
