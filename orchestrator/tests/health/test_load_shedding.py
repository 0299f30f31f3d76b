"""F72: a machine under load gives up research first, and trading that holds a position never."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator import testkit
from orchestrator.engine.types import Exposure, HostLoad
from orchestrator.loop import Loop
from orchestrator.models import Run
from orchestrator.plugins import Lane, WorkflowType
from orchestrator.probe import NoProbe
from tradingsite.foundation import clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("halt_file")]

BASE_S = 120.0
OVERLOAD = HostLoad(cpu=0.99, ram=0.97, queue_depth=40, queue_oldest_s=30.0, workers=2)


def kinds() -> tuple[WorkflowType, WorkflowType]:
    def holding(workflows: Any, now: Any) -> dict[int, Exposure]:
        return {view.pk: Exposure(open_positions=1, exposure_ratio=0.5) for view in workflows}

    trader = testkit.toy_type("trader", base_s=BASE_S, exposure=holding)
    research = testkit.toy_type(
        "research", base_s=BASE_S, lane=Lane.MAINTENANCE, asset_type="", load_weight=2.0
    )
    return trader, research


def due_after(load: HostLoad, time: clock.VirtualClock) -> dict[str, float]:
    """Seconds from its last run until each workflow runs again under `load`."""
    trader, research = kinds()
    with testkit.registered(trader, research):
        for kind in (trader, research):
            testkit.make_workflow(kind, time.now(), last_run_at=time.now())
        testkit.switch_on(time.now())
        loop, start = Loop(holder="one", probe=NoProbe(load), enqueue=testkit.SilentRing()), time.now()
        while time.now() - start < timedelta(seconds=3 * BASE_S):
            loop.tick(time.now())
            time.advance(timedelta(seconds=5))
    found: dict[str, float] = {}
    for run in Run.objects.order_by("pk").select_related("workflow"):
        found.setdefault(run.workflow.slug, (run.slot_at - start).total_seconds())
    return found


def test_on_an_idle_machine_both_run_at_their_cadence(time: clock.VirtualClock) -> None:
    assert due_after(HostLoad(), time)["research"] <= BASE_S * 1.1


def test_under_load_research_waits_and_a_position_is_looked_after_as_usual(time: clock.VirtualClock) -> None:
    due = due_after(OVERLOAD, time)
    assert due["trader"] <= BASE_S
    assert due["research"] > BASE_S * 1.5
