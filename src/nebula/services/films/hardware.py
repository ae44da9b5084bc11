"""Runs work on a hardware encoder, at most twice. If both tries fail for no other reason, blames the hardware."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nebula.errors import FfmpegFailed, HardwareFailed
from nebula.services.films.attempt import Attempt
from nebula.services.films.sources import Sources

T = TypeVar("T")

log = logging.getLogger(__name__)


def try_twice(attempt: Attempt, sources: Sources, source: str, copy: Callable[[], Path], make: Callable[[str], T]) -> T:
    """Call `make` with the source; if it fails, call it with a local file, because the read may have been cut short.

    Raises HardwareFailed if both fail: the caller then uses software. A failure with another explanation does not count
    as the hardware's: if the work was stopped or was paused in the middle, the FfmpegFailed is passed on; if the source
    or its store is gone, that error is raised.
    """
    try:
        return make(source)
    except FfmpegFailed as error:
        _look_for_other_causes(attempt, sources, error)
        log.warning("again on hardware %s error=%r", attempt.claim.shown, error.message)
    try:
        return make(str(copy()))
    except FfmpegFailed as error:
        _look_for_other_causes(attempt, sources, error)
        raise HardwareFailed(error.message, log=str(error.details.get("log") or "")) from error


def _look_for_other_causes(attempt: Attempt, sources: Sources, error: FfmpegFailed) -> None:
    if attempt.stop.is_set() or attempt.was_paused:
        raise error
    sources.check(attempt.claim.content)
