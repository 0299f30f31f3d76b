"""Performance, learning, heartbeats, probe, invariants: what is computed from the rows."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import connection
from django_q.models import OrmQ

from orchestrator import builtin, invariants, plugins, runner, testkit
from orchestrator.models import Decision, ProcessBeat, Run, RunEvent, Workflow
from orchestrator.probe import HostProbe
from orchestrator.services import beats, learning, runs
from orchestrator.services.performance import percentile, performance
from tradingsite.foundation import clock
from tradingsite.foundation.invariants import run as check
from tradingsite.foundation.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]


def finished(workflow, time, *, lag_s=1.0, lasts_s=2.0, changed=True, bad=False, cpu_s=0.5):
    run = testkit.queued_run(workflow, time.now())
    time.advance(timedelta(seconds=lag_s))
    run = runs.claim(run.pk, "w")
    time.advance(timedelta(seconds=lasts_s))
    close = runs.fail if bad else runs.finish
    return close(
        run,
        runs.Outcome(changed=changed, cpu_s=cpu_s, api_weight=2, error_code="x" if bad else ""),
        time.now(),
    )


@pytest.fixture
def row(time, toy):
    testkit.switch_on(time.now())
    return testkit.make_workflow(toy, time.now())


def test_performance_over_a_day(time, row):
    since = time.now() - timedelta(seconds=1)
    for lag, lasts, bad in ((1, 2, False), (3, 4, False), (5, 60, True), (2, 3, False)):
        finished(row, time, lag_s=lag, lasts_s=lasts, bad=bad, changed=not bad)
    late = testkit.queued_run(row, time.now())
    runs.skip(late, "too_late", time.now())
    time.advance_to(since + timedelta(days=1))
    figures = performance([row.pk], since, time.now())[row.pk]
    assert (figures.runs, figures.succeeded, figures.failed, figures.skipped, figures.changed) == (
        4,
        3,
        1,
        1,
        3,
    )
    assert figures.success_ratio == 0.75
    assert (figures.duration_p50_s, figures.duration_p95_s) == (3.0, 60.0)
    assert (figures.lag_p50_s, figures.lag_p95_s) == (2.0, 5.0)
    assert (figures.cpu_s, figures.api_weight, figures.runs_per_day) == (2.0, 8, 4.0)


def test_a_workflow_without_runs_has_no_figures_rather_than_zero(time, row):
    figures = performance([row.pk], time.now() - timedelta(days=1), time.now())[row.pk]
    assert figures.runs == 0
    assert figures.success_ratio is figures.duration_p50_s is figures.lag_p95_s is None


@pytest.mark.parametrize(
    ("values", "ratio", "expected"),
    [([], 0.5, None), ([3.0], 0.95, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([1.0, 2.0], 1.0, 2.0)],
)
def test_percentiles_are_values_that_occurred(values, ratio, expected):
    assert percentile(values, ratio) == expected


def test_a_workflow_whose_runs_change_something_becomes_worth_more_within_one_bounded_step(time, toy):
    testkit.switch_on(time.now())
    lively = testkit.make_workflow(toy, time.now(), slug="lively")
    idle = testkit.make_workflow(toy, time.now(), slug="idle")
    for _run in range(30):
        finished(lively, time, changed=True, lag_s=0, lasts_s=1)
        finished(idle, time, changed=False, lag_s=0, lasts_s=1)
        time.advance(timedelta(seconds=118))
    report = learning.update_run_values(time.now())
    lively.refresh_from_db()
    idle.refresh_from_db()
    assert idle.run_value < 1.0 < lively.run_value <= 1.25
    assert lively.run_value_samples == 29
    assert set(report.moved) == {"lively", "idle"}
    assert AuditEvent.objects.filter(action="learning.update").count() == 1


def test_too_few_runs_teach_nothing(time, row):
    for _run in range(4):
        finished(row, time)
    assert learning.update_run_values(time.now()).moved == {}
    assert Workflow.objects.get().run_value == 1.0


def test_the_learning_update_is_a_workflow_like_any_other(time):
    with testkit.registered(builtin.LEARNING):
        testkit.switch_on(time.now())
        row = testkit.make_workflow(builtin.LEARNING, time.now(), params={})
        run = testkit.queued_run(row, time.now())
        assert runner.execute(run.pk) == "succeeded"
    assert Run.objects.get().result["update_run_values"]["workflows"] == 1


def test_the_learning_update_is_registered():
    assert plugins.get("ai_learning_update").lane == "maintenance"


def test_a_process_beats_at_most_every_five_seconds_and_leaves_in_order(time):
    beater = beats.Beater("loop", generation="g1")
    assert beater.beat(time.now(), {"leader": True})
    assert not beater.beat(time.now() + timedelta(seconds=4))
    assert beater.beat(time.now() + timedelta(seconds=5))
    row = ProcessBeat.objects.get()
    assert (row.role, row.pid, row.generation) == ("loop", os.getpid(), "g1")
    assert row.info["rss_mb"] > 1 and row.info["fds"] > 0
    assert beats.living("loop", time.now()) == 1
    beater.forget()
    assert not ProcessBeat.objects.exists()


def test_the_probe_sees_the_queue_and_answers_from_memory_within_a_second(time):
    probe = HostProbe()
    assert probe.read().queue_depth == 0
    OrmQ.objects.create(key="trading", payload="x", lock=time.now() - timedelta(seconds=7))
    OrmQ.objects.create(
        key="trading", payload="x", lock=time.now() + timedelta(seconds=1200)
    )  # a worker has it
    assert probe.read().queue_depth == 0
    time.advance(timedelta(seconds=1))
    load = probe.read()
    assert (load.queue_depth, round(load.queue_oldest_s)) == (1, 8)
    assert 0.0 <= load.cpu <= 1.0 and 0.0 < load.ram <= 1.0


def test_the_probe_never_blocks(time):
    import psutil

    probe = HostProbe()
    with clock.use(clock.RealClock()):
        began = clock.monotonic()
        probe.read()
        assert clock.monotonic() - began < 1.0
    assert psutil.cpu_percent(interval=None) >= 0


# --- Invariants: green on good data, red on each kind of bad data ---------------------------------------------


def violations(code, time):
    (result,) = check(time.now(), (code,))
    return (
        [text for text in result.violations if "check itself failed" not in text] if result.violations else []
    )


def test_invariants_hold_after_ordinary_work(time, row):
    for bad in (False, True, False):
        finished(row, time, bad=bad)
    for code in ("I9", "I10", "I11", "I18", "I22"):
        assert check(time.now(), (code,))[0].ok, check(time.now(), (code,))


def test_i9_sees_a_run_that_should_have_ended(time, row):
    run = testkit.queued_run(row, time.now())
    runs.claim(run.pk, "w")
    time.advance(timedelta(seconds=90 + 61))
    assert "still running" in violations("I9", time)[0]


def test_i9_sees_a_missing_terminal_event(time, row):
    run = finished(row, time)
    RunEvent.objects.filter(row=run, event="succeed").delete()
    assert "0 terminal events" in violations("I9", time)[0]


def test_i10_sees_overlapping_runs(time, row):
    first = finished(row, time, lasts_s=10)
    second = finished(row, time)
    Run.objects.filter(pk=second.pk).update(started_at=first.started_at + timedelta(seconds=1))
    assert "before run" in violations("I10", time)[0]


def test_i10_sees_an_event_of_an_epoch_that_never_was(time, row):
    run = finished(row, time)
    RunEvent.objects.filter(row=run, event="succeed").update(epoch=9)
    assert "epoch" in violations("I10", time)[0]


def test_i18_sees_a_decision_from_stale_data(time, row):
    Decision.objects.create(
        workflow=row, decided_at=time.now(), last_seen_at=time.now(), fold_key="x", action="run", interval_after_s=1,
        priority=1, log_interval=0.0, data_age_s=200.0, data_age_limit_s=120.0, rule_version="1",
    )  # fmt: skip
    assert "200.0 s old" in violations("I18", time)[0]


def test_i22_sees_a_quarantine_nobody_was_told_about(time, row):
    Workflow.objects.update(
        consecutive_failures=5,
        last_finished_at=time.now() - timedelta(seconds=46),
        quarantined_until=time.now() + timedelta(hours=1),
    )
    assert "no alert" in violations("I22", time)[0]


def test_i11_is_also_kept_by_the_database(time, row):
    assert invariants.one_run_per_slot(time.now()) == []
    constraints = connection.introspection.get_constraints(connection.cursor(), "orchestrator_run")
    assert constraints["one_run_per_slot"]["unique"]
