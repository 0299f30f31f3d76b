"""Old runs, decisions, findings and queue results go; what is in force, referred to or not over stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django_q.models import Task

from orchestrator import runner, testkit
from orchestrator.models import Decision, HealthEvent, Run, RunEvent, RunStep, Workflow
from orchestrator.plugins import WorkflowType
from orchestrator.services import retention
from tradingsite.foundation import clock, invariants

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]
DAY = timedelta(days=1)


def nothing() -> None:
    """A guard that always agrees."""


@pytest.fixture
def workflow(time: clock.VirtualClock, toy: WorkflowType) -> Workflow:
    testkit.switch_on(time.now())
    return testkit.make_workflow(toy, time.now())


def decide(workflow: Workflow, at: datetime, *, seen_at: datetime | None = None) -> Decision:
    return Decision.objects.create(
        workflow=workflow, decided_at=at, last_seen_at=seen_at or at, fold_key="k", action="run", interval_after_s=60,
        priority=2, log_interval=0.0, rule_version="1",
    )  # fmt: skip


def execute(workflow: Workflow, time: clock.VirtualClock, decision: Decision | None = None) -> Run:
    run = testkit.queued_run(workflow, time.now())
    Run.objects.filter(pk=run.pk).update(decision=decision)
    assert runner.execute(run.pk) == "succeeded"
    return Run.objects.get(pk=run.pk)


def forget(time: clock.VirtualClock) -> dict[str, int]:
    return retention.forget_old(time.now(), nothing)


def test_old_runs_go_with_their_steps_and_events_and_decisions(
    time: clock.VirtualClock, workflow: Workflow
) -> None:
    for _ in range(3):
        execute(workflow, time, decide(workflow, time.now()))
        time.advance(DAY)
    recent = execute(workflow, time, decide(workflow, time.now()))
    time.advance(90 * DAY - timedelta(hours=1))
    counts = forget(time)
    assert (counts["runs"], counts["decisions"]) == (3, 3)
    assert list(Run.objects.values_list("pk", flat=True)) == [recent.pk]
    assert set(RunEvent.objects.values_list("row_id", flat=True)) == {recent.pk}
    assert set(RunStep.objects.values_list("run_id", flat=True)) == {recent.pk}
    assert Decision.objects.count() == 1
    assert [r.violations for r in invariants.run(time.now(), ("I9", "I10", "I11", "I18")) if not r.ok] == []
    assert forget(time) == {"runs": 0, "decisions": 0, "findings": 0, "queue_results": 0}


def test_the_newest_run_of_a_workflow_and_its_decision_stay_however_old(
    time: clock.VirtualClock, workflow: Workflow
) -> None:
    for _ in range(2):
        newest = execute(workflow, time, decide(workflow, time.now()))
        time.advance(DAY)
    time.advance(1000 * DAY)
    assert forget(time)["runs"] == 1
    assert Run.objects.get().pk == newest.pk and Decision.objects.get().pk == newest.decision_id


def test_what_is_not_over_stays(time: clock.VirtualClock, workflow: Workflow) -> None:
    waiting = testkit.queued_run(workflow, time.now())
    HealthEvent.objects.create(
        component="toy", code="x", severity="info", opened_at=time.now(), last_seen_at=time.now()
    )
    time.advance(1000 * DAY)
    assert forget(time) == {"runs": 0, "decisions": 0, "findings": 0, "queue_results": 0}
    assert Run.objects.get().pk == waiting.pk


def test_a_decision_that_is_still_repeated_is_in_force(time: clock.VirtualClock, workflow: Workflow) -> None:
    start = time.now()
    time.advance(200 * DAY)
    standing = decide(workflow, start, seen_at=time.now())
    decide(workflow, start)
    assert forget(time)["decisions"] == 1
    assert Decision.objects.get().pk == standing.pk


def test_findings_and_queue_results_have_their_times(time: clock.VirtualClock) -> None:
    for n, age in enumerate((91, 89)):
        at = time.now() - age * DAY
        HealthEvent.objects.create(
            component="toy", subject=str(n), code="x", severity="info", opened_at=at, last_seen_at=at,
            closed_at=at,
        )  # fmt: skip
    for n, age in enumerate((8, 6)):
        at = time.now() - age * DAY
        values: dict[str, Any] = {"func": "f", "started": at, "stopped": at, "success": bool(n)}
        Task.objects.create(id=f"t{n}", name=f"n{n}", **values)
    counts = forget(time)
    assert (counts["findings"], counts["queue_results"]) == (1, 1)
    assert HealthEvent.objects.get().subject == "1" and Task.objects.get().id == "t1"


def test_many_runs_go_in_transactions_of_at_most_a_thousand_rows(
    time: clock.VirtualClock, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = time.now()
    made = Run.objects.bulk_create(
        Run(
            workflow=workflow, slot_at=at + timedelta(minutes=n), status="succeeded", cause="cadence", lane="trading",
            priority=2, planned_at=at, expires_at=at, finished_at=at,
        )
        for n in range(1000)
    )  # fmt: skip
    RunEvent.objects.bulk_create(
        RunEvent(row=run, event=f"e{n}", from_status="a", to_status="b", at=at)
        for run in made
        for n in range(4)
    )
    sizes: list[int] = []
    remove = retention._remove_runs
    monkeypatch.setattr(retention, "_remove_runs", lambda keys: (sizes.append(len(keys)), remove(keys)))
    time.advance(100 * DAY)
    assert forget(time)["runs"] == 999
    assert max(sizes) <= 125 and RunEvent.objects.count() == 4


def test_the_decision_in_force_of_a_paused_workflow_stays_however_old(
    time: clock.VirtualClock, workflow: Workflow
) -> None:
    decision = decide(workflow, time.now())
    Workflow.objects.filter(pk=workflow.pk).update(current_decision=decision)
    time.advance(1000 * DAY)
    assert forget(time)["decisions"] == 0
    workflow.refresh_from_db()
    assert workflow.current_decision_id == decision.pk
