"""The learned value of a run, per workflow, from its finished runs: engine.learning does the sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db import transaction

from orchestrator.engine import learning
from orchestrator.engine.learning import Estimate, Observation, Prior
from orchestrator.models import Run, Workflow
from orchestrator.services.bulk import set_columns
from tradingsite.foundation import audit

WINDOW = timedelta(days=28)
_MIN_SAMPLES = 5  # fewer say nothing: the prior stays


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningReport:
    """How many workflows were looked at, whose value moved, and by how much (before -> after, by slug)."""

    seen: int
    moved: Mapping[str, tuple[float, float]]


def update_run_values(now: datetime) -> LearningReport:
    """Move each workflow's `run_value` one bounded step towards what its runs of the last four weeks say."""
    workflows = list(
        Workflow.objects.filter(status__in=(Workflow.Status.ACTIVE, Workflow.Status.PAUSED)).values_list(
            "pk", "slug", "asset_type", "base_interval_s", "run_value", "run_value_samples"
        )
    )
    observed = _observations(now)
    costs = _typical_costs(observed, {pk: asset for pk, _slug, asset, *_rest in workflows})
    first = {
        pk: _estimate(observed.get(pk, ()), base_s, None, costs.get(asset))
        for pk, _slug, asset, base_s, *_rest in workflows
    }
    priors = _priors(first, {pk: asset for pk, _slug, asset, *_rest in workflows})
    moved: dict[str, tuple[float, float]] = {}
    rows = []
    for pk, slug, asset, base_s, value, samples in workflows:
        target = _estimate(observed.get(pk, ()), base_s, priors.get(asset), costs.get(asset))
        if target.samples < _MIN_SAMPLES:
            continue
        update = learning.step(value, target)
        if update.after != value or target.samples != samples:
            rows.append((update.after, target.samples, pk))
        if update.after != value:
            moved[slug] = (update.before, update.after)
    _write(rows, moved)
    return LearningReport(seen=len(workflows), moved=moved)


def _write(rows: Sequence[tuple[float, int, int]], moved: Mapping[str, tuple[float, float]]) -> None:
    with transaction.atomic():
        set_columns(Workflow, ("run_value", "run_value_samples"), rows)
        if moved:
            audit.record(
                action="learning.update", actor=audit.system("learning"), object_type="workflow",
                before={slug: value[0] for slug, value in moved.items()},
                after={slug: value[1] for slug, value in moved.items()},
            )  # fmt: skip


def _observations(now: datetime) -> dict[int, list[Observation]]:
    """Per workflow, oldest first; each run watched the time since the run before it."""
    rows = (
        Run.objects.filter(status=Run.Status.SUCCEEDED, finished_at__gt=now - WINDOW, finished_at__lte=now)
        .exclude(changed=None)
        .order_by("workflow_id", "started_at")
        .values_list("workflow_id", "started_at", "changed", "cpu_s")
    )
    found: dict[int, list[Observation]] = defaultdict(list)
    previous: tuple[int, datetime] | None = None
    for workflow_id, started_at, changed, cpu_s in rows.iterator():
        if started_at is None or changed is None:
            continue
        if previous is not None and previous[0] == workflow_id:
            found[workflow_id].append(
                Observation(
                    changed=changed, watched_s=(started_at - previous[1]).total_seconds(), cost_s=cpu_s,
                    age_s=max(0.0, (now - started_at).total_seconds()),
                )
            )  # fmt: skip
        previous = (workflow_id, started_at)
    return found


def _typical_costs(
    observed: Mapping[int, Sequence[Observation]], assets: Mapping[int, str]
) -> dict[str, float]:
    """Median CPU seconds of a run per asset type."""
    costs: dict[str, list[float]] = defaultdict(list)
    for pk, items in observed.items():
        costs[assets.get(pk, "")] += [item.cost_s for item in items if item.cost_s is not None]
    return {asset: median(values) for asset, values in costs.items() if values and median(values) > 0}


def _estimate(
    items: Sequence[Observation], base_s: int, prior: Prior | None, typical_cost_s: float | None
) -> Estimate:
    return learning.estimate(items, base_s=float(base_s), prior=prior, typical_cost_s=typical_cost_s)


def _priors(estimates: Mapping[int, Estimate], assets: Mapping[int, str]) -> dict[str, Prior]:
    """A workflow is compared with its asset type, which is itself shrunk towards the general prior."""
    groups: dict[str, list[Estimate]] = defaultdict(list)
    for pk, item in estimates.items():
        groups[assets[pk]].append(item)
    return {asset: learning.pooled_prior(items) for asset, items in groups.items()}
