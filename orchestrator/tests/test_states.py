"""The machines: every pair of state and event, and what the database itself refuses."""

from __future__ import annotations

import itertools

import pytest
from django.db import IntegrityError, transaction

from orchestrator import states, testkit
from orchestrator.models import Run, RunEvent, Workflow
from tradingsite.foundation.transitions import IllegalTransition

RUN_TABLE = {
    ("planned", "enqueue"): "queued",
    ("planned", "skip"): "skipped",
    ("planned", "cancel"): "cancelled",
    ("queued", "claim"): "running",
    ("queued", "skip"): "skipped",
    ("queued", "cancel"): "cancelled",
    ("queued", "refuse"): "failed",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "time_out"): "timed_out",
    ("running", "abandon"): "abandoned",
}
WORKFLOW_TABLE = {
    ("draft", "activate"): "active",
    ("draft", "archive"): "archived",
    ("draft", "halt"): "halted",
    ("active", "pause"): "paused",
    ("active", "halt"): "halted",
    ("paused", "resume"): "active",
    ("paused", "archive"): "archived",
    ("paused", "halt"): "halted",
    ("halted", "resume"): "active",
    ("halted", "archive"): "archived",
}
RUN_EVENTS = ("enqueue", "claim", "succeed", "fail", "time_out", "abandon", "skip", "cancel", "refuse")
WORKFLOW_EVENTS = ("activate", "pause", "resume", "halt", "archive")


@pytest.mark.parametrize(("state", "event"), list(itertools.product(Run.Status.values, RUN_EVENTS)))
def test_a_run_moves_only_as_its_table_says(state, event):
    expected = RUN_TABLE.get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition):
            states.RUN.next(state, event)
    else:
        assert states.RUN.next(state, event) == expected


@pytest.mark.parametrize(("state", "event"), list(itertools.product(Workflow.Status.values, WORKFLOW_EVENTS)))
def test_a_workflow_moves_only_as_its_table_says(state, event):
    expected = WORKFLOW_TABLE.get((state, event))
    if expected is None:
        with pytest.raises(IllegalTransition):
            states.WORKFLOW.next(state, event)
    else:
        assert states.WORKFLOW.next(state, event) == expected


def test_the_machines_know_no_further_states_or_events():
    assert states.RUN.events == set(RUN_EVENTS)
    assert states.RUN.states == set(Run.Status.values)
    assert states.WORKFLOW.events == set(WORKFLOW_EVENTS)
    assert states.WORKFLOW.states == set(Workflow.Status.values)


@pytest.mark.django_db
def test_the_database_refuses_to_reopen_a_run_that_ended(time, toy):
    run = testkit.queued_run(testkit.make_workflow(toy, time.now()), time.now())
    states.apply_run(run, "skip", now=time.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(status="queued")
    assert Run.objects.get(pk=run.pk).status == "skipped"


@pytest.mark.django_db
def test_the_database_refuses_a_second_terminal_event(time, toy):
    run = testkit.queued_run(testkit.make_workflow(toy, time.now()), time.now())
    states.apply_run(run, "skip", now=time.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        RunEvent.objects.create(
            row=run, event="cancel", from_status="queued", to_status="cancelled", at=time.now()
        )


@pytest.mark.django_db
def test_many_runs_move_at_once_and_only_from_the_named_state(time, toy):
    runs = [
        testkit.queued_run(testkit.make_workflow(toy, time.now(), slug=f"w{i}"), time.now()) for i in range(3)
    ]
    states.apply_run(runs[0], "cancel", now=time.now())
    moved = states.apply_runs([run.pk for run in runs], state="queued", event="skip", now=time.now())
    assert sorted(moved) == sorted(run.pk for run in runs[1:])
    assert RunEvent.objects.filter(event="skip").count() == 2
