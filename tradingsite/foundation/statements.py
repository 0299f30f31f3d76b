"""Statements whose text is built once, for the few places that run many times a second (loop, claim, steps, valuation).

Building and compiling a queryset costs 0.3 to 0.5 ms of CPU, running the statement a tenth of that. Here the text is made
once per model and columns, from the model's own declaration. Values go through the fields' own preparation and
conversion, so JSON, times and exact decimals are what the ORM writes and reads, on SQLite and PostgreSQL alike. No
signals are sent and no defaults filled in beyond the model's. Everywhere else use the ORM.

Conditions are SQL text with %s marks: constants written in the code only, every value is a parameter.
"""

# ruff: noqa: S608 - only names from the models' own declarations are put into the text

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

M = TypeVar("M", bound=models.Model)
N = TypeVar("N", bound=models.Model)
Row = tuple[Any, ...]
_Convert = Callable[[Any], Any]

_MARKS = 900  # parameters per statement that every SQLite takes


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL in place of a value or as a further condition."""

    text: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of one model as a SELECT needs them. `convert` has None where the driver's value is right already."""

    names: tuple[str, ...]  # attribute names
    text: str
    convert: tuple[_Convert | None, ...]
    width: int


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def _keeps_utc(connection: BaseDatabaseWrapper) -> bool:
    """Whether times lie in the database as UTC without a zone: then nothing needs to be worked out."""
    return connection.vendor == "sqlite" and connection.timezone is UTC


def _converter(field: Any, connection: BaseDatabaseWrapper) -> _Convert | None:
    if isinstance(field, models.DateTimeField) and _keeps_utc(connection):
        return as_time
    column = field.cached_col
    steps = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    if not steps:
        return None
    if len(steps) == 1:
        (only,) = steps
        return lambda value: only(value, column, connection)

    def convert(value: Any) -> Any:
        for step in steps:
            value = step(value, column, connection)
        return value

    return convert


# Keyed by vendor, not by connection: converters depend on nothing else, and connections come and go with threads.
_columns_kept: dict[tuple[str, type[models.Model], tuple[str, ...], str], _Columns] = {}


def _columns(
    connection: BaseDatabaseWrapper, model: type[models.Model], names: tuple[str, ...], alias: str = ""
) -> _Columns:
    key = (connection.vendor, model, names, alias)
    kept = _columns_kept.get(key)
    if kept is None:
        fields = [_field(model, name) for name in names] or list(model._meta.concrete_fields)
        table = f"{alias}." if alias else ""
        quote = connection.ops.quote_name
        kept = _columns_kept[key] = _Columns(
            names=tuple(field.attname for field in fields),
            text=", ".join(f"{table}{quote(field.column)}" for field in fields),
            convert=tuple(_converter(field, connection) for field in fields),
            width=len(fields),
        )
    return kept


def _converted(values: Sequence[Any], columns: _Columns) -> list[Any]:
    return [
        value if convert is None else convert(value)
        for value, convert in zip(values, columns.convert, strict=True)
    ]


def rows(sql: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS) -> list[Row]:
    """Run a SELECT (or anything with RETURNING); values as the driver gives them."""
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        found: list[Row] = cursor.fetchall()
    return found


def values(
    model: type[models.Model],
    names: tuple[str, ...],
    tail: str,
    params: Sequence[Any] = (),
    *,
    using: str = DEFAULT_DB_ALIAS,
) -> list[Row]:
    """Columns of one table. `tail` is what follows the table's name: WHERE, ORDER BY, LIMIT. Times are parameters
    through `time_param`."""
    columns = _columns(connections[using], model, names)
    sql = f"SELECT {columns.text} FROM {model._meta.db_table} {tail}"
    return [tuple(_converted(row, columns)) for row in rows(sql, params, using=using)]


def instances(
    model: type[M], tail: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS
) -> list[M]:
    """Whole rows of one table."""
    columns = _columns(connections[using], model, ())
    sql = f"SELECT {columns.text} FROM {model._meta.db_table} {tail}"
    return [
        model.from_db(using, columns.names, _converted(row, columns))
        for row in rows(sql, params, using=using)
    ]


def pairs(
    model: type[M], other: type[N], tail: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[M, N]]:
    """Whole rows of two joined tables. `tail` begins with FROM and calls them a and b."""
    connection = connections[using]
    first, second = _columns(connection, model, (), "a"), _columns(connection, other, (), "b")
    return [
        (
            model.from_db(using, first.names, _converted(row[: first.width], first)),
            other.from_db(using, second.names, _converted(row[first.width :], second)),
        )
        for row in rows(f"SELECT {first.text}, {second.text} {tail}", params, using=using)
    ]


def time_param(at: Any, *, using: str = DEFAULT_DB_ALIAS) -> Any:
    """A time as a parameter of `values`, `instances`, `pairs` and `Sql`."""
    return _adapted(at, connections[using])


def _adapted(at: Any, connection: BaseDatabaseWrapper) -> Any:
    if type(at) is datetime and at.tzinfo is UTC and _keeps_utc(connection):
        return str(at.replace(tzinfo=None))
    return connection.ops.adapt_datetimefield_value(at)


