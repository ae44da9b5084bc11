"""Turns at the one encoder: waited for, passed on, taken again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nebula.services.films.encoder_slot import Turn


@pytest.fixture
def encoder() -> threading.Lock:
    return threading.Lock()


GOES_ON = threading.Event()


def test_next_turn_waits_until_the_first_is_passed_on_and_its_owner_is_told(encoder: threading.Lock) -> None:
    told = threading.Event()
    first, second = Turn(encoder, on_pass=told.set), Turn(encoder)
    assert first.take(GOES_ON)
    assert first.take(GOES_ON), "it is held already"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second.take, GOES_ON)
        assert not told.is_set()
        assert encoder.locked()
        first.pass_on()
        assert told.is_set()
        assert waiting.result(20)
        again = pool.submit(first.take, GOES_ON)
        second.end()
        assert again.result(20)


def test_turn_is_kept_where_it_may_not_be_passed_on(encoder: threading.Lock) -> None:
    told = threading.Event()
    turn = Turn(encoder, may_pass=lambda: False, on_pass=told.set)
    assert turn.take(GOES_ON)
    turn.pass_on()
    assert encoder.locked()
    turn.end()
    assert not encoder.locked()
    assert not told.is_set()


def test_turn_that_ended_twice_frees_nobody_elses(encoder: threading.Lock) -> None:
    first, second = Turn(encoder), Turn(encoder)
    assert first.take(GOES_ON)
    first.end()
    assert second.take(GOES_ON)
    first.end()
    first.pass_on()
    assert encoder.locked()


def test_wait_for_a_turn_ends_when_it_is_stopped(encoder: threading.Lock) -> None:
    stop = threading.Event()
    assert Turn(encoder).take(stop)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(Turn(encoder).take, stop)
        stop.set()
        assert not waiting.result(20)
