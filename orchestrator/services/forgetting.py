"""Forgetting a past: decisions, runs and what was learned from them. The configuration stays."""

from __future__ import annotations

from orchestrator.models import Decision, Run, RunEvent, RunStep, Workflow
from tradingsite.foundation import counting


def open_runs() -> int:
    return Run.objects.filter(status__in=Run.OPEN).count()


def count() -> dict[str, int]:
    return counting.counts([("decisions", Decision.objects.all()), ("runs", Run.objects.all())])


def forget_past() -> dict[str, int]:
    """Delete every decision and run, inside the caller's transaction; workflows begin as if never evaluated."""
    Workflow.objects.update(
        current_decision=None, next_run_at=None, last_run_at=None, last_finished_at=None, last_result="",
        interval_s=None, manual_requested_at=None, manual_requested_by="", consecutive_failures=0,
        quarantined_until=None, quarantine_count=0, consecutive_abandoned=0, run_value=1.0, run_value_samples=0,
        mean_duration_s=None,
    )  # fmt: skip
    counts = {}
    for name, model in (
        ("run_steps", RunStep),
        ("run_events", RunEvent),
        ("runs", Run),
        ("decisions", Decision),
    ):
        rows = model._default_manager.order_by()
        counts[name] = rows._raw_delete(rows.db)
    return counts
