"""What runs bring and cost, per workflow, and what the engine counted. Windows end now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import numpy as np
from django.db.models import Avg, Count, Q, Sum

from orchestrator.models import Decision, Run, Workflow
from orchestrator.selectors.workflows import BAD

SAMPLE: Final = 20_000  # newest finished runs that percentiles are computed from
DEFAULT_WINDOW: Final = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How a quantity is distributed, in seconds. All null without samples."""

    n: int
    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What the finished runs used: CPU seconds and weight of venue requests."""

    cpu_s: float
    cpu_s_mean: float | None
    api_weight: int
    api_weight_mean: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowMetrics:
    """How one workflow did in the window."""

    workflow_id: int
    workflow: Annotated[str, "slug"]
    name: str
    asset_type: str
    status: str
    interval_s: float | None
    runs: Annotated[dict[str, int], "finished runs by status"]
    success_ratio: Annotated[float | None, "succeeded / (succeeded + failed + timed out + abandoned)"]
    changed_ratio: Annotated[float | None, "share of succeeded runs that changed something"]
    duration_s: Spread
    lag_s: Annotated[Spread, "from due to start"]
    cost: Cost
    run_value: float
    run_value_samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineCounters:
    """What the engine counted in the window. `checks` includes equal decisions that were folded."""

    decisions: int
    checks: int
    by_action: dict[str, int]
    runs_by_status: dict[str, int]
    runs_by_cause: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class OrchestratorMetrics:
    """Performance of the runs that ended in the last `window_s` seconds."""

    window_s: int
    sample_limit: Annotated[int, "percentiles use at most this many of the newest runs"]
    engine: EngineCounters
    workflows: list[WorkflowMetrics]


def metrics(
    now: datetime, *, window: timedelta = DEFAULT_WINDOW, asset_type: str = "", workflow: str = ""
) -> OrchestratorMetrics:
    """Seven queries whatever the number of workflows."""
    found = Workflow.objects.exclude(status=Workflow.Status.ARCHIVED).order_by("slug")
    if asset_type:
        found = found.filter(asset_type=asset_type)
    if workflow:
        found = found.filter(slug=workflow)
    listed = list(found)
    pks = [row.pk for row in listed]
    since = now - window
    counts, costs, samples = _counts(pks, since), _costs(pks, since), _samples(pks, since)
    return OrchestratorMetrics(
        window_s=int(window.total_seconds()),
        sample_limit=SAMPLE,
        engine=_engine(pks, since),
        workflows=[_metrics(row, counts[row.pk], costs.get(row.pk, {}), samples[row.pk]) for row in listed],
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean and percentiles of `values`."""
    if not values:
        return Spread(n=0, mean=None, p50=None, p90=None, p99=None)
    p50, p90, p99 = (round(float(value), 6) for value in np.percentile(values, (50, 90, 99)))
    return Spread(n=len(values), mean=round(float(np.mean(values)), 6), p50=p50, p90=p90, p99=p99)


def _finished(pks: Sequence[int], since: datetime) -> Any:
    return Run.objects.filter(workflow_id__in=pks, finished_at__gte=since).order_by()


def _counts(pks: Sequence[int], since: datetime) -> dict[int, dict[str, int]]:
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    for pk, status, count in (
        _finished(pks, since).values_list("workflow_id", "status").annotate(n=Count("pk"))
    ):
        counts[pk][status] = count
    return counts


def _costs(pks: Sequence[int], since: datetime) -> dict[int, dict[str, Any]]:
    started = _finished(pks, since).exclude(started_at=None)
    good = Q(status=Run.Status.SUCCEEDED)
    rows = started.values("workflow_id").annotate(
        seconds=Sum("cpu_s"),
        seconds_mean=Avg("cpu_s"),
        weight=Sum("api_weight"),
        weight_mean=Avg("api_weight"),
        known=Count("pk", filter=good & Q(changed__isnull=False)),
        moved=Count("pk", filter=good & Q(changed=True)),
    )
    return {row["workflow_id"]: row for row in rows}


def _samples(pks: Sequence[int], since: datetime) -> dict[int, tuple[list[float], list[float]]]:
    samples: dict[int, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    started = _finished(pks, since).exclude(started_at=None).order_by("-finished_at")
    for pk, slot_at, started_at, finished_at in started.values_list(
        "workflow_id", "slot_at", "started_at", "finished_at"
    )[:SAMPLE]:
        durations, lags = samples[pk]
        durations.append((finished_at - started_at).total_seconds())
        lags.append((started_at - slot_at).total_seconds())
    return samples


def _metrics(
    row: Workflow, counts: Mapping[str, int], cost: Mapping[str, Any], sample: tuple[list[float], list[float]]
) -> WorkflowMetrics:
    good = counts.get(Run.Status.SUCCEEDED, 0)
    ended = good + sum(counts.get(status, 0) for status in BAD)
    known = cost.get("known") or 0
    return WorkflowMetrics(
        workflow_id=row.pk, workflow=row.slug, name=row.name, asset_type=row.asset_type, status=row.status,
        interval_s=row.interval_s, runs=dict(sorted(counts.items())),
        success_ratio=good / ended if ended else None,
        changed_ratio=cost["moved"] / known if known else None,
        duration_s=spread(sample[0]), lag_s=spread(sample[1]), cost=_cost(cost),
        run_value=row.run_value, run_value_samples=row.run_value_samples,
    )  # fmt: skip


def _cost(found: Mapping[str, Any]) -> Cost:
    return Cost(
        cpu_s=round(found.get("seconds") or 0.0, 6),
        cpu_s_mean=found.get("seconds_mean"),
        api_weight=found.get("weight") or 0,
        api_weight_mean=float(found["weight_mean"]) if found.get("weight_mean") is not None else None,
    )


def _engine(pks: Sequence[int], since: datetime) -> EngineCounters:
    decided = Decision.objects.filter(workflow_id__in=pks, last_seen_at__gte=since).order_by()
    by_action = decided.values_list("action").annotate(n=Count("pk"), checks=Sum("fold_count"))
    planned = Run.objects.filter(workflow_id__in=pks, planned_at__gte=since).order_by()
    actions = {action: (count, checks) for action, count, checks in by_action}
    return EngineCounters(
        decisions=sum(count for count, _checks in actions.values()),
        checks=sum(checks for _count, checks in actions.values()),
        by_action={action: actions.get(action, (0, 0))[0] for action in Decision.Action.values},
        runs_by_status=_tally(planned, "status"),
        runs_by_cause=_tally(planned, "cause"),
    )


def _tally(rows: Any, field: str) -> dict[str, int]:
    return dict(sorted(rows.values_list(field).annotate(n=Count("pk"))))
