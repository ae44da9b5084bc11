"""The encoder of this node: found by a trial, remembered while the machine is the same, and mistrusted when it fails.

What was found lies in a small file beside the node's data, with the kernel, drivers and ffmpeg that it holds for. When
hardware fails in the middle of a film the file is removed: software it is then, until another trial passes, at the
worker's next start or after a while.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

from nebula.domain.encoders import AUTO, HARDWARE, SOFTWARE, suited
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.errors import FfmpegFailed
from nebula.media import encoder_trial
from nebula.media.encoder_trial import Found
from nebula.media.ffmpeg import build
from nebula.media.ffmpeg.tools import INSTALLED, Tools

log = logging.getLogger(__name__)

AGAIN_S = 3600.0  # from a failure to the next trial
KEEP_FAILURES_S = 86_400.0  # a trial that hardware did not pass may have met it at a bad moment


class Encoders:
    """What this node's worker encodes with. One that is given no file is software alone: the quick worker's."""

    def __init__(
        self,
        file: Path | None = None,
        *,
        wanted: str = AUTO,
        devices: Callable[[], list[str]] = encoder_trial.devices,
        again_s: float = AGAIN_S,
        tools: Tools = INSTALLED,
    ) -> None:
        self._file = file
        self._wanted = wanted
        self._devices = devices
        self._again_s = again_s
        self._tools = tools
        self._found = Found(SOFTWARE)
        self._is_found = file is None
        self._failed_at: float | None = None

    @property
    def encoder(self) -> str:
        """The family that this node encodes with; software it has besides."""
        return self._found.encoder

    @property
    def tools(self) -> Tools:
        """The programs, with the graphics device that the encoder works on."""
        return replace(self._tools, render_node=self._found.device) if self._found.device else self._tools

    def build(self, encoder: str) -> str:
        """Return what makes the pictures on this node: the encoder, its driver where it has one, and ffmpeg."""
        told = build.encoder_build(encoder)
        return f"{told} {self._drivers}" if encoder in HARDWARE else told

    @cached_property
    def _drivers(self) -> str:
        # Once for a worker, as ffmpeg's own version is (build.py): there are some dozens of files to look at.
        return encoder_trial.machine(self._tools.ffmpeg)["drivers"]

    def choose(self, facts: MediaFacts, plan: Plan) -> str:
        """Return what this node makes a film with."""
        return self.encoder if self.encoder in suited(facts, plan) else SOFTWARE

    def find(self, stop: threading.Event | None = None) -> bool:
        """Find the encoder where that is not done or is due again; say whether it was done now. Raises Stopped."""
        is_due = self._failed_at is not None and time.monotonic() - self._failed_at >= self._again_s
        if self._file is None or (self._is_found and not is_due):
            return False
        # One that is asked for by its name is tried even where no device is to be seen.
        paths = self._devices() or ([self._tools.render_node] if self._wanted in HARDWARE else [])
        found = self._remembered(self._file, paths) or self._tried(self._file, paths, stop)
        self._found, self._is_found, self._failed_at = found, True, None
        log.info("encoder encoder=%s device=%s", found.encoder, found.device or None)
        for reason in found.reasons:
            log.info("encoder not taken reason=%r", reason)
        return True

    def find_anew(self) -> Found:
        """Try the encoders whatever is remembered; return what was found. Raises FfmpegFailed where nothing works."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
        self._is_found = False
        self.find()
        if self._found.encoder == SOFTWARE and (why := encoder_trial.fault(SOFTWARE, tools=self._tools)):
            raise FfmpegFailed(f"No encoder works here, not even {SOFTWARE}: {why}", log="")
        return self._found

    def distrust(self, reason: str) -> None:
        """Encode in software from now on, until a trial passes anew."""
        log.error("encoder failed encoder=%s device=%s error=%r", self._found.encoder, self._found.device, reason)
        self._found = Found(SOFTWARE, "", (reason,))
        self._failed_at = time.monotonic()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _tried(self, file: Path, paths: list[str], stop: threading.Event | None) -> Found:
        key = self._key(paths)
        found = encoder_trial.find(self._wanted, paths=paths, stop=stop, tools=self._tools)
        if self._wanted == SOFTWARE or not paths:
            return found  # nothing was tried
        fresh = file.with_suffix(".part")
        try:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({"of": key, "at": time.time(), "found": asdict(found)}, indent=1))
            fresh.rename(file)
        except OSError as error:  # it costs the next start another trial
            log.warning("encoder not remembered error=%r", str(error))
        return found

    def _remembered(self, file: Path, paths: list[str]) -> Found | None:
        try:
            kept = json.loads(file.read_text())
            found = Found(kept["found"]["encoder"], kept["found"]["device"], tuple(kept["found"]["reasons"]))
            is_old = found.encoder == SOFTWARE and abs(time.time() - kept["at"]) > KEEP_FAILURES_S
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if kept["of"] != self._key(paths) or is_old else found

    def _key(self, paths: list[str]) -> dict[str, object]:
        return {
            "trial": encoder_trial.VERSION,
            "wanted": self._wanted,
            "devices": paths,
            **encoder_trial.machine(self._tools.ffmpeg),
        }
