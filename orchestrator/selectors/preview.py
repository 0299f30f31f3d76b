"""What a changed configuration would do right now: the engine's own answer from the engine's own inputs, stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from orchestrator import plugins
from orchestrator.engine.cadence import is_hot
from orchestrator.engine.decide import decide
from orchestrator.engine.restore import NotRestorable, inputs_of
from orchestrator.engine.tuning import DEFAULT
from orchestrator.engine.types import Bounds, Conditions, Exposure, Factor, History, HostLoad, Subject
from orchestrator.models import Decision
from orchestrator.params import validate
from orchestrator.selectors.pages import WorkflowRow


@dataclass(frozen=True, slots=True)
class Preview:
    """`interval_s` is what the engine uses next, `asked_s` what the inputs ask for once the interval in force is left:
    inside the dead band they differ. `runs_per_day` while market and machine stay like this.

    Volatility above `threshold` shortens the interval; once it does, it must fall to `release` to end that.
    """

    interval_s: float
    asked_s: float
    runs_per_day: float
    volatility: float | None
    threshold: float
    release: float
    is_open: bool
    next_open_at: datetime | None
    now_s: float | None

    @property
    def is_kept(self) -> bool:
        return self.now_s == self.interval_s != self.asked_s

    @property
    def hysteresis(self) -> float:
        return DEFAULT.volatility_hysteresis


def preview(
    row: WorkflowRow, *, min_s: int, base_s: int, max_s: int, params: Mapping[str, Any], now: datetime
) -> Preview:
    """Decide with the values on the form. Raises Invalid for parameters out of range, UnknownWorkflowType."""
    workflow_type = plugins.get(row.type_key)
    view = plugins.WorkflowView(
        pk=row.pk,
        slug=row.slug,
        type_key=row.type_key,
        params=validate(workflow_type.params, params),
        last_run_at=row.last_run_at,
        base_interval_s=float(base_s),
    )
    conditions: Conditions = workflow_type.observe([view], now)[row.pk]
    exposure = workflow_type.exposure([view], now).get(row.pk, Exposure())
    subject = Subject(
        key=row.slug,
        bounds=Bounds(min_s=min_s, base_s=base_s, max_s=max_s),
        is_trading=workflow_type.is_trading,
        load_weight=workflow_type.load_weight,
        priority=int(workflow_type.priority),
    )
    load, was_hot = _in_force(row.pk)
    history = History(
        last_run_at=row.last_run_at or now, interval_s=row.interval_s, consecutive_failures=row.failures,
        run_value=row.run_value, run_value_samples=row.run_value_samples, was_hot=was_hot,
    )  # fmt: skip
    decision = decide(subject, conditions, exposure, load, history, now)
    free = decide(subject, conditions, exposure, load, replace(history, interval_s=None), now)
    return Preview(
        interval_s=decision.interval_s,
        asked_s=free.interval_s,
        runs_per_day=86400 / decision.interval_s if decision.interval_s else 0.0,
        volatility=conditions.volatility,
        threshold=conditions.volatility_threshold,
        release=conditions.volatility_threshold * (1 - DEFAULT.volatility_hysteresis),
        is_open=conditions.is_open,
        next_open_at=conditions.next_open_at,
        now_s=row.interval_s,
    )


def _in_force(workflow_pk: int) -> tuple[HostLoad, bool | None]:
    """The machine as the newest decision saw it, and whether volatility was above its threshold then.

    Without a decision: an idle machine, and the engine reads the heat from the interval, as it does itself.
    """
    row = Decision.objects.filter(workflow_id=workflow_pk).order_by("-decided_at", "-pk").first()
    if row is None:
        return HostLoad(), None
    try:
        load = inputs_of(row.inputs, row.decided_at).load
    except NotRestorable:
        load = HostLoad()
    return load, is_hot(_factors(row.factors))


def _factors(stored: Sequence[Mapping[str, Any]]) -> list[Factor]:
    return [
        Factor(
            str(item.get("code")),
            item.get("value"),
            item.get("threshold"),
            float(item.get("contribution") or 0.0),
        )
        for item in stored
    ]
