"""Chooses the encoder of this node by a trial, and remembers the result while the machine stays the same.

The result is in a small file in the node's data directory, with the kernel, drivers and ffmpeg for which it is valid.
If hardware fails in the middle of a film, the file is removed. The node then encodes in software until another trial
passes. The next trial runs when the worker starts, or after AGAIN_S.
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
KEEP_FAILURES_S = 86_400.0  # a trial may fail by chance, so a failure is remembered for a day only


class Encoders:
    """The encoders of this node's worker. Without a file, there is only software, as in the quick worker."""

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
        """The encoder that this node prefers. Software is always available as well."""
        return self._found.encoder

    @property
    def tools(self) -> Tools:
        """The ffmpeg tools, with the graphics device that the encoder uses."""
        return replace(self._tools, render_node=self._found.device) if self._found.device else self._tools

    def build(self, encoder: str) -> str:
        """Return the versions that affect encoded pictures: encoder, ffmpeg, and the drivers if it is hardware."""
        encoder_build = build.encoder_build(encoder)
        return f"{encoder_build} {self._drivers}" if encoder in HARDWARE else encoder_build

    @cached_property
    def _drivers(self) -> str:
        # Read once per worker, like ffmpeg's version (build.py): it takes a look at dozens of files.
        return encoder_trial.machine(self._tools.ffmpeg)["drivers"]

    def choose(self, facts: MediaFacts, plan: Plan) -> str:
        """Return the encoder that this node uses for a film."""
        return self.encoder if self.encoder in suited(facts, plan) else SOFTWARE

    def find(self, stop: threading.Event | None = None) -> bool:
        """Find the encoder, if not found yet, or due again. Returns True if it ran. Raises Stopped."""
        is_due = self._failed_at is not None and time.monotonic() - self._failed_at >= self._again_s
        if self._file is None or (self._is_found and not is_due):
            return False
        # An encoder that the settings name is tried even if no device is visible.
        paths = self._devices() or ([self._tools.render_node] if self._wanted in HARDWARE else [])
        trial_result = self._remembered(self._file, paths) or self._tried(self._file, paths, stop)
        self._found, self._is_found, self._failed_at = trial_result, True, None
        log.info("encoder encoder=%s device=%s", trial_result.encoder, trial_result.device or None)
        for reason in trial_result.reasons:
            log.info("encoder not taken reason=%r", reason)
        return True

    def find_anew(self) -> Found:
        """Try the encoders again, whatever is remembered; return the result. Raises FfmpegFailed if none works."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
        self._is_found = False
        self.find()
        if self._found.encoder == SOFTWARE and (why := encoder_trial.fault(SOFTWARE, tools=self._tools)):
            raise FfmpegFailed(f"No encoder works here, not even {SOFTWARE}: {why}", log="")
        return self._found

    def distrust(self, reason: str) -> None:
        """Encode in software from now on, until another trial passes."""
        log.error("encoder failed encoder=%s device=%s error=%r", self._found.encoder, self._found.device, reason)
        self._found = Found(SOFTWARE, "", (reason,))
        self._failed_at = time.monotonic()
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _tried(self, file: Path, paths: list[str], stop: threading.Event | None) -> Found:
        key = self._key(paths)
        trial_result = encoder_trial.find(self._wanted, paths=paths, stop=stop, tools=self._tools)
        if self._wanted == SOFTWARE or not paths:
            return trial_result  # nothing was tried
        fresh = file.with_suffix(".part")
        try:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({"of": key, "at": time.time(), "found": asdict(trial_result)}, indent=1))
            fresh.rename(file)
        except OSError as error:  # not fatal: the next start runs the trial again
            log.warning("encoder not remembered error=%r", str(error))
        return trial_result

    def _remembered(self, file: Path, paths: list[str]) -> Found | None:
        try:
            record = json.loads(file.read_text())
            remembered = Found(record["found"]["encoder"], record["found"]["device"], tuple(record["found"]["reasons"]))
            is_old = remembered.encoder == SOFTWARE and abs(time.time() - record["at"]) > KEEP_FAILURES_S
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if record["of"] != self._key(paths) or is_old else remembered

    def _key(self, paths: list[str]) -> dict[str, object]:
        return {
            "trial": encoder_trial.VERSION,
            "wanted": self._wanted,
            "devices": paths,
            **encoder_trial.machine(self._tools.ffmpeg),
        }
