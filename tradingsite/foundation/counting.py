"""Many counts in one query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import QuerySet


def counts(rows: Iterable[tuple[str, QuerySet[Any]]]) -> dict[str, int]:
    """How many rows each of the named queries has."""
    names: list[str] = []
    parts: list[str] = []
    values: list[Any] = []
    for name, found in rows:
        sql, params = found.order_by().values("pk").query.sql_with_params()
        names.append(name)
        parts.append(f"(SELECT COUNT(*) FROM ({sql}) AS counted)")  # noqa: S608 - the ORM made it
        values += params
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(parts), values)
        return dict(zip(names, cursor.fetchone(), strict=True))
