"""Work on a hardware encoder: two tries; then it is the hardware's fault, where nothing else explains it."""

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
    """Make something of the source; if that fails, once more of a local file, for the read may have been cut.

    Raises HardwareFailed if that fails as well: software is to make it. Whatever else explains a failure (the source or
    its store is gone, the work was stopped or paused in the middle) is raised as it is.
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
