"""Describe the API's objects: one table of fields gives both the JSON and the JSON Schema of an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Schema = dict[str, Any]
Getter = Callable[[Any], Any]


def time_json(moment: datetime) -> str:
    """Return an RFC 3339 time in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Type:
    """A JSON Schema, and the function that turns a Python value into JSON of that schema."""

    schema: Schema
    write: Getter = _unchanged


@dataclass(frozen=True)
class Field:
    """One field of an object. `value` gets it from the record; None if the caller of `json` passes it by name."""

    type: Type
    value: Getter | None


TEXT = Type({"type": "string"})
INTEGER = Type({"type": "integer"})
NUMBER = Type({"type": "number"})
BOOLEAN = Type({"type": "boolean"})
ID = Type({"type": "string", "format": "uuid"})
TIME = Type({"type": "string", "format": "date-time"}, time_json)
SIZE = Type({"type": "integer", "minimum": 0})
SHA256 = Type({"type": "string", "pattern": "^[0-9a-f]{64}$"})
FRACTION = Type({"type": "number", "minimum": 0, "maximum": 1}, lambda value: round(value, 4))
TENTHS = Type({"type": "number"}, lambda value: round(value, 1))


def maybe(kind: Type) -> Type:
    """Return a type that also takes null."""
    return Type({"anyOf": [kind.schema, {"type": "null"}]}, lambda value: None if value is None else kind.write(value))


def array(kind: Type) -> Type:
    """Return a list of a type."""
    return Type({"type": "array", "items": kind.schema}, lambda values: [kind.write(value) for value in values])


def mapping(kind: Type) -> Type:
    """Return an object with any keys, whose values have one type."""
    return Type(
        {"type": "object", "additionalProperties": kind.schema},
        lambda values: {str(key): kind.write(value) for key, value in values.items()},
    )


def enum(members: Iterable[str]) -> Type:
    """Return a string type that allows only these words, for example the members of an enum."""
    return Type({"type": "string", "enum": [str(member) for member in members]})


def at(kind: Type, path: str) -> Field:
    """Return a field whose value is at `path`, a dotted path of attributes of the record."""
    return Field(kind, attrgetter(path))


def computed(kind: Type, value: Getter) -> Field:
    """Return a field whose value is computed from the record."""
    return Field(kind, value)


def given(kind: Type) -> Field:
    """Return a field whose value the caller of `json` passes by name."""
    return Field(kind, None)


class Shape(Generic[T]):
    """An object of the API, made from records of type T. A plain Type takes the record's attribute of the same name."""

    def __init__(self, name: str, /, **fields: Type | Field) -> None:
        self.name = name
        self.fields = {key: at(field, key) if isinstance(field, Type) else field for key, field in fields.items()}
        self._from_record = [
            (key, field.value, field.type.write) for key, field in self.fields.items() if field.value is not None
        ]
        self.reference = Type({"$ref": f"#/components/schemas/{name}"}, self.json)

    def json(self, record: T, /, **values: Any) -> dict[str, Any]:
        """Return the JSON object for one record; `values` are the values of its `given` fields."""
        from_record = {key: write(value(record)) for key, value, write in self._from_record}
        if not values:
            return from_record
        given_values = {key: self.fields[key].type.write(value) for key, value in values.items()}
        return {key: given_values[key] if key in given_values else from_record[key] for key in self.fields}

    def schema(self) -> Schema:
        """Return the object's JSON Schema."""
        return closed(**{key: field.type for key, field in self.fields.items()})


def closed(**properties: Type) -> Schema:
    """Return the schema of an object with exactly these properties."""
    return some(**properties) | {"required": list(properties)}


def some(**properties: Type) -> Schema:
    """Return the schema of an object with any of these properties and no others."""
    return {
        "type": "object",
        "properties": {name: kind.schema for name, kind in properties.items()},
        "required": [],
        "additionalProperties": False,
    }


def components(shapes: Iterable[Shape[Any]]) -> dict[str, Schema]:
    """Return the schema of each shape, by the name of the shape."""
    return {shape.name: shape.schema() for shape in shapes}
