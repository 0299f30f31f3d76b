"""For tests and benchmarks: a toy workflow type, a switch that is on, a ring that only remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from orchestrator import plugins
from orchestrator.engine.types import Conditions, Exposure
from orchestrator.models import Run, Workflow
from orchestrator.params import Param
from orchestrator.plugins import (
    CadenceBounds,
    Lane,
    Priority,
    RunContext,
    StepResult,
    TaskSpec,
    WorkflowType,
    WorkflowView,
)
from orchestrator.services import control, runs
from orchestrator.services.runs import Wanted
from tradingsite.foundation import audit

ACTOR = audit.Actor("user", "1", "Alice")


def do_nothing(context: RunContext) -> StepResult:
    return StepResult(changed=True, summary={"slug": context.slug})


def calm(workflows: Sequence[WorkflowView], now: datetime) -> Mapping[int, Conditions]:
    return {
        view.pk: Conditions(as_of=now, volatility=0.4, data_age_s=10.0, data_age_limit_s=120.0)
        for view in workflows
    }


def toy_type(
    key: str = "toy",
    *,
    run: Callable[[RunContext], StepResult] = do_nothing,
    steps: tuple[TaskSpec, ...] | None = None,
    base_s: float = 120.0,
    **more: Any,
) -> WorkflowType:
    """A type with the step(s) given; cadence from half to twice `base_s`."""
    values: dict[str, Any] = {
        "title": key.title(), "lane": Lane.TRADING, "priority": Priority.NORMAL, "asset_type": "toys", "observe": calm,
        "exposure": lambda workflows, now: {view.pk: Exposure() for view in workflows},
        "params": (Param(name="size", kind="int", default=3, label="Size", minimum=1, maximum=9),),
        "steps": steps or (TaskSpec(name="play", run=run),),
        "bounds": CadenceBounds(
            minimum=timedelta(seconds=base_s / 2), base=timedelta(seconds=base_s), maximum=timedelta(seconds=base_s * 2)
        ),
    }  # fmt: skip
    return WorkflowType(key=key, **(values | more))


@contextmanager
def registered(*kinds: WorkflowType, alone: bool = True) -> Iterator[None]:
    """Register toy types for the block; `alone` hides the real ones."""
    before = dict(plugins._registry)
    if alone:
        plugins._registry.clear()
    try:
        for kind in kinds:
            plugins.register(kind)
        yield
    finally:
        plugins._registry.clear()
        plugins._registry.update(before)


def make_workflow(kind: WorkflowType, now: datetime, slug: str = "", **values: Any) -> Workflow:
    """An active workflow of a type."""
    bounds = kind.bounds
    fields: dict[str, Any] = {
        "slug": slug or kind.key, "type_key": kind.key, "asset_type": kind.asset_type, "name": slug or kind.key,
        "status": Workflow.Status.ACTIVE, "min_interval_s": int(bounds.minimum.total_seconds()),
        "base_interval_s": int(bounds.base.total_seconds()), "max_interval_s": int(bounds.maximum.total_seconds()),
        "params": {"size": 3}, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return Workflow.objects.create(**(fields | values))


def switch_on(now: datetime) -> None:
    control.start(ACTOR, now, "test")


class SilentRing:
    """Remembers the bells instead of queueing them."""

    def __init__(self) -> None:
        self.rung: list[int] = []

    def __call__(self, run_ids: Sequence[int]) -> None:
        self.rung += run_ids


def queued_run(
    workflow: Workflow, now: datetime, *, expires_s: float = 600.0, ring: runs.Ring | None = None
) -> Run:
    """A run of `workflow` that waits for a worker."""
    wanted = Wanted(
        workflow_id=workflow.pk, slot_at=now, cause="cadence", decision_id=None, lane="trading", priority=2,
        expires_at=now + timedelta(seconds=expires_s),
    )  # fmt: skip
    ids = runs.plan([wanted], now)
    runs.enqueue(ids, now, ring=ring or SilentRing())
    return Run.objects.get(pk=ids[0])
