"""The column types that the entities use."""

from __future__ import annotations

from typing import Any

from pony import orm


def text(**options: Any) -> Any:
    """A column of text. Leading and trailing spaces are kept."""
    return orm.Required(str, sql_type="TEXT", autostrip=False, **options)


def maybe_text(**options: Any) -> Any:
    """A column of text or NULL."""
    return orm.Optional(str, sql_type="TEXT", autostrip=False, nullable=True, **options)


def key() -> Any:
    """A primary key of text."""
    return orm.PrimaryKey(str, sql_type="TEXT", autostrip=False, auto=False)


def size(**options: Any) -> Any:
    """A column of 64-bit integers."""
    return orm.Required(int, size=64, **options)
