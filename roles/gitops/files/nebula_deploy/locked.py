"""Checks requirements.lock: an exact version, with hashes, of every package that pyproject.toml requires."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from nebula_deploy.places import Stop

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^]]*\])?==([A-Za-z0-9.!+_-]+)\s*(;.*)?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RANGE = re.compile(r"(==|>=|<=|!=|~=|<|>)\s*([0-9][0-9.]*)")


def check(lock: str, pyproject: str) -> None:
    """Raise Stop if a line cannot be parsed, or if a package that the server requires is missing or out of range."""
    versions = dict(_locked(lock))
    for requirement in _wanted(pyproject):
        name, ranges = _requirement(requirement)
        version = versions.get(_plain(name))
        if version is None:
            raise Stop(
                f"requirements.lock has no {name}, which pyproject.toml asks for: renew the lock (CONTRIBUTING.md)."
            )
        if not _fits(version, ranges):
            raise Stop(
                f"requirements.lock has {name} {version}, and pyproject.toml asks for {name}{ranges}: renew it"
                f" (CONTRIBUTING.md)."
            )


def _locked(lock: str) -> Iterator[tuple[str, str]]:
    for number, text in _lines(lock):
        requirement, separator, rest = text.partition(" --hash=")
        match, hashes = LINE.fullmatch(requirement.rstrip()), (separator + rest).split()
        if match is None or not hashes or not all(HASH.fullmatch(word) for word in hashes):
            raise Stop(
                f"Line {number} of requirements.lock is not NAME==VERSION --hash=sha256:...: {text[:60]!r}; renew the"
                " lock (CONTRIBUTING.md)."
            )
        yield _plain(match[1]), match[3]


def _lines(lock: str) -> Iterator[tuple[int, str]]:
    """Yield each requirement with the number of its first line. A backslash at the end of a line continues it."""
    first_line, pending = 1, ""
    for number, line in enumerate(lock.splitlines(), 1):
        first_line = first_line if pending else number
        pending += line.partition("#")[0].rstrip()
        if pending.endswith("\\"):
            pending = pending[:-1].rstrip() + " "
            continue
        if pending.strip():
            yield first_line, pending.strip()
        pending = ""
    if pending.strip():
        yield first_line, pending.strip()


def _wanted(pyproject: str) -> list[str]:
    try:
        project = tomllib.loads(pyproject)["project"]
        requirements = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Stop(f"pyproject.toml does not say what the server needs ({error!r}): correct it.") from None
    return [str(requirement) for requirement in requirements]


def _requirement(wanted: str) -> tuple[str, str]:
    """Return the name and the ranges of a requirement, without its extras and markers. Raises Stop."""
    text = wanted.partition(";")[0].strip()
    match = NAME.match(text)
    if match is None:
        raise Stop(f"pyproject.toml asks for {wanted[:60]!r}, which is no requirement: correct it.")
    ranges = text[match.end() :].strip()
    if ranges.startswith("[") and "]" in ranges:
        ranges = ranges.partition("]")[2].strip()
    return match[0], ranges


def _fits(version: str, ranges: str) -> bool:
    return all(_holds(_numbers(version), *relation_and_bound) for relation_and_bound in RANGE.findall(ranges))


def _holds(version: tuple[int, ...], relation: str, bound: str) -> bool:
    limit = _numbers(bound)
    if relation == "~=":
        return version >= limit and version[: len(limit) - 1] == limit[:-1]
    longest = max(len(version), len(limit))
    left, right = (numbers + (0,) * (longest - len(numbers)) for numbers in (version, limit))
    return {
        "==": left == right,
        "!=": left != right,
        ">=": left >= right,
        "<=": left <= right,
        "<": left < right,
        ">": left > right,
    }[relation]


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
