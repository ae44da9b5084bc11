"""Read requests: JSON objects with known fields, ids and numbers. bodies.py reads the bytes of the bodies."""

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
    """Return who sent the request, as set by the authentication middleware. Raises SignInRequired if nobody is set."""
    sender: Principal | None = getattr(req.context, "principal", None)
    if sender is None:
        raise SignInRequired("Sign in first: nebula login.")
    return sender


class StorableIds:
    """Middleware: answers NotFound for an id that no store can hold (one with a NUL character)."""

    def process_resource(
        self, _req: falcon.Request, _resp: falcon.Response, _resource: object, params: dict[str, Any]
    ) -> None:
        """Refuse such an id before any store is queried."""
        if any("\x00" in value for name, value in params.items() if name.endswith("_id")):
            raise NotFound("There is nothing with that id.")


class JsonBodies:
    """Reads small JSON objects with known fields of known types, and refuses everything else."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates

    def read(self, req: falcon.Request, **fields: type) -> dict[str, Any]:
        """Return the JSON object in the body, which must have exactly `fields` (name=type); each value is checked.

        Raises InvalidInput or TooLarge, with a code that says what to change, and StalledBody or IncompleteBody.
        """
        values = self.read_some(req, **fields)
        missing = sorted(set(fields) - set(values))
        if missing:
            raise InvalidInput(f"The field {missing[0]!r} is missing.", code="missing_field", field=missing[0])
        return values

    def read_some(self, req: falcon.Request, **fields: type) -> dict[str, Any]:
        """Return the JSON object in the body, which may have any of `fields`, all checked. Raises as `read` does."""
        values = _parsed(self._gates.bodies.read(RequestBody(req), MAX_JSON_BYTES))
        if not isinstance(values, dict):
            raise InvalidInput("The body must be a JSON object.", code="invalid_json")
        for name, value in values.items():
            if name not in fields:
                raise InvalidInput(f"The field {name!r} is not known here.", code="unknown_field", field=name)
            # Not isinstance, which accepts a bool as an int.
            if type(value) is not fields[name]:
                expected = fields[name].__name__
                raise InvalidInput(f"The field {name!r} must be of type {expected}.", code="invalid_field", field=name)
            if isinstance(value, str):
                _check_text(name, value)
        return values


def path_id(text: str) -> str:
    """Return an id from a path. Raises NotFound if it is not a UUID, so that it never reaches the database."""
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise NotFound("There is no such thing.")
    return text


def query_int(req: falcon.Request, name: str, default: int, *, least: int, most: int) -> int:
    """Return a whole number from the query. Raises InvalidInput with the allowed bounds."""
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
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice")
    return fields


def _check_text(name: str, value: str) -> None:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(
            f"The field {name!r} holds a character that cannot be stored.", code="invalid_field", field=name
        )
