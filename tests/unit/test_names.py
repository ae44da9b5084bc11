"""A name is kept exactly as it was given, or refused with the reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain import names
from nebula.errors import InvalidInput

GOOD = [
    "a",
    "a b#c",
    "-x",
    "--force",
    "a\\b",
    " lead",
    "tab\tnew\nline",
    "Ünï/码/🎬.mkv",
    "1e5",
    "None",
    "...",
    "a" * 255,
]
BAD = {
    "": "empty segment",
    "/a": "empty segment",
    "a/": "empty segment",
    "a//b": "empty segment",
    ".": "segment '.'",
    "a/../b": "segment '..'",
    "a\x00b": "NUL",
    "a" * 256: "255 bytes",
    "é" * 128: "255 bytes",
    "/".join(["a" * 200] * 6): "1024 is the most",
    "a" * 5000: "1024 is the most",
    "\ud800": "not valid Unicode",
}


@pytest.mark.parametrize("name", GOOD)
def test_checked_returns_a_good_name_unchanged(name: str) -> None:
    assert names.checked(name) == name


@pytest.mark.parametrize(("name", "why"), BAD.items())
def test_checked_refuses_with_the_reason(name: str, why: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        names.checked(name)
    assert raised.value.code == "invalid_name"
    assert why in raised.value.message


@given(st.text(max_size=400))
def test_checked_returns_the_same_text_or_refuses(name: str) -> None:
    try:
        assert names.checked(name) == name
    except InvalidInput as error:
        assert error.code == "invalid_name"


def test_last_segment_is_what_a_download_is_called() -> None:
    assert names.last_segment("2026/spring/film.mkv") == "film.mkv"
    assert names.last_segment("film.mkv") == "film.mkv"
