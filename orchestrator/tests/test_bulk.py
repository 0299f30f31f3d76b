"""Many rows in one round, always in the order of the key: two that lock the same rows must not wait for each other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import connection, transaction

from orchestrator.models import Workflow
from orchestrator.services import bulk
from orchestrator.services.bulk import set_columns


def some_workflows(at: datetime, *slugs: str) -> list[int]:
    return [
        Workflow.objects.create(
            slug=slug, type_key="toy", name=slug, min_interval_s=1, base_interval_s=1, max_interval_s=1,
            created_at=at, updated_at=at,
        ).pk
        for slug in slugs
    ]  # fmt: skip


@pytest.mark.django_db
def test_rows_are_locked_in_the_order_of_their_key(at: datetime) -> None:
    pks = some_workflows(at, "c", "a", "b")
    seen: list[Any] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        # A pipeline of PostgreSQL's (many) must not be stopped half way, as any process may be.
        assert many == (connection.vendor == "sqlite")
        if many:
            seen.extend(row[-1] for row in params)
        elif "ORDER BY" in sql and sql.endswith("FOR UPDATE"):
            seen.extend(params[0])
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(watch):
        set_columns(Workflow, ("run_value",), [(float(pk), pk) for pk in (pks[2], pks[0], pks[1])])
    assert seen == pks
    assert all(value == pk for pk, value in Workflow.objects.values_list("pk", "run_value"))


@pytest.mark.django_db
def test_each_kind_of_column_is_written_also_as_null_and_others_stay(at: datetime) -> None:
    first, second, third = some_workflows(at, "a", "b", "c")
    columns = ("next_run_at", "interval_s", "params", "current_decision", "name", "entries_paused")
    set_columns(Workflow, columns, [
        (at, 1.5, {"a": ["'%s"]}, None, "100 %", True, second),
        (None, None, {}, None, "", False, first),
    ])  # fmt: skip
    rows = dict(Workflow.objects.in_bulk())
    assert [getattr(rows[second], name) for name in columns] == [at, 1.5, {"a": ["'%s"]}, None, "100 %", True]
    assert [getattr(rows[first], name) for name in columns] == [None, None, {}, None, "", False]
    assert rows[third].name == "c"


@pytest.mark.django_db
def test_more_rows_than_fit_one_statement_are_all_written(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_PER_STATEMENT", 2)
    pks = some_workflows(at, *"abcde")
    set_columns(Workflow, ("run_value",), [(pk + 0.5, pk) for pk in pks])
    assert all(value == pk + 0.5 for pk, value in Workflow.objects.values_list("pk", "run_value"))