def as_time(value: Any) -> datetime | None:
    """A time that `rows` gave: SQLite's has no zone, and is text when it comes out of an expression."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None:
        return None
    at: datetime = value
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def insert(row: models.Model, *, using: str = DEFAULT_DB_ALIAS) -> None:
    """Insert one row and set its key. Its key must be one the database gives."""
    (row.pk,) = insert_many(type(row), [row], using=using)
    row._state.adding, row._state.db = False, using


def insert_many(
    model: type[M], made: Iterable[M], *, skip_taken: bool = False, using: str = DEFAULT_DB_ALIAS
) -> list[int]:
    """Insert rows, return their keys in the order given. `skip_taken`: rows that violate a unique constraint are left
    out, and so are their keys. Call it inside a transaction when there may be many."""
    connection = connections[using]
    targets = [(name, _target(model, name)) for name in _written(model)]
    prepared = [
        [_prepared(target, row.__dict__[name], connection) for name, target in targets] for row in made
    ]
    step = max(1, _MARKS // len(targets))
    keys: list[int] = []
    for start in range(0, len(prepared), step):
        part = prepared[start : start + step]
        sql = _insert_text(connection.vendor, model, len(part), skip_taken)
        keys += [row[0] for row in rows(sql, [value for row in part for value in row], using=using)]
    return keys


# What fields of these kinds write unchanged when the value is of exactly this type.
_AS_IS = {
    "CharField": str, "SlugField": str, "TextField": str, "BooleanField": bool, "FloatField": float,
    "ForeignKey": int, "BigAutoField": int, "IntegerField": int, "PositiveIntegerField": int,
    "PositiveSmallIntegerField": int, "PositiveBigIntegerField": int,
}  # fmt: skip


@cache
def _target(model: type[models.Model], name: str) -> tuple[Any, type | None]:
    """A field, and the type of which it writes values as they are."""
    field = _field(model, name)
    return field, _AS_IS.get(field.get_internal_type())


def _prepared(target: tuple[Any, type | None], value: Any, connection: BaseDatabaseWrapper) -> Any:
    """What the field's `get_db_prep_save` makes of the value, without the detour where that changes nothing."""
    field, as_is = target
    if value is None or type(value) is as_is:
        return value
    if type(value) is datetime and value.tzinfo is not None:
        return _adapted(value, connection)
    return field.get_db_prep_save(value, connection)


@lru_cache(maxsize=256)
def _written(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields if not field.primary_key)


@lru_cache(maxsize=1024)
def _insert_text(vendor: str, model: type[models.Model], count: int, skip_taken: bool) -> str:
    names = ", ".join(f'"{_field(model, name).column}"' for name in _written(model))
    marks = "(" + ", ".join(["%s"] * len(_written(model))) + ")"
    taken = " ON CONFLICT DO NOTHING" if skip_taken else ""
    return (
        f"INSERT INTO {model._meta.db_table} ({names}) VALUES {', '.join([marks] * count)}{taken} "
        f'RETURNING "{model._meta.pk.column}"'
    )


def is_plain(values: Mapping[str, Any]) -> bool:
    """Whether `update` can write these: values, no expressions of the ORM."""
    return not any(hasattr(value, "resolve_expression") for value in values.values())


def update(
    model: type[models.Model],
    values: Mapping[str, Any],
    match: Mapping[str, Any],
    *,
    also: Sql | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> int:
    """UPDATE the rows whose columns equal `match` (no None there) and for which `also` holds. Returns how many.

    A value may be `Sql`; otherwise it is what the field takes.
    """
    sql, params = _update(model, values, match, also, connections[using])
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def update_returning(
    model: type[models.Model],
    values: Mapping[str, Any],
    match: Mapping[str, Any],
    returning: str,
    *,
    using: str = DEFAULT_DB_ALIAS,
) -> list[Row]:
    """`update` that answers with columns of the rows it changed, as the driver gives them."""
    sql, params = _update(model, values, match, None, connections[using])
    return rows(f"{sql} RETURNING {returning}", params, using=using)


def _update(
    model: type[models.Model],
    values: Mapping[str, Any],
    match: Mapping[str, Any],
    also: Sql | None,
    connection: BaseDatabaseWrapper,
) -> tuple[str, list[Any]]:
    settings = tuple((name, value.text if isinstance(value, Sql) else "%s") for name, value in values.items())
    sql = _update_text(connection.vendor, model, settings, tuple(match), "" if also is None else also.text)
    params: list[Any] = []
    for name, value in values.items():
        if isinstance(value, Sql):
            params += value.params
        else:
            params.append(_prepared(_target(model, name), value, connection))
    params += [_prepared(_target(model, name), value, connection) for name, value in match.items()]
    if also is not None:
        params += also.params
    return sql, params


@lru_cache(maxsize=512)
def _update_text(
    vendor: str,
    model: type[models.Model],
    settings: tuple[tuple[str, str], ...],
    match: tuple[str, ...],
    also: str,
) -> str:
    assignments = ", ".join(f'"{_field(model, name).column}" = {text}' for name, text in settings)
    conditions = [f'"{_field(model, name).column}" = %s' for name in match]
    if also:
        conditions.append(also)
    return f"UPDATE {model._meta.db_table} SET {assignments} WHERE {' AND '.join(conditions)}"
