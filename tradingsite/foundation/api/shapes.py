"""JSON Schema of what the API answers, read off the frozen dataclasses it answers with.

    @dataclass(frozen=True, kw_only=True, slots=True)
    class RunItem:
        id: int
        status: RunStatus                     # RunStatus = Annotated[str, OneOf(*Run.Status.values)]
        lag_s: Annotated[float | None, "seconds between due and start"]

The dataclass is the promise, the schema follows from it, mypy checks what fills it.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]
Reference = Callable[[type], Schema]


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Marks a text that is one of `values`: `Annotated[str, OneOf("buy", "sell")]`."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", tuple(str(value) for value in values))


_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Decimal: {"type": "string", "format": "decimal"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    timedelta: {"type": "number", "description": "seconds"},
    type(None): {"type": "null"},
}
_LISTS = (list, tuple, Sequence)


def object_schema(cls: type, reference: Reference) -> Schema:
    """The schema of a dataclass; `reference` gives the one of a dataclass inside it."""
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    schema: Schema = {
        "type": "object",
        "properties": {name: schema_of(hints[name], reference) for name in names},
        "required": names,
    }
    first = (cls.__doc__ or "").strip().split("\n\n", maxsplit=1)[0]
    return schema | ({"description": " ".join(first.split())} if first else {})


def schema_of(hint: Any, reference: Reference) -> Schema:
    """The schema of a type. Raises TypeError for one the API cannot answer with."""
    if hint is Any:
        return {}
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return reference(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _marked(schema_of(args[0], reference), args[1:])
    if origin in (Union, types.UnionType):
        return _either([schema_of(arg, reference) for arg in args])
    if origin in _LISTS:
        return {"type": "array", "items": schema_of(args[0], reference)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema_of(args[1], reference)}
    raise TypeError(f"No JSON Schema for {hint!r}.")


def _marked(schema: Schema, marks: tuple[Any, ...]) -> Schema:
    for mark in marks:
        if isinstance(mark, OneOf):
            schema = {**schema, "enum": list(mark.values)}
        elif isinstance(mark, str):
            schema = {**schema, "description": mark}
    return schema


def _either(options: list[Schema]) -> Schema:
    if {} in options:
        return {}
    plain = [option for option in options if set(option) == {"type"}]
    if len(plain) == len(options):
        return {"type": [option["type"] for option in options]}
    return {"anyOf": options}
