"""Cursors carry a position and refuse everything else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain.listing import Position
from nebula.errors import InvalidInput


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_carries_its_position(moment: datetime, last_id: object) -> None:
    position = Position(moment, str(last_id))
    assert Position.from_cursor(position.to_cursor()) == position


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "ä", "====", _encoded([]), _encoded(["now", "id"]), _encoded([1, 2]), _encoded({"a": 1})]
    + [_encoded(["2026-01-01T00:00:00", "id"]), _encoded(["2026-01-01T00:00:00+00:00", 7]), _encoded("ab")],
)
def test_a_cursor_that_no_listing_gave_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Position.from_cursor(cursor)
    assert raised.value.code == "invalid_cursor"


@given(st.text(max_size=80))
def test_any_text_is_a_position_or_refused(cursor: str) -> None:
    try:
        Position.from_cursor(cursor)
    except InvalidInput as error:
        assert error.code == "invalid_cursor"
