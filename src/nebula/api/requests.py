"""Reading requests: JSON objects with known fields, bodies as streams, and the bounds on both."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import falcon
from gunicorn.http.errors import ParseException

from nebula.api.gates import Gates
from nebula.api.transfers import small_body
from nebula.domain.records import Principal
from nebula.domain.streams import ByteSource
from nebula.errors import IncompleteBody, InvalidInput, NotFound, SignInRequired, StalledBody, TooLarge

MAX_JSON_BYTES = 64 * 1024
READ_SIZE = 16 * 1024


def principal(req: falcon.Request) -> Principal:
    """Return who is asking; the authentication middleware has put it there."""
    found: Principal | None = getattr(req.context, "principal", None)
    if found is None:
        raise SignInRequired("Sign in first: nebula login.")
    return found


class Body:
    """A request's body. What breaks on its way is IncompleteBody or StalledBody, never an OSError of unknown origin."""

    def __init__(self, stream: ByteSource) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end, or where the client closed early."""
        try:
            return self._stream.read(size)
        except TimeoutError:
            raise StalledBody("The request's body stopped coming; send it again.") from None
        except (OSError, ParseException) as error:
            raise IncompleteBody("The connection broke before the body was complete.") from error


def body_stream(req: falcon.Request) -> tuple[ByteSource, int | None]:
    """Return the request's body and its announced length; None for a chunked one, whose stream ends by itself.

    Falcon's `bounded_stream` is empty for chunked bodies (it trusts Content-Length alone).
    """
    if req.content_length is None and req.env.get("wsgi.input_terminated"):
        return Body(req.stream), None
    return Body(req.bounded_stream), req.content_length or 0


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

        Raises InvalidInput or TooLarge with a code that says what to change.
        """
        found = self.read_some(req, **fields)
        missing = sorted(set(fields) - set(found))
        if missing:
            raise InvalidInput(f"The field {missing[0]!r} is missing.", code="missing_field", field=missing[0])
        return found

    def read_some(self, req: falcon.Request, **fields: type) -> dict[str, Any]:
        """Return those of `fields` that the body's object has, each checked; an unknown field is refused."""
        found = _parsed(self._bytes(req))
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

    def _bytes(self, req: falcon.Request) -> bytes:
        stream, length = body_stream(req)
        if length is not None and length > MAX_JSON_BYTES:
            raise _too_large()
        with self._gates.bodies.admit(small_body(req)):
            received = bytearray()
            while piece := stream.read(READ_SIZE):
                received += piece
                if len(received) > MAX_JSON_BYTES:
                    raise _too_large()
        return bytes(received)


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


def _too_large() -> TooLarge:
    return TooLarge(f"A JSON body may have {MAX_JSON_BYTES} bytes at most.", code="body_too_large")


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
