"""Decisions on their way into the database: stored when they say something new, folded into the last one otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.models import Decision, Workflow
from orchestrator.services.bulk import set_columns
from tradingsite.foundation import statements
from tradingsite.foundation.statements import Sql

_CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """Equal decisions seen since the row was last written."""

    decision_id: int
    count: int
    last_seen_at: datetime


def store(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert decisions (columns of the table, `workflow_id` included) and make each its workflow's current one.

    Sets the workflow's next run and its interval in force. Returns the ids in the order given.
    """
    made = [Decision(**row) for row in rows]
    ids = statements.insert_many(Decision, made)
    set_columns(
        Workflow,
        ("current_decision", "next_run_at", "interval_s"),
        [
            (pk, row.next_run_at, row.interval_after_s, row.workflow_id)
            for pk, row in zip(ids, made, strict=True)
        ],
    )
    return ids


def fold(folds: Iterable[Fold]) -> int:
    """Count the equal decisions in. Those with the same count share a statement: usually all of them do."""
    groups: dict[tuple[int, datetime], list[int]] = defaultdict(list)
    for item in folds:
        groups[item.count, item.last_seen_at].append(item.decision_id)
    written = 0
    for (count, seen_at), ids in groups.items():
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            written += statements.update(
                Decision, {"fold_count": Sql("fold_count + %s", (count,)), "last_seen_at": seen_at}, {},
                also=Sql(f"id IN ({', '.join(['%s'] * len(part))})", tuple(part)),
            )  # fmt: skip
    return written


def current_of(workflow_ids: Iterable[int]) -> dict[int, tuple[int, str]]:
    """workflow id -> (decision id, fold key) of the decision in force: what a new leader continues from."""
    rows = Workflow.objects.filter(pk__in=list(workflow_ids)).exclude(current_decision=None)
    return {
        pk: (decision_id, key)
        for pk, decision_id, key in rows.values_list(
            "pk", "current_decision_id", "current_decision__fold_key"
        )
        if decision_id is not None
    }
