"""What a process remembers of sessions, with a clock that the test turns."""

from __future__ import annotations

import pytest

from nebula.domain.records import Principal
from nebula.domain.states import Role
from nebula.services import session_cache
from nebula.services.session_cache import LIFE_S, SessionCache

ANNA = Principal("account", "anna", Role.MEMBER, "session")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Rows:
    """Counts how often it is asked."""

    def __init__(self, answer: Principal | None = ANNA) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> Principal | None:
        self.asked += 1
        return self.answer


def test_database_is_asked_again_when_five_seconds_have_passed() -> None:
    clock, rows = Clock(), Rows()
    memory = SessionCache(clock)
    assert memory.find("session", rows) == ANNA
    clock.now += LIFE_S - 0.01
    assert memory.find("session", rows) == ANNA
    assert rows.asked == 1
    clock.now += 0.01
    rows.answer = None
    assert memory.find("session", rows) is None
    assert rows.asked == 2


def test_session_is_refused_at_once_when_this_process_ended_it() -> None:
    memory, rows = SessionCache(Clock()), Rows()
    memory.find("session", rows)
    memory.end(["session"])
    assert memory.find("session", rows) is None


def test_session_stays_ended_when_an_answer_from_before_comes_late() -> None:
    memory = SessionCache(Clock())

    def late() -> Principal:
        memory.end(["session"])
        return ANNA

    assert memory.find("session", late) is None
    assert memory.find("session", Rows()) is None


def test_answer_ages_from_the_question_when_it_was_slow() -> None:
    clock, rows = Clock(), Rows()
    memory = SessionCache(clock)

    def slow() -> Principal:
        clock.now += LIFE_S
        return ANNA

    memory.find("session", slow)
    memory.find("session", rows)
    assert rows.asked == 1


def test_memory_stays_bounded_when_sessions_and_tokens_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_cache, "MOST", 10)
    memory = SessionCache(Clock())
    for number in range(100):
        memory.find(f"session {number}", Rows())
        memory.note_seen(f"token {number}")
    assert len(memory._known) <= 10
    assert len(memory._seen) <= 10
    assert memory.has_seen("token 99")
    assert not memory.has_seen("token 0")
