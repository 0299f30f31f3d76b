"""Different values for many rows in one round: what QuerySet.update cannot do and bulk_update does slowly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper

_PER_STATEMENT = 500  # rows: far below the 65535 parameters PostgreSQL takes


def set_columns(model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """UPDATE by primary key; each row holds the values of `columns` and, last, the key. Use it inside a transaction."""
    if not rows:
        return
    connection = connections[router.db_for_write(model)]
    fields: list[Any] = [*(model._meta.get_field(name) for name in columns), model._meta.pk]
    prepared = [
        [field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True)]
        # In the order of the key: two that write many of the same rows would wait for each other on PostgreSQL.
        for row in sorted(rows, key=lambda row: row[-1])
    ]
    # Only names from the model's own declaration are put into the text; every value is a parameter.
    if connection.vendor == "postgresql":
        _in_one_statement(connection, model._meta.db_table, fields, prepared)
        return
    names = [connection.ops.quote_name(field.column) for field in fields]
    assignments = ", ".join(f"{name} = %s" for name in names[:-1])
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {assignments} WHERE {names[-1]} = %s", prepared)  # noqa: S608


def _in_one_statement(
    connection: BaseDatabaseWrapper, table: str, fields: Sequence[Any], rows: Sequence[Sequence[Any]]
) -> None:
    """On PostgreSQL `executemany` is a pipeline. A process stopped in the middle of one keeps its locks for ever: to the
    server it is neither idle in a transaction nor running a statement, so no timeout ends it.
    """
    quote = connection.ops.quote_name
    names = [quote(field.column) for field in fields]
    key = names[-1]
    assignments = ", ".join(f"{name} = new.{name}" for name in names[:-1])
    marks = "(" + ", ".join(f"%s::{field.db_type(connection)}" for field in fields) + ")"
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _PER_STATEMENT):
            part = rows[start : start + _PER_STATEMENT]
            keys = [row[-1] for row in part]
            cursor.execute(
                f"SELECT 1 FROM {quote(table)} WHERE {key} = ANY(%s) ORDER BY {key} FOR UPDATE",  # noqa: S608
                [keys],
            )
            cursor.execute(
                f"UPDATE {quote(table)} AS old SET {assignments} FROM (VALUES {', '.join([marks] * len(part))}) "  # noqa: S608
                f"AS new ({', '.join(names)}) WHERE old.{key} = new.{key}",
                [value for row in part for value in row],
            )
