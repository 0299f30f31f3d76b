"""What a changed configuration would do right now: the engine's own answer, stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator import plugins
from orchestrator.engine.decide import decide
from orchestrator.engine.types import Bounds, Exposure, History, HostLoad, Subject
from orchestrator.params import validate
from orchestrator.selectors.pages import WorkflowRow


@dataclass(frozen=True, slots=True)
class Preview:
    """`interval_s` with today's market and an idle machine; `runs_per_day` while the market stays like this."""

    interval_s: float
    runs_per_day: float
    volatility: float | None
    is_open: bool
    next_open_at: datetime | None
    now_s: float | None


def preview(
    row: WorkflowRow, *, min_s: int, base_s: int, max_s: int, params: Mapping[str, Any], now: datetime
) -> Preview:
    """Decide with the values on the form. Raises Invalid for parameters out of range, UnknownWorkflowType."""
    workflow_type = plugins.get(row.type_key)
    clean = validate(workflow_type.params, params)
    view = plugins.WorkflowView(
        pk=row.pk,
        slug=row.slug,
        type_key=row.type_key,
        params=clean,
        last_run_at=row.last_run_at,
        base_interval_s=float(base_s),
    )
    conditions = workflow_type.observe([view], now)[row.pk]
    exposure = workflow_type.exposure([view], now).get(row.pk, Exposure())
    subject = Subject(
        key=row.slug,
        bounds=Bounds(min_s=min_s, base_s=base_s, max_s=max_s),
        is_trading=workflow_type.is_trading,
        load_weight=workflow_type.load_weight,
    )
    # No interval in force: the dead band compares with it and would hide what the form changes.
    history = History(last_run_at=now, run_value=row.run_value, run_value_samples=row.run_value_samples)
    decision = decide(subject, conditions, exposure, HostLoad(), history, now)
    return Preview(
        interval_s=decision.interval_s,
        runs_per_day=86400 / decision.interval_s if decision.interval_s else 0.0,
        volatility=conditions.volatility,
        is_open=conditions.is_open,
        next_open_at=conditions.next_open_at,
        now_s=row.interval_s,
    )
