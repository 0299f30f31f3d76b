"""What the orchestrator forgets: old runs with their steps and events, decisions, findings, results of the queue.

Kept however old: what is not over, the newest run of each workflow, runs that made an intent, and the decisions these
and the workflows refer to.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django_q.models import Task

from orchestrator import states
from orchestrator.models import Decision, HealthEvent, Run, RunEvent, RunStep, Workflow
from tradingsite.foundation import retention
from tradingsite.foundation.retention import Guard

_ROWS_PER_RUN = 8  # itself, four events, three steps


def forget_old(now: datetime, guard: Guard) -> dict[str, int]:
    """Delete what is older than the settings say. Runs first: their decisions are free then."""
    before = retention.horizon(now)
    findings = HealthEvent.objects.filter(closed_at__lt=before)
    results = Task.objects.filter(stopped__lt=now - timedelta(days=settings.RETENTION_QUEUE_DAYS))
    return {
        "runs": _runs(before, guard),
        "decisions": _decisions(before, guard),
        "findings": retention.delete(findings, guard=guard),
        "queue_results": retention.delete(results, guard=guard),
    }


def _runs(before: datetime, guard: Guard) -> int:
    newest = Run.objects.filter(workflow=OuterRef("pk")).order_by("-slot_at", "-pk").values("pk")[:1]
    kept = Workflow.objects.annotate(newest=Subquery(newest)).values_list("newest", flat=True)
    old = Run.objects.filter(status__in=states.RUN.terminal, finished_at__lt=before)
    old = old.exclude(pk__in=[pk for pk in kept if pk is not None])
    free = retention.unreferenced(old, apart_from=(RunEvent, RunStep))
    return retention.delete(free, guard=guard, by=_remove_runs, rows_each=_ROWS_PER_RUN)


def _remove_runs(keys: Sequence[int]) -> None:
    RunEvent.objects.filter(row_id__in=keys).delete()
    RunStep.objects.filter(run_id__in=keys).delete()
    Run.objects.filter(pk__in=keys).delete()


def _decisions(before: datetime, guard: Guard) -> int:
    """`last_seen_at` counts: one that is repeated every minute is in force, however long ago it was made."""
    old = Decision.objects.filter(last_seen_at__lt=before)
    return retention.delete(retention.unreferenced(old), guard=guard)


def register() -> None:
    """Called while apps load."""
    retention.register("orchestrator", forget_old)
