"""Many rows in one round, always in the order of the key: two that lock the same rows must not wait for each other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from orchestrator.models import Workflow
from orchestrator.services.bulk import set_columns


@pytest.mark.django_db
def test_rows_are_locked_in_the_order_of_their_key(at: datetime) -> None:
    pks = [
        Workflow.objects.create(
            slug=slug, type_key="toy", name=slug, min_interval_s=1, base_interval_s=1, max_interval_s=1,
            created_at=at, updated_at=at,
        ).pk
        for slug in ("c", "a", "b")
    ]  # fmt: skip
    seen: list[Any] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.extend(row[-1] for row in params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        set_columns(Workflow, ("run_value",), [(float(pk), pk) for pk in (pks[2], pks[0], pks[1])])
    assert seen == pks
    assert all(value == pk for pk, value in Workflow.objects.values_list("pk", "run_value"))
