"""The tick: what it stores, folds, plans and leaves alone; who leads; what one bad workflow does to the others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from orchestrator import explain, runner, testkit
from orchestrator.conf import conf
from orchestrator.engine.types import Conditions, HostLoad
from orchestrator.loop import Loop
from orchestrator.models import Decision, HealthEvent, Lease, Run, RunEvent, Workflow
from orchestrator.probe import NoProbe
from orchestrator.services import control, leases, workflows
from orchestrator.testkit import ACTOR, SilentRing
from orchestrator.tests.processes import dead_database, run_together
from tradingsite.foundation import clock, invariants
from tradingsite.foundation.errors import Conflict, Unavailable

pytestmark = pytest.mark.usefixtures("halt_file")


@pytest.fixture
def ring():
    return SilentRing()


@pytest.fixture
def loop(time, toy, ring, transactional_db):
    testkit.switch_on(time.now())
    return Loop(holder="one", probe=NoProbe(), enqueue=ring)


def play(loop, ring, time, *, seconds: int, step_s: float = 1.0):
    """Tick for a while and execute what is rung at once; returns the reports."""
    reports = []
    for _tick in range(int(seconds / step_s)):
        reports.append(loop.tick(time.now()))
        while ring.rung:
            runner.execute(ring.rung.pop(0))
        time.advance(timedelta(seconds=step_s))
    return reports


def test_the_first_tick_makes_the_default_workflow_and_runs_it(loop, ring, time):
    report = loop.tick(time.now())
    assert report.leader and report.evaluated == 1 and report.planned == 1
    run = Run.objects.get()
    assert (run.status, run.cause, run.slot_at, run.decision_id) == (
        "queued",
        "first",
        time.now(),
        Decision.objects.get().pk,
    )
    assert ring.rung == [run.pk]
    assert Workflow.objects.get().slug == "toy"


def test_a_workflow_runs_at_its_cadence_and_equal_decisions_are_folded(loop, ring, time):
    play(loop, ring, time, seconds=602)
    assert Run.objects.count() == 6
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}
    # One row for each run and one for each wait after it, however many ticks there were.
    assert Decision.objects.count() == 12
    loop.resign()
    assert sum(Decision.objects.values_list("fold_count", flat=True)) == 602
    slots = list(Run.objects.order_by("slot_at").values_list("slot_at", flat=True))
    assert {(b - a).total_seconds() for a, b in zip(slots, slots[1:], strict=False)} == {120.0}


def test_an_idle_tick_writes_nothing(loop, ring, time):
    play(loop, ring, time, seconds=3)
    loop.tick(time.now())
    with CaptureQueriesContext(connection) as queries:
        loop.tick(time.now())
    assert [q["sql"] for q in queries if not q["sql"].startswith("SELECT")] == []
    assert len(queries) <= 4


def test_the_number_of_queries_does_not_grow_with_the_workflows(loop, ring, time, toy):
    counts = []
    for size in (2, 40):
        for i in range(size):
            testkit.make_workflow(toy, time.now(), slug=f"n{size}-{i}", last_run_at=time.now())
        loop.tick(time.now())
        loop.tick(time.now())
        with CaptureQueriesContext(connection) as queries:
            assert loop.tick(time.now()).evaluated >= size
        counts.append(len(queries))
        ring.rung.clear()
    assert counts[0] == counts[1]


def test_repeats_reach_the_database_about_once_a_minute(loop, ring, time):
    play(loop, ring, time, seconds=50)
    waiting = Decision.objects.get(action="wait")
    assert waiting.fold_count == 1
    play(loop, ring, time, seconds=15)
    waiting.refresh_from_db()
    assert 55 <= waiting.fold_count <= 65
    assert time.now() - waiting.last_seen_at <= timedelta(seconds=10)


def test_a_day_of_downtime_collapses_into_one_run(loop, ring, time):
    """F51"""
    play(loop, ring, time, seconds=10)
    time.advance(timedelta(hours=25))
    play(loop, ring, time, seconds=60)
    assert Run.objects.count() == 2
    assert Run.objects.latest("slot_at").cause == "cadence"


def test_a_run_left_queued_over_a_day_of_downtime_is_skipped_and_replaced_by_one(loop, ring, time):
    loop.tick(time.now())
    ring.rung.clear()
    time.advance(timedelta(hours=25))
    play(loop, ring, time, seconds=60)
    assert sorted(Run.objects.values_list("status", "skip_reason")) == [
        ("skipped", "too_late"),
        ("succeeded", ""),
    ]


def test_stopped_means_nothing_is_planned_and_the_reason_is_recorded(loop, ring, time):
    control.stop(ACTOR, time.now())
    assert loop.tick(time.now()).planned == 0
    decision = Decision.objects.get()
    assert decision.action == "skip" and decision.gates[0]["code"] == "switch"
    control.start(ACTOR, time.now())
    assert loop.tick(time.now()).planned == 1


def test_a_halt_file_stops_the_planning_too(loop, ring, time, halt_file):
    halt_file.write_text("stop")
    assert loop.tick(time.now()).planned == 0


def test_a_persons_request_is_answered_by_one_run(loop, ring, time):
    play(loop, ring, time, seconds=5)
    row = Workflow.objects.get()
    workflows.request_run(row.pk, ACTOR, time.now())
    workflows.request_run(row.pk, ACTOR, time.now())
    play(loop, ring, time, seconds=5)
    run = Run.objects.latest("slot_at")
    assert (Run.objects.count(), run.cause, run.requested_by) == (2, "manual", "Alice")
    row.refresh_from_db()
    assert row.manual_requested_at is None


def test_a_paused_workflow_cannot_be_asked_to_run(loop, ring, time):
    play(loop, ring, time, seconds=5)
    row = Workflow.objects.get()
    workflows.pause(row.pk, ACTOR, time.now())
    with pytest.raises(Conflict):
        workflows.request_run(row.pk, ACTOR, time.now())
    assert loop.tick(time.now()).evaluated == 0


def test_a_running_workflow_that_is_due_again_gets_no_second_run_but_a_recorded_skip(loop, ring, time):
    loop.tick(time.now())
    run = Run.objects.get()
    from orchestrator.services import runs

    claimed = runs.claim(run.pk, "w")
    for _tick in range(17):
        time.advance(timedelta(seconds=10))
        Run.objects.update(deadline_at=time.now() + timedelta(hours=1))
        runs.heartbeat(claimed.pk, claimed.epoch)
        loop.tick(time.now())
    assert Run.objects.count() == 1
    skip = Decision.objects.get(action="skip")
    assert [gate["code"] for gate in skip.gates] == ["open_run"]


# --- One bad workflow (F70) -----------------------------------------------------------------------------------


def broken_for(slug):
    def observe(views, now):
        if any(view.slug == slug for view in views):
            raise ValueError(f"bad config of {slug}")
        return {view.pk: Conditions(as_of=now) for view in views}

    return observe


def test_one_bad_workflow_errors_and_the_others_go_on(time, transactional_db, ring):
    kind = testkit.toy_type(observe=broken_for("bad"))
    with testkit.registered(kind):
        testkit.switch_on(time.now())
        for slug in ("good", "bad", "other"):
            testkit.make_workflow(kind, time.now(), slug=slug)
        loop = Loop(holder="one", probe=NoProbe(), enqueue=ring)
        reports = play(loop, ring, time, seconds=130)
        planned = set(Run.objects.values_list("workflow__slug", flat=True))
        assert planned == {"good", "other", "toy"}
        assert reports[-1].troubles == 1
        finding = HealthEvent.objects.get(component="workflow", subject="bad")
        assert finding.code == "evaluation_failed" and "bad config" in finding.detail["error"]
        assert finding.closed_at is None
        assert finding.detail["count"] <= 5, "it is left alone for a while, longer each time"


def test_a_workflow_that_recovers_closes_its_finding(time, transactional_db, ring):
    kind = testkit.toy_type(observe=broken_for("bad"))
    with testkit.registered(kind):
        testkit.switch_on(time.now())
        row = testkit.make_workflow(kind, time.now(), slug="bad")
        loop = Loop(holder="one", probe=NoProbe(), enqueue=ring)
        loop.tick(time.now())
        Workflow.objects.filter(pk=row.pk).update(slug="cured", version=2)
        time.advance(timedelta(seconds=conf().evaluation_retry_s + 1))
        loop.tick(time.now())
        assert HealthEvent.objects.get(subject="bad").closed_at == time.now()
        assert Run.objects.filter(workflow=row).exists()


def test_a_workflow_of_a_type_nobody_provides_is_a_finding(loop, ring, time, toy):
    testkit.make_workflow(toy, time.now(), slug="orphan", type_key="gone")
    report = loop.tick(time.now())
    assert report.planned == 1 and report.troubles == 1
    assert HealthEvent.objects.get(subject="orphan").code == "unknown_type"


@pytest.mark.parametrize("answer", [None, {}, {"x": 1}])
def test_a_plugin_that_answers_nonsense_hurts_nobody_else(time, transactional_db, ring, answer):
    bad, good = testkit.toy_type("bad", observe=lambda views, now: answer), testkit.toy_type("good")
    with testkit.registered(bad, good):
        testkit.switch_on(time.now())
        loop = Loop(holder="one", probe=NoProbe(), enqueue=ring)
        report = loop.tick(time.now())
        assert report.planned == 1 and report.troubles == 1


def test_inputs_that_are_no_numbers_are_stored_as_unknown(time, transactional_db, ring):
    nan = float("nan")
    odd = testkit.toy_type(
        observe=lambda views, now: {
            v.pk: Conditions(as_of=now, volatility=nan, trend=nan, move_sigmas=float("inf")) for v in views
        }
    )
    with testkit.registered(odd):
        testkit.switch_on(time.now())
        loop = Loop(holder="one", probe=NoProbe(HostLoad(cpu=nan)), enqueue=ring)
        assert loop.tick(time.now()).decisions_stored == 1
        assert Decision.objects.get().inputs["conditions"]["volatility"] is None


# --- Leaders (F69, F93) ---------------------------------------------------------------------------------------


def test_a_second_loop_stands_by_and_takes_over_within_fifteen_seconds(loop, ring, time):
    other_ring = SilentRing()
    other = Loop(holder="two", probe=NoProbe(), enqueue=other_ring)
    assert loop.tick(time.now()).leader
    assert not other.tick(time.now()).leader
    dead_since = time.now()
    while not other.tick(time.now()).leader:
        time.advance(timedelta(seconds=1))
    assert (time.now() - dead_since).total_seconds() <= 15
    assert Run.objects.count() == 1


def test_a_leader_that_was_replaced_stops_at_once_and_writes_nothing(loop, ring, time, toy):
    loop.tick(time.now())
    time.advance(timedelta(seconds=11))  # stopped (SIGSTOP) past its lease
    other = Loop(holder="two", probe=NoProbe(), enqueue=SilentRing())
    assert other.tick(time.now()).leader
    testkit.make_workflow(toy, time.now(), slug="new")
    before = Decision.objects.count()
    assert not loop.tick(time.now()).leader
    assert (Decision.objects.count(), Run.objects.filter(workflow__slug="new").count()) == (before, 0)
    assert not loop.leads


def test_a_leader_replaced_in_the_middle_of_a_tick_rolls_back(loop, ring, time, toy, monkeypatch):
    loop.tick(time.now())
    testkit.make_workflow(toy, time.now(), slug="new")
    real = control.current

    def replaced_meanwhile():
        Lease.objects.update(holder="two", epoch=99)
        return real()

    monkeypatch.setattr(control, "current", replaced_meanwhile)
    assert not loop.tick(time.now()).leader
    assert not Run.objects.filter(workflow__slug="new").exists()
    assert not Decision.objects.filter(workflow__slug="new").exists()


def test_an_orderly_resignation_hands_over_at_once(loop, ring, time):
    loop.tick(time.now())
    loop.resign()
    assert Loop(holder="two", probe=NoProbe(), enqueue=ring).tick(time.now()).leader


def test_a_new_leader_goes_on_folding_where_the_old_one_stopped(loop, ring, time):
    play(loop, ring, time, seconds=5)
    count = Decision.objects.count()
    loop.resign()
    play(Loop(holder="two", probe=NoProbe(), enqueue=ring), ring, time, seconds=5)
    assert Decision.objects.count() == count


def _lead_for_a_while(holder: str, ticks: int) -> int:
    clock.set_clock(clock.RealClock())
    with testkit.registered(testkit.toy_type(base_s=2.0)):
        loop, led = Loop(holder=holder, probe=NoProbe(), enqueue=SilentRing()), 0
        for _tick in range(ticks):
            led += loop.tick(clock.now()).leader
        return led


@pytest.mark.django_db(transaction=True)
def test_two_instances_started_by_mistake_plan_each_slot_once(toy):
    """F93"""
    with clock.use(clock.RealClock()):
        testkit.switch_on(clock.now())
        for i in range(5):
            testkit.make_workflow(toy, clock.now(), slug=f"w{i}")
        led = run_together((_lead_for_a_while, ("one", 20)), (_lead_for_a_while, ("two", 20)))
        assert sorted(map(bool, led)) == [False, True]
        assert Run.objects.count() == 6
        assert RunEvent.objects.filter(event="enqueue").count() == 6
        assert all(result.ok for result in invariants.run(clock.now(), ("I9", "I10", "I11", "I18")))


# --- Failing closed -------------------------------------------------------------------------------------------


def test_a_dead_database_plans_nothing_and_the_loop_goes_on_afterwards(loop, ring, time):
    loop.tick(time.now())
    with dead_database(), pytest.raises((DatabaseError, Unavailable)):
        time.advance(timedelta(seconds=1))
        loop.tick(time.now())
    time.advance(timedelta(seconds=1))
    assert loop.tick(time.now()).leader


def test_a_write_that_fails_half_way_leaves_nothing_and_is_repeated(loop, ring, time, monkeypatch):
    from orchestrator.services import runs

    def broken(*args, **kwargs):
        raise DatabaseError("disk full")

    with monkeypatch.context() as patch, pytest.raises(DatabaseError):
        patch.setattr(runs, "plan", broken)
        loop.tick(time.now())
    assert not Decision.objects.exists()
    assert loop.tick(time.now()).planned == 1


def test_a_queue_that_is_down_does_not_fail_the_tick_and_the_sweeper_rings_again(time, toy, transactional_db):
    testkit.switch_on(time.now())
    calls = []

    def flaky(run_ids):
        calls.append(list(run_ids))
        if len(calls) == 1:
            raise ConnectionError("queue down")

    loop = Loop(holder="one", probe=NoProbe(), enqueue=flaky)
    assert loop.tick(time.now()).planned == 1
    for _tick in range(8):
        time.advance(timedelta(seconds=5))
        loop.tick(time.now())
    assert calls[0] == calls[1] == [Run.objects.get().pk]


def test_many_due_at_once_are_planned_over_several_ticks_most_urgent_first(loop, ring, time, toy, settings):
    conf.cache_clear()
    settings.ORCHESTRATOR = {"max_plans_per_tick": 3}
    try:
        for i in range(6):
            testkit.make_workflow(toy, time.now(), slug=f"w{i}")
        assert [loop.tick(time.now()).planned for _tick in range(4)] == [3, 3, 1, 0]
    finally:
        settings.ORCHESTRATOR = {}
        conf.cache_clear()


def test_a_stored_decision_can_say_what_would_have_changed_it(loop, ring, time):
    loop.tick(time.now())
    found = {item.code for item in explain.counterfactuals(Decision.objects.get())}
    assert "volatility" in found


def test_the_leader_of_the_lease_is_named(loop, ring, time):
    loop.tick(time.now())
    assert Lease.objects.get(pk="leader").holder == "one"
    assert leases.acquire("leader", "two", 10) is None
