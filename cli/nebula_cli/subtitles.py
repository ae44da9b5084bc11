"""Finds a file's subtitles by what a person typed: a language, a title, an id, or "none"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nebula_cli import formats, lookup, output
from nebula_cli.errors import CliError, NotFound

NONE = "none"
TITLES = ("SUBTITLES", "FOR", "SIZE", "ID", "TITLE")


def rows(file: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a table row for each of a file's subtitles, with the columns of TITLES, for `nebula info`."""
    return [_row(each) for each in _all(file)]


def handed(file: Mapping[str, Any], wanted: str) -> tuple[list[dict[str, Any]], bool]:
    """Return a file's subtitles in the order for a player, and whether it shows the first from the start.

    If `wanted` is empty, the film's default subtitles come first, else its forced ones; if it has neither, none are
    shown. Raises NotFound.
    """
    chosen = _matching(file, wanted) if wanted else [each for each in _all(file) if _is_shown_unasked(each)]
    first = sorted(chosen, key=_is_special if wanted else _is_no_default)[:1]
    return [*first, *(each for each in _all(file) if each not in first)], bool(first)


def one(file: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """Return the subtitles that `wanted` names. Raises NotFound, or CliError with a list if there are several."""
    matches = _matching(file, wanted)
    if len(matches) > 1:
        choices = "; ".join(f"{each['id']} {output.clean(_named(each))}" for each in matches[: lookup.SHOWN])
        raise CliError(f"{len(matches)} subtitles are {output.clean(wanted)!r}; name one by its id: {choices}")
    return matches[0]


def languages(file: Mapping[str, Any]) -> str:
    """Return the languages of a file's subtitles, as "de, en"."""
    return ", ".join(dict.fromkeys(_language(each) for each in _all(file)))


def file_name(file: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return the file name under which players look for these subtitles: film.de.vtt."""
    last = str(file["name"]).rsplit("/", 1)[-1]
    stem = last.rpartition(".")[0] or last
    language = found.get("language")
    return f"{stem}.{language}.vtt" if language else f"{stem}.vtt"


def _all(file: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(file.get("subtitles") or [])


def _matching(file: Mapping[str, Any], wanted: str) -> list[dict[str, Any]]:
    word = wanted.lower()
    for fits in (_is_in_language, _is_of_language, _is_titled, _has_id):
        matches = [each for each in _all(file) if word and fits(each, word)]
        if matches:
            return matches
    there_are = f"; there are: {languages(file)}" if _all(file) else " and no others"
    raise NotFound(f"There are no subtitles {output.clean(wanted)!r}{there_are}; see: nebula info {file['id']}")


def _is_in_language(found: Mapping[str, Any], word: str) -> bool:
    return str(found.get("language") or "").lower() == word


def _is_of_language(found: Mapping[str, Any], word: str) -> bool:
    return str(found.get("language") or "").lower().split("-")[0] == word


def _is_titled(found: Mapping[str, Any], word: str) -> bool:
    return word in str(found.get("title") or "").lower()


def _has_id(found: Mapping[str, Any], word: str) -> bool:
    return str(found["id"]).startswith(word)


def _is_shown_unasked(found: Mapping[str, Any]) -> bool:
    return bool(found.get("default") or found.get("forced"))


def _is_no_default(found: Mapping[str, Any]) -> bool:
    return not found.get("default")


def _is_special(found: Mapping[str, Any]) -> bool:
    # A person who asks for a language wants everything that is said, so forced subtitles come last.
    return bool(found.get("forced"))


def _row(found: Mapping[str, Any]) -> tuple[str, ...]:
    size = formats.size(found.get("size_bytes") or 0)
    return _language(found), _purpose(found), size, str(found["id"]), str(found.get("title") or "")


def _language(found: Mapping[str, Any]) -> str:
    return str(found.get("language") or "?")


def _purpose(found: Mapping[str, Any]) -> str:
    kinds = (("default", "default"), ("forced", "forced"), ("hearing_impaired", "hearing-impaired"))
    return ", ".join(shown for name, shown in kinds if found.get(name))


def _named(found: Mapping[str, Any]) -> str:
    words = [_language(found), _purpose(found), str(found.get("title") or "")]
    return " ".join(word for word in words if word)
