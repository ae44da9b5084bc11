"""Reading requests: JSON objects with known fields, ids and numbers. The bodies themselves are read in bodies.py."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import falcon

from nebula.api.bodies import RequestBody
from nebula.api.gates import Gates
from nebula.domain.records import Principal
from nebula.errors import InvalidInput, NotFound, SignInRequired

MAX_JSON_BYTES = 64 * 1024


def principal(req: falcon.Request) -> Principal:
    """Return who is asking; the authentication middleware has put it there."""
    found: Principal | None = getattr(req.context, "principal", None)
    if found is None:
        raise SignInRequired("Sign in first: nebula login.")
    return found


class StorableIds:
    """Middleware: an id that no store can hold (NUL) is one that nothing has."""

    def process_resource(
        self, _req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, Any]
    ) -> None:
        """Refuse before a store is asked."""
        if any("\x00" in value for name, value in params.items() if name.endswith("_id")):
            raise NotFound("There is nothing with that id.")


class JsonBodies:
    """Reads small JSON objects: known fields of known types, nothing else."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def read(self, req: falcon.Request, **fields: type) -> dict[str, Any]:
        """Return the body's object with exactly `fields` (name=type), each checked.

        Raises InvalidInput or TooLarge with a code that says what to change, StalledBody, IncompleteBody.
        """
        found = self.read_some(req, **fields)
        missing = sorted(set(fields) - set(found))
        if missing:
            raise InvalidInput(f"The field {missing[0]!r} is missing.", code="missing_field", field=missing[0])
        return found

    def read_some(self, req: falcon.Request, **fields: type) -> dict[str, Any]:
        """Return those of `fields` that the body's object has, each checked; an unknown field is refused."""
        found = _parsed(self._gates.bodies.read(RequestBody(req), MAX_JSON_BYTES))
        if not isinstance(found, dict):
            raise InvalidInput("The body must be a JSON object.", code="invalid_json")
        for name, value in found.items():
            if name not in fields:
                raise InvalidInput(f"The field {name!r} is not known here.", code="unknown_field", field=name)
            # bool is an int to isinstance: only the exact type is meant.
            if type(value) is not fields[name]:
                expected = fields[name].__name__
                raise InvalidInput(f"The field {name!r} must be of type {expected}.", code="invalid_field", field=name)
            if isinstance(value, str):
                _check_text(name, value)
        return found


def path_id(text: str) -> str:
    """Return an id from a path, or raise NotFound: what is no UUID names nothing, and reaches no database."""
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise NotFound("There is no such thing.")
    return text


def query_int(req: falcon.Request, name: str, default: int, *, least: int, most: int) -> int:
    """Return a whole number from the query, or raise InvalidInput that names its bounds."""
    text = req.get_param(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidInput(f"{name} must be a whole number from {least} to {most}.", code="invalid_query", field=name)
    return int(text)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError:
        raise InvalidInput("The JSON is nested too deeply.", code="invalid_json") from None
    except UnicodeDecodeError:
        raise InvalidInput("The body must be UTF-8.", code="invalid_json") from None
    except ValueError as error:
        raise InvalidInput(f"The body is not JSON: {error}.", code="invalid_json") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice")
    return found


def _check_text(name: str, value: str) -> None:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(
            f"The field {name!r} holds a character that cannot be stored.", code="invalid_field", field=name
        )
