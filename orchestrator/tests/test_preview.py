"""The preview on the form says what the engine then does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator import testkit
from orchestrator.engine.types import HostLoad
from orchestrator.loop import Loop
from orchestrator.models import Decision, Workflow
from orchestrator.probe import NoProbe
from orchestrator.selectors import pages
from orchestrator.selectors.preview import preview
from orchestrator.services import workflows
from tradingsite.foundation import audit

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("load", [HostLoad(), HostLoad(cpu=0.9)])
@pytest.mark.parametrize("factor", [0.25, 0.8, 1.0, 1.2, 4.0])
def test_the_interval_previewed_is_the_one_the_engine_uses(time, toy, load: HostLoad, factor: float) -> None:
    testkit.switch_on(time.now())
    workflows.sync_from_plugins(time.now())
    row = Workflow.objects.get(type_key=toy.key)
    loop = Loop(holder="test", probe=NoProbe(load), enqueue=lambda ids: None)
    loop.tick(time.now())
    actor = audit.system("test")
    low, high = row.min_interval_s, row.max_interval_s
    base = min(max(int(row.base_interval_s * factor), low), high)
    time.advance(timedelta(seconds=1))
    shown = pages.workflow(row.pk, time.now())
    seen = preview(shown, min_s=low, base_s=base, max_s=high, params=row.params, now=time.now())
    workflows.edit(row.pk, version=row.version, actor=actor, now=time.now(), base_interval_s=base)
    Workflow.objects.filter(pk=row.pk).update(
        manual_requested_at=time.now()
    )  # a decision is stored whatever it says
    row.runs.update(status="succeeded")
    loop.tick(time.now())
    newest = Decision.objects.filter(workflow=row).order_by("-pk").first()
    assert newest is not None and newest.decided_at == time.now()
    assert seen.interval_s == newest.interval_after_s
