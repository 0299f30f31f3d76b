"""How workflows performed over a span: success, duration, lag from slot to start, cost. A read, one query."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.models import Run

_ENDED_BADLY = (Run.Status.FAILED, Run.Status.TIMED_OUT, Run.Status.ABANDONED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """Figures of one workflow. None: not enough runs to say. Durations, lags and CPU in seconds."""

    workflow_id: int
    runs: int  # that started and ended
    succeeded: int
    failed: int  # failed, timed out or abandoned
    skipped: int
    changed: int  # runs that changed a target, stop, forecast or position
    success_ratio: float | None
    duration_p50_s: float | None
    duration_p95_s: float | None
    lag_p50_s: float | None  # slot -> start
    lag_p95_s: float | None
    cpu_s: float
    api_weight: int
    runs_per_day: float


@dataclass(slots=True)
class _Figures:
    statuses: Counter[str] = field(default_factory=Counter)
    durations: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    api_weight: int = 0
    changed: int = 0


def performance(workflow_ids: Iterable[int], since: datetime, now: datetime) -> dict[int, Performance]:
    """Figures over the runs due in (since, now], one entry per id asked."""
    ids = list(workflow_ids)
    figures: dict[int, _Figures] = defaultdict(_Figures)
    rows = (
        Run.objects.filter(workflow_id__in=ids, slot_at__gt=since, slot_at__lte=now)
        .order_by()
        .values_list(
            "workflow_id", "status", "slot_at", "started_at", "finished_at", "cpu_s", "api_weight", "changed"
        )
    )
    for workflow_id, status, slot_at, started_at, finished_at, cpu_s, api_weight, changed in rows.iterator():
        mine = figures[workflow_id]
        mine.statuses[status] += 1
        mine.cpu_s += cpu_s or 0.0
        mine.api_weight += api_weight
        mine.changed += bool(changed)
        if started_at is not None:
            mine.lags.append(max(0.0, (started_at - slot_at).total_seconds()))
            if finished_at is not None:
                mine.durations.append(max(0.0, (finished_at - started_at).total_seconds()))
    days = max((now - since).total_seconds() / 86_400.0, 1e-9)
    return {pk: _performance(pk, figures[pk], days) for pk in ids}


def _performance(pk: int, mine: _Figures, days: float) -> Performance:
    succeeded = mine.statuses[Run.Status.SUCCEEDED]
    failed = sum(mine.statuses[status] for status in _ENDED_BADLY)
    ended = succeeded + failed
    return Performance(
        workflow_id=pk, runs=ended, succeeded=succeeded, failed=failed, skipped=mine.statuses[Run.Status.SKIPPED],
        changed=mine.changed, success_ratio=succeeded / ended if ended else None,
        duration_p50_s=percentile(mine.durations, 0.50), duration_p95_s=percentile(mine.durations, 0.95),
        lag_p50_s=percentile(mine.lags, 0.50), lag_p95_s=percentile(mine.lags, 0.95),
        cpu_s=mine.cpu_s, api_weight=mine.api_weight, runs_per_day=ended / days,
    )  # fmt: skip


def percentile(values: Sequence[float], ratio: float) -> float | None:
    """Nearest rank: a value that occurred, None when there is none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(ratio * len(values)) - 1)]
