"""docs/settings.md from the table of settings: `python -m tests.static.settings_page` writes it anew."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import PurePath
from typing import Any

from nebula.config import Settings
from tests.static.source import ROOT

PAGE = ROOT / "docs" / "settings.md"
HEAD = """# Settings

Environment variables, read once at the start and checked; the page is made from `src/nebula/config.py`. A secret may
come from a file instead: `NAME_FILE` holds its path. No secret has a usable default; `nebula-server up` makes
`SECRET_KEY` itself, once, where it is unset.

| name | default | is |
|---|---|---|
"""


def render() -> str:
    """Return the page."""
    return HEAD + "".join(map(_row, fields(Settings)))


def _row(field: Field[Any]) -> str:
    setting = field.metadata["setting"]
    default = field.default
    plain = isinstance(default, str | int | float | PurePath) and default != ""
    text = setting.help.replace("|", r"\|") + (" (secret)" if setting.secret else "")
    return f"| `{setting.name}` | {f'`{default}`' if plain else ''} | {text} |\n"


if __name__ == "__main__":
    PAGE.write_text(render())
