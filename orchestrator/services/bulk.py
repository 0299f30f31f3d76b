"""Different values for many rows in one round: what QuerySet.update cannot do and bulk_update does slowly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, models, router


def set_columns(model: type[models.Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """UPDATE by primary key; each row holds the values of `columns` and, last, the key. Use it inside a transaction."""
    if not rows:
        return
    connection = connections[router.db_for_write(model)]
    fields: list[Any] = [model._meta.get_field(name) for name in columns]
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(field.column)} = %s" for field in fields)
    table, key = quote(model._meta.db_table), quote(str(model._meta.pk.column))
    # Only names from the model's own declaration are put into the text; every value is a parameter.
    sql = f"UPDATE {table} SET {assignments} WHERE {key} = %s"  # noqa: S608
    prepared = [
        (
            *(
                field.get_db_prep_save(value, connection)
                for field, value in zip(fields, row[:-1], strict=True)
            ),
            row[-1],
        )
        # In the order of the key: two that write many of the same rows would wait for each other on PostgreSQL.
        for row in sorted(rows, key=lambda row: row[-1])
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, prepared)
