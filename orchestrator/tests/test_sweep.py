"""The one rescuer: every run nobody will finish gets its one end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django_q.models import OrmQ

from orchestrator import states, testkit
from orchestrator.conf import conf
from orchestrator.models import Run, RunEvent, RunStep, Workflow
from orchestrator.plugins import TaskSpec
from orchestrator.services import control, runs
from orchestrator.testkit import ACTOR, SilentRing
from tradingsite.foundation.models import Alert

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]


@pytest.fixture
def ring():
    return SilentRing()


@pytest.fixture
def queued(time, toy):
    testkit.switch_on(time.now())
    return testkit.queued_run(testkit.make_workflow(toy, time.now()), time.now())


@pytest.fixture(autouse=True)
def _commit_at_once(django_capture_on_commit_callbacks):
    """Bells ring on commit; these tests live in one transaction."""
    with django_capture_on_commit_callbacks(execute=True):
        yield


def ends(run_id: int) -> int:
    return RunEvent.objects.filter(row_id=run_id, to_status__in=states.RUN.terminal).count()


def sweep(time, ring, after_s: float = 0.0, **more):
    time.advance(timedelta(seconds=after_s))
    return runs.sweep(time.now(), ring=ring, **more)


def test_nothing_is_done_to_healthy_runs(time, ring, queued):
    assert sweep(time, ring, 1).total == 0
    runs.claim(queued.pk, "w")
    assert sweep(time, ring, 20).total == 0


def test_a_lost_bell_is_rung_again_within_a_minute(time, queued, django_capture_on_commit_callbacks):
    late = SilentRing()
    rung_at = []
    for _second in range(60):
        with django_capture_on_commit_callbacks(execute=True):
            runs.sweep(time.now(), ring=late)
        if late.rung and not rung_at:
            rung_at.append(time.now())
        time.advance(timedelta(seconds=1))
    assert (rung_at[0] - queued.queued_at).total_seconds() <= 60
    assert late.rung == [queued.pk], "each further bell waits twice as long"


def test_a_bell_that_rings_twice_starts_one_run(time, ring, queued):
    assert sweep(time, ring, conf().requeue_s).requeued == 1
    assert runs.claim(queued.pk, "w1") is not None
    assert runs.claim(queued.pk, "w2") is None


def test_queue_rows_lost_to_a_new_secret_key_are_replaced(time, queued, django_capture_on_commit_callbacks):
    OrmQ.objects.create(key="trading", payload="signed with another key", lock=time.now())
    OrmQ.objects.all().delete()  # what django-q2 does with a payload it cannot verify
    with django_capture_on_commit_callbacks(execute=True):
        assert runs.sweep(time.now() + timedelta(seconds=conf().requeue_s)).requeued == 1
    row = OrmQ.objects.get()
    assert row.key == "trading" and row.task["args"] == (queued.pk,)
    assert runs.claim(queued.pk, "w") is not None


def test_the_queue_carries_the_id_and_nothing_else(time, toy, queued):
    runs.ring([queued.pk])
    task = OrmQ.objects.get().task
    assert (task["func"], task["args"], task["kwargs"]) == (
        "orchestrator.tasks.execute_run",
        (queued.pk,),
        {},
    )
    assert task["timeout"] == int(toy.deadline.total_seconds())


def test_an_expired_run_is_skipped_as_too_late(time, ring, queued):
    assert sweep(time, ring, 601).skipped == 1
    assert Run.objects.get().skip_reason == "too_late"
    assert ends(queued.pk) == 1


@pytest.mark.parametrize(("turn", "reason"), [(control.stop, "stopped"), (control.drain, "draining")])
def test_waiting_runs_are_skipped_when_nothing_may_start(time, ring, queued, turn, reason):
    turn(ACTOR, time.now())
    assert sweep(time, ring).skipped == 1
    assert Run.objects.get().skip_reason == reason


def test_a_planned_run_whose_planner_died_is_queued(time, ring, toy):
    testkit.switch_on(time.now())
    run = testkit.queued_run(testkit.make_workflow(toy, time.now()), time.now())
    RunEvent.objects.all().delete()
    Run.objects.update(status="planned", queued_at=None, enqueued_at=None, enqueued_count=0)
    assert sweep(time, ring).queued == 0
    report = sweep(time, ring, conf().planned_grace_s)
    assert report.queued == 1
    assert Run.objects.get(pk=run.pk).status == "queued"


def test_a_silent_worker_loses_its_run_after_the_lease(time, ring, queued):
    run = runs.claim(queued.pk, "w")
    step = runs.begin_step(run, 1, "play", time.now())
    assert sweep(time, ring, 29).total == 0
    assert sweep(time, ring, 2).abandoned == 1
    run = Run.objects.get()
    assert (run.status, run.error_code, run.epoch) == ("abandoned", "worker-lost", 2)
    step.refresh_from_db()
    assert step.status == "failed"
    assert ends(run.pk) == 1
    assert sweep(time, ring).total == 0


def test_a_run_that_never_showed_a_sign_of_life_counts_from_its_start(time, ring, queued):
    runs.claim(queued.pk, "w")
    Run.objects.update(lease_until=None, heartbeat_at=None)
    assert sweep(time, ring, 29).total == 0
    assert sweep(time, ring, 2).abandoned == 1


def test_a_lease_from_a_clock_that_was_set_back_does_not_protect(time, ring, queued):
    runs.claim(queued.pk, "w")
    Run.objects.update(
        lease_until=time.now() + timedelta(hours=1), deadline_at=time.now() + timedelta(hours=2)
    )
    assert sweep(time, ring).abandoned == 1


def test_a_run_past_its_deadline_is_timed_out_although_it_beats(time, ring, toy, queued):
    run = runs.claim(queued.pk, "w")
    for _beat in range(21):
        time.advance(timedelta(seconds=5))
        runs.heartbeat(run.pk, run.epoch)
        runs.sweep(time.now(), ring=ring)
    run_now = Run.objects.get()
    assert (run_now.status, run_now.error_code) == ("timed_out", "deadline")
    assert run_now.finished_at - run.started_at <= toy.deadline + timedelta(seconds=60)
    assert run_now.epoch == run.epoch + 1
    assert ends(run.pk) == 1


def test_three_workers_killed_in_a_row_put_the_workflow_in_quarantine(time, ring, toy, queued):
    starts = 0
    while Workflow.objects.get().quarantined_until is None:
        run = Run.objects.filter(status="queued").first() or testkit.queued_run(
            Workflow.objects.get(), time.now()
        )
        assert runs.claim(run.pk, "w") is not None
        starts += 1
        assert sweep(time, ring, 31, in_office_since=run.planned_at - timedelta(hours=1)).abandoned == 1
        assert starts <= 3
    assert starts == 3
    assert Alert.objects.get(code="workflow-poison").severity == "critical"


def test_a_power_cut_is_not_held_against_the_workflow(time, ring, queued):
    runs.claim(queued.pk, "w")
    time.advance(timedelta(seconds=31))
    runs.sweep(time.now(), ring=ring, in_office_since=time.now())
    row = Workflow.objects.get()
    assert (row.consecutive_failures, row.consecutive_abandoned, row.last_result) == (0, 0, "abandoned")


def test_a_step_that_must_not_be_repeated_keeps_its_workflow_waiting(time, ring):
    steps = (TaskSpec(name="send", run=testkit.do_nothing, idempotent=False),)
    kind = testkit.toy_type("risky", steps=steps)
    with testkit.registered(kind):
        testkit.switch_on(time.now())
        run = testkit.queued_run(testkit.make_workflow(kind, time.now()), time.now())
        run = runs.claim(run.pk, "w")
        runs.begin_step(run, 1, "send", time.now())
        sweep(time, ring, 31)
    row = Workflow.objects.get()
    assert row.quarantined_until == time.now() + timedelta(seconds=row.base_interval_s)
    assert Alert.objects.filter(code="run-interrupted").exists()


def test_an_interrupted_idempotent_step_keeps_nobody_waiting(time, ring, queued):
    run = runs.claim(queued.pk, "w")
    runs.begin_step(run, 1, "play", time.now())
    sweep(time, ring, 31)
    assert Workflow.objects.get().quarantined_until is None


def test_a_run_that_finishes_while_it_is_swept_keeps_its_own_end(time, ring, queued, monkeypatch):
    from orchestrator.services.runs import closing

    run = runs.claim(queued.pk, "w")
    real = closing.abandon

    def finished_first(swept, outcome, now, *, blame):
        runs.finish(run, runs.Outcome(changed=False), now)
        return real(swept, outcome, now, blame=blame)

    monkeypatch.setattr(closing, "abandon", finished_first)
    assert sweep(time, ring, 31).abandoned == 0
    assert Run.objects.get().status == "succeeded"
    assert ends(run.pk) == 1
    assert not RunStep.objects.exists()
