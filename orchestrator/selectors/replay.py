"""Reads of the replay driver and its report."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from statistics import median
from typing import Any

from django.db.models import Count

from orchestrator.models import Decision, Run, Workflow
from tradingsite.foundation import statements


def open_run_ids() -> list[int]:
    """Runs that wait for a worker or are with one, most urgent first."""
    found = statements.values(Run, ("pk",), "WHERE status IN (%s, %s, %s) ORDER BY priority, id", Run.OPEN)
    return [pk for (pk,) in found]


def next_due_at(after: datetime) -> datetime | None:
    """The next instant after `after` at which an active workflow is due."""
    tail = "WHERE status = %s AND next_run_at > %s ORDER BY next_run_at LIMIT 1"
    params = (Workflow.Status.ACTIVE, statements.time_param(after))
    found: list[tuple[datetime]] = statements.values(Workflow, ("next_run_at",), tail, params)
    return found[0][0] if found else None


def decision_count() -> int:
    return Decision.objects.count()


def run_counts() -> dict[str, dict[str, int]]:
    """Per workflow: how many runs ended how. The three words every report has, others when they happened."""
    counts: dict[str, dict[str, int]] = {
        slug: {"succeeded": 0, "failed": 0, "skipped": 0}
        for slug in Workflow.objects.filter(status=Workflow.Status.ACTIVE).values_list("slug", flat=True)
    }
    rows = Run.objects.order_by().values_list("workflow__slug", "status").annotate(n=Count("pk"))
    for slug, status, count in rows:
        counts.setdefault(slug, {})[status] = count
    return counts


def interval_summary() -> dict[str, dict[str, Any]]:
    """Per workflow: the shortest, median and longest time between starts, in seconds, and the bounds it may use."""
    slots: dict[int, list[datetime]] = defaultdict(list)
    started = Run.objects.exclude(started_at=None).order_by("slot_at")
    for workflow_id, slot_at in started.values_list("workflow_id", "slot_at"):
        slots[workflow_id].append(slot_at)
    summary = {}
    for workflow in Workflow.objects.filter(pk__in=slots):
        times = slots[workflow.pk]
        gaps = [(b - a).total_seconds() for a, b in zip(times, times[1:], strict=False)]
        if gaps:
            summary[workflow.slug] = {
                "runs": len(times),
                "min_s": min(gaps),
                "median_s": median(gaps),
                "max_s": max(gaps),
                "bounds_s": [workflow.min_interval_s, workflow.max_interval_s],
            }
    return summary


def fingerprint_rows() -> list[Any]:
    decisions = Decision.objects.order_by("pk").values_list(
        "workflow__slug", "decided_at", "action", "cause", "interval_after_s", "log_interval"
    )
    runs = Run.objects.order_by("pk").values_list("workflow__slug", "slot_at", "status", "cause", "changed")
    return [*decisions, *runs]
