"""Database triggers for migrations: tables that only grow.

    operations = [append_only("foundation_auditevent")]

works on SQLite and PostgreSQL; on SQLite it needs `PRAGMA recursive_triggers = ON` (set for every
connection), without which INSERT OR REPLACE would delete rows silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connection, migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")


def per_vendor(
    *,
    sqlite: Sequence[str],
    postgresql: Sequence[str],
    undo_sqlite: Sequence[str],
    undo_postgresql: Sequence[str],
) -> migrations.RunPython:
    """A reversible operation that runs the statements of the database in use."""
    return migrations.RunPython(
        partial(_run, statements={"sqlite": sqlite, "postgresql": postgresql}),
        partial(_run, statements={"sqlite": undo_sqlite, "postgresql": undo_postgresql}),
    )


def append_only(table: str) -> migrations.RunPython:
    """Refuse UPDATE and DELETE of rows of `table`, and TRUNCATE on PostgreSQL."""
    if not _NAME.fullmatch(table):
        raise ValueError(f"A plain table name is needed, was {table!r}.")
    message = f"{table} is append-only"
    return per_vendor(
        sqlite=[
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{message}'); END"
            for verb in ("update", "delete")
        ],
        postgresql=[
            f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()",
        ],
        undo_sqlite=[f"DROP TRIGGER {table}_no_{verb}" for verb in ("update", "delete")],
        undo_postgresql=[
            f"DROP TRIGGER {table}_no_change ON {table}",
            f"DROP TRIGGER {table}_no_truncate ON {table}",
            f"DROP FUNCTION {table}_refuse()",
        ],
    )


def _run(
    _apps: Any, schema_editor: BaseDatabaseSchemaEditor, *, statements: dict[str, Sequence[str]]
) -> None:
    for statement in statements[schema_editor.connection.vendor]:
        # Without parameters the statement is sent as it is: "%" needs no escaping.
        schema_editor.execute(statement, params=None)


@contextmanager
def lifted(*tables: str) -> Iterator[None]:
    """Inside the block, and inside its transaction only, the triggers of these tables do not act; others never notice.

    For the one thing that may undo what guards protect: taking the demo away. Must run inside `transaction.atomic()`;
    when the block fails, the rollback brings the triggers back.
    """
    if not connection.in_atomic_block or not all(_NAME.fullmatch(table) for table in tables):
        raise ValueError("Triggers are lifted for plain table names inside a transaction.")
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            marks = ", ".join(["%s"] * len(tables))
            cursor.execute(
                f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({marks})",  # noqa: S608
                tables,
            )
            found = cursor.fetchall()
            for name, _sql in found:
                cursor.execute(f"DROP TRIGGER {name}")
            yield
            for _name, sql in found:
                cursor.execute(sql, None)  # without parameters it is sent as it is
            return
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with pending checks cannot be altered
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
