"""Fixtures that several integration suites share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nebula.config import Settings
from nebula.services.films import attempt
from tests.films import Bench


@pytest.fixture
def bench(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench in both worlds, which is quick to notice things; of the module's own kind where it names one (BENCH)."""
    monkeypatch.setattr(attempt, "TICK_S", 0.2)
    monkeypatch.setattr(attempt, "INSIST_PAUSE_S", 0.1)
    opened = getattr(request.module, "BENCH", Bench)(settings)
    yield opened
    opened.close()
