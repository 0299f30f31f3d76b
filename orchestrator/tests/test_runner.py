"""Executing runs: steps, failures, timeouts, and the switch turned in the middle."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
from django_q.exceptions import TimeoutException

from orchestrator import runner, testkit
from orchestrator.conf import conf
from orchestrator.models import Run, RunEvent, RunStep, Workflow
from orchestrator.plugins import StepResult, TaskSpec
from orchestrator.runner import Superseded
from orchestrator.services import control, runs, workflows
from orchestrator.testkit import ACTOR, SilentRing
from tradingsite.foundation.errors import Unavailable
from tradingsite.foundation.models import Alert

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]


def execute(time, *steps, **more):
    """Run a workflow with these steps to its end; returns (answer, run)."""
    specs = tuple(
        step if isinstance(step, TaskSpec) else TaskSpec(name=f"s{i}", run=step)
        for i, step in enumerate(steps, 1)
    )
    kind = testkit.toy_type(steps=specs, **more)
    with testkit.registered(kind):
        if control.current().epoch == 0:
            testkit.switch_on(time.now())
        row = Workflow.objects.filter(slug="toy").first() or testkit.make_workflow(kind, time.now())
        run = testkit.queued_run(row, time.now())
        answer = runner.execute(run.pk)
    return answer, Run.objects.get(pk=run.pk)


def fail(context):
    raise Unavailable("The venue does not answer.", code="venue-down")


def test_steps_run_in_order_and_share_values(time):
    def first(context):
        context.shared["found"] = 7
        return StepResult(changed=False, summary={"n": 1}, api_weight=2)

    def second(context):
        return StepResult(
            changed=True,
            summary={"found": context.shared["found"], "size": context.params["size"]},
            api_weight=3,
        )

    answer, run = execute(time, first, second)
    assert (answer, run.status, run.changed, run.api_weight) == ("succeeded", "succeeded", True, 5)
    assert run.result == {"s1": {"n": 1}, "s2": {"found": 7, "size": 3}}
    assert list(RunStep.objects.values_list("position", "name", "status", "changed")) == [
        (1, "s1", "succeeded", False), (2, "s2", "succeeded", True)
    ]  # fmt: skip
    assert list(RunEvent.objects.values_list("event", flat=True)) == ["enqueue", "claim", "succeed"]


def test_a_failing_step_fails_the_run_with_its_code_and_stops_the_rest(time):
    answer, run = execute(time, fail, testkit.do_nothing)
    assert (answer, run.error_code) == ("failed", "venue-down")
    assert "The venue does not answer." in run.error_detail
    assert list(RunStep.objects.values_list("name", "status")) == [("s1", "failed")]
    assert Workflow.objects.get().consecutive_failures == 1


def test_a_delivery_that_comes_again_does_nothing(time):
    _answer, run = execute(time, testkit.do_nothing)
    assert runner.execute(run.pk) == "not_claimed"


def test_three_failures_in_a_row_quarantine_and_a_success_forgives(time):
    for _attempt in range(3):
        execute(time, fail)
        time.advance(timedelta(minutes=1))
    row = Workflow.objects.get()
    first = row.quarantined_until - row.last_finished_at
    assert first == timedelta(seconds=conf().quarantine_base_s)
    assert Alert.objects.get(key=f"workflow:{row.pk}").code == "workflow-quarantined"
    time.advance(timedelta(minutes=5))
    execute(time, fail)
    row = Workflow.objects.get()
    assert row.quarantined_until - row.last_finished_at == 2 * first
    time.advance(timedelta(minutes=5))
    execute(time, testkit.do_nothing)
    row = Workflow.objects.get()
    assert (row.consecutive_failures, row.quarantined_until, row.quarantine_count) == (0, None, 0)
    assert Alert.objects.get(key=f"workflow:{row.pk}").status == "resolved"


def test_a_workflow_that_never_recovers_is_halted_until_a_person_looks(time):
    for _attempt in range(conf().failures_before_quarantine + conf().quarantines_before_halt):
        execute(time, fail)
        time.advance(timedelta(hours=2))
    row = Workflow.objects.get()
    assert (row.status, row.status_reason) == ("halted", "repeated_failure")
    workflows.resume(row.pk, ACTOR, time.now())
    row.refresh_from_db()
    assert (row.status, row.consecutive_failures, row.quarantined_until) == ("active", 0, None)


def test_the_soft_timeout_marks_the_run_and_passes_on(time):
    def slow(context):
        raise TimeoutException

    with pytest.raises(TimeoutException):
        execute(time, slow)
    run = Run.objects.get()
    assert (run.status, run.error_code, run.epoch) == ("timed_out", "deadline", 2)


def test_a_real_alarm_interrupts_a_sleeping_step(time):
    from django_q.timeout import TimeoutHandler

    def sleeping(context):
        signal.pause()

    with pytest.raises(TimeoutException), TimeoutHandler(1):
        execute(time, sleeping)
    assert Run.objects.get().status == "timed_out"


def test_a_step_that_swallows_the_timeout_is_timed_out_not_succeeded(time):
    def stubborn(context):
        try:
            raise TimeoutException
        except BaseException:  # noqa: BLE001 - what the test is about
            time.advance(timedelta(seconds=100))
        return StepResult(changed=True)

    answer, run = execute(time, stubborn)
    assert (answer, run.status) == ("timed_out", "timed_out")


def test_a_stubborn_step_that_the_sweeper_already_ended_changes_nothing(time):
    def stubborn(context):
        time.advance(timedelta(seconds=200))
        assert runs.sweep(time.now(), ring=SilentRing()).timed_out == 1
        return StepResult(changed=True)

    answer, run = execute(time, stubborn)
    assert (answer, run.status, run.changed) == ("superseded", "timed_out", None)
    assert RunEvent.objects.filter(event="time_out").count() == 1


def test_a_step_can_ask_before_it_acts_and_is_stopped_when_superseded(time):
    sent = []

    def careful(context):
        runs.cancel(context.run_id, ACTOR, time.now())
        context.guard()
        sent.append("order")
        return StepResult()

    answer, run = execute(time, careful)
    assert (answer, run.status, sent) == ("superseded", "abandoned", [])


@pytest.mark.parametrize(
    "phase", ["before_claim", "before_first_step", "in_step", "between_steps", "before_finish"]
)
def test_a_stop_in_any_phase_lets_nothing_be_sent_after_it(time, monkeypatch, phase):
    """F73: after the stop is committed no guard passes, whatever the run was doing."""
    stopped, sent_after_stop = [], []

    def stop_now():
        control.stop(ACTOR, time.now(), phase)
        stopped.append(time.now())

    def send(context):
        context.guard()
        control.require_orders_allowed(context.workflow_id)
        if stopped:
            sent_after_stop.append(context.run_id)

    def first(context):
        send(context)
        if phase == "in_step":
            stop_now()
            send(context)
        if phase == "between_steps":
            stop_now()
        return StepResult(changed=True)

    def second(context):
        send(context)
        if phase == "before_finish":
            stop_now()
        return StepResult(changed=True)

    testkit.switch_on(time.now())
    real = runs.claim
    if phase == "before_claim":
        monkeypatch.setattr(runs, "claim", lambda pk, worker: (stop_now(), real(pk, worker))[1])
    if phase == "before_first_step":
        monkeypatch.setattr(runs, "claim", lambda pk, worker: (real(pk, worker), stop_now())[0])
    answer, run = execute(time, first, second)
    assert stopped and not sent_after_stop
    expected = {"before_claim": "skipped", "before_finish": "succeeded"}.get(phase, "abandoned")
    assert run.status == expected
    assert answer == ("not_claimed" if phase == "before_claim" else expected)
    assert Workflow.objects.get().consecutive_failures == 0, "a stop is nobody's failure"


def test_a_step_that_was_done_stays_done_when_the_next_may_not_start(time):
    def stopping(context):
        control.stop(ACTOR, time.now(), "between steps")
        return StepResult(changed=True, summary={"n": 1})

    answer, run = execute(time, stopping, testkit.do_nothing)
    assert answer == "abandoned"
    (step,) = run.steps.all()
    assert (step.status, step.changed, step.summary) == ("succeeded", True, {"n": 1})


def test_entries_are_not_allowed_to_a_run_that_starts_while_they_are_paused(time):
    seen = []

    def look(context):
        seen.append(context.entries_allowed)
        return StepResult()

    execute(time, look)
    time.advance(timedelta(minutes=2))
    control.pause_entries(ACTOR, time.now())
    execute(time, look)
    time.advance(timedelta(minutes=2))
    control.start(ACTOR, time.now())
    workflows.set_entries_paused(Workflow.objects.get().pk, True, ACTOR, time.now())
    execute(time, look)
    assert seen == [True, False, False]


def test_a_run_that_cannot_read_the_switch_acts_no_more(time, monkeypatch):
    def dead_in_the_middle(context):
        from tradingsite.foundation.errors import Locked

        def unreadable():
            raise Locked("dead", code="switch-unreadable")

        monkeypatch.setattr(control, "require_orders_allowed", unreadable)
        with pytest.raises(Superseded) as refused:
            context.guard()
        assert refused.value.code == "unreadable"
        context.guard()
        return StepResult()

    answer, run = execute(time, dead_in_the_middle)
    assert (answer, run.status, run.error_code) == ("abandoned", "abandoned", "unreadable")


def test_numbers_that_are_none_do_not_roll_the_run_back(time):
    def nan(context):
        return StepResult(changed=True, summary={"sharpe": float("nan"), "inf": float("inf"), "ok": 1.5})

    answer, run = execute(time, nan)
    assert answer == "succeeded"
    assert run.result == {"s1": {"sharpe": None, "inf": None, "ok": 1.5}}
