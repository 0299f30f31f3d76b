"""Claims, epochs, ends: what a worker may do with a run, and what a late one may not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from orchestrator import plugins, runner, states, testkit
from orchestrator.conf import code_version, conf
from orchestrator.models import Run, RunEvent, RunStep, Workflow
from orchestrator.services import control, runs, workflows
from orchestrator.services.runs import Outcome, Wanted
from orchestrator.testkit import ACTOR, SilentRing
from orchestrator.tests.processes import dead_database, run_and_crash, run_together
from tradingsite.foundation import clock
from tradingsite.foundation.errors import ConcurrentChange, Locked
from tradingsite.foundation.models import Alert

pytestmark = pytest.mark.usefixtures("halt_file")


@pytest.fixture
def queued(time, toy, db):
    testkit.switch_on(time.now())
    return testkit.queued_run(testkit.make_workflow(toy, time.now()), time.now())


def test_a_claim_counts_the_attempt_and_sets_lease_deadline_and_epoch(time, toy, queued):
    run = runs.claim(queued.pk, "w1")
    assert (run.status, run.epoch, run.attempts, run.worker) == ("running", 1, 1, "w1")
    assert run.lease_until == time.now() + timedelta(seconds=conf().run_lease_s)
    assert run.deadline_at == time.now() + toy.deadline
    assert Workflow.objects.get().last_run_at == time.now()
    assert list(RunEvent.objects.values_list("event", "epoch")) == [("enqueue", 0), ("claim", 1)]


def test_a_run_is_claimed_once_however_often_it_is_delivered(queued):
    assert runs.claim(queued.pk, "w1") is not None
    assert runs.claim(queued.pk, "w1") is None
    assert runs.claim(queued.pk, "w2") is None


def test_a_claim_loses_against_one_that_came_in_between(queued, monkeypatch):
    from orchestrator.services.runs import claiming

    real = claiming._hindrance

    def somebody_else_first(run, now):
        monkeypatch.setattr(claiming, "_hindrance", real)
        assert runs.claim(run.pk, "w2") is not None
        return ""

    monkeypatch.setattr(claiming, "_hindrance", somebody_else_first)
    assert runs.claim(queued.pk, "w1") is None
    assert Run.objects.get().worker == "w2"


@pytest.mark.parametrize(("turn", "reason"), [(control.stop, "stopped"), (control.drain, "draining")])
def test_nothing_starts_while_the_switch_says_no(time, queued, turn, reason):
    turn(ACTOR, time.now())
    assert runs.claim(queued.pk, "w") is None
    run = Run.objects.get()
    assert (run.status, run.skip_reason) == ("skipped", reason)


def test_a_switch_turned_between_look_and_claim_still_stops_it(time, queued, monkeypatch):
    from orchestrator.services.runs import claiming

    def turned_after_the_look(run, now):
        control.stop(ACTOR, time.now())
        return ""

    monkeypatch.setattr(claiming, "_hindrance", turned_after_the_look)
    assert runs.claim(queued.pk, "w") is None
    assert Run.objects.get().status == "queued"


def test_runs_start_while_entries_are_paused(time, queued):
    control.pause_entries(ACTOR, time.now())
    assert runs.claim(queued.pk, "w") is not None


def test_an_unreadable_switch_starts_nothing_and_decides_nothing(queued, monkeypatch):
    def unreadable():
        raise Locked("dead", code="switch-unreadable")

    monkeypatch.setattr(control, "require_start_allowed", unreadable)
    with pytest.raises(Locked):
        runs.claim(queued.pk, "w")
    assert Run.objects.get().status == "queued"


def test_a_late_run_is_skipped_not_executed(time, queued):
    time.advance_to(queued.expires_at)
    assert runs.claim(queued.pk, "w") is None
    assert Run.objects.get().skip_reason == "too_late"


def test_a_paused_workflow_starts_nothing(time, queued):
    workflows.pause(queued.workflow_id, ACTOR, time.now())
    assert runs.claim(queued.pk, "w") is None
    assert Run.objects.get().skip_reason == "workflow_paused"


def test_a_worker_with_other_code_leaves_the_run_to_others(queued):
    Run.objects.update(code_version="0" * 16)
    assert runs.claim(queued.pk, "old") is None
    assert Run.objects.get().status == "queued"
    assert Alert.objects.filter(code="code-version").exists()
    Run.objects.update(code_version=code_version())
    assert runs.claim(queued.pk, "new") is not None


def test_a_run_started_too_often_is_refused_as_poison(queued):
    Run.objects.update(attempts=conf().max_attempts)
    assert runs.claim(queued.pk, "w") is None
    run = Run.objects.get()
    assert (run.status, run.error_code) == ("failed", "poison")
    assert Workflow.objects.get().quarantined_until is not None


def test_a_run_of_a_type_nobody_provides_fails(queued):
    plugins.unregister("toy")
    assert runs.claim(queued.pk, "w") is None
    assert Run.objects.get().error_code == "unknown-type"


def test_a_heartbeat_keeps_the_lease_and_an_old_epoch_is_refused(time, queued):
    run = runs.claim(queued.pk, "w")
    time.advance(timedelta(seconds=5))
    assert runs.heartbeat(run.pk, run.epoch)
    assert Run.objects.get().lease_until == time.now() + timedelta(seconds=conf().run_lease_s)
    assert not runs.heartbeat(run.pk, run.epoch + 1)


def test_no_heartbeat_saves_a_run_that_is_long_past_its_deadline(time, queued):
    run = runs.claim(queued.pk, "w")
    time.advance_to(run.deadline_at + timedelta(seconds=conf().deadline_grace_s + 1))
    assert not runs.heartbeat(run.pk, run.epoch)


def test_a_late_worker_can_neither_step_nor_finish(time, queued):
    run = runs.claim(queued.pk, "w")
    time.advance(timedelta(seconds=conf().run_lease_s + 1))
    assert runs.sweep(time.now(), ring=SilentRing()).abandoned == 1
    with pytest.raises(ConcurrentChange):
        runs.begin_step(run, 1, "play", time.now())
    with pytest.raises(ConcurrentChange):
        runs.finish(run, Outcome(changed=True), time.now())
    with pytest.raises(ConcurrentChange):
        runs.fail(run, Outcome(), time.now())
    assert runs.may_act(run.pk, run.epoch) == "superseded"
    assert Run.objects.get().status == "abandoned"
    assert RunEvent.objects.filter(to_status__in=states.RUN.terminal).count() == 1
    assert not RunStep.objects.exists()


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (lambda pk, now: None, ""),
        (lambda pk, now: control.pause_entries(ACTOR, now), ""),
        (lambda pk, now: control.drain(ACTOR, now), ""),
        (lambda pk, now: control.stop(ACTOR, now), "stopped"),
        (lambda pk, now: workflows.halt(pk, ACTOR, now, "x"), "halted"),
        (lambda pk, now: workflows.pause(pk, ACTOR, now, "x"), ""),
    ],
)
def test_whether_a_running_run_may_act(time, queued, happens, reason):
    run = runs.claim(queued.pk, "w")
    happens(run.workflow_id, time.now())
    assert runs.may_act(run.pk, run.epoch) == reason


def test_a_run_that_cannot_ask_may_not_act(queued):
    run = runs.claim(queued.pk, "w")
    with dead_database(), pytest.raises(Exception):  # noqa: B017 - whatever the database raises, it does not pass
        runs.may_act(run.pk, run.epoch)


def test_finishing_closes_run_steps_and_figures_in_one_go(time, queued):
    run = runs.claim(queued.pk, "w")
    step = runs.begin_step(run, 1, "play", time.now())
    time.advance(timedelta(seconds=4))
    last = runs.StepOutcome(step_id=step.pk, changed=True, summary={"x": float("nan")})
    done = runs.finish(
        run, Outcome(changed=True, cpu_s=0.5, api_weight=3, last_step=last, result={"y": 1}), time.now()
    )
    assert (done.status, done.changed, done.cpu_s, done.api_weight, done.lease_until) == (
        "succeeded",
        True,
        0.5,
        3,
        None,
    )
    step.refresh_from_db()
    assert (step.status, step.changed, step.summary) == ("succeeded", True, {"x": None})
    row = Workflow.objects.get()
    assert (row.mean_duration_s, row.last_result, row.last_finished_at) == (4.0, "succeeded", time.now())
    with pytest.raises(ConcurrentChange):
        runs.finish(run, Outcome(), time.now())


def test_a_slot_is_planned_once(time, toy, db):
    row = testkit.make_workflow(toy, time.now())
    wanted = Wanted(
        workflow_id=row.pk, slot_at=time.now(), cause="cadence", decision_id=None, lane="trading", priority=2,
        expires_at=time.now() + timedelta(hours=1),
    )  # fmt: skip
    assert len(runs.plan([wanted, wanted], time.now())) == 1
    runs.plan([wanted], time.now())
    assert Run.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.create(
            workflow=row,
            slot_at=time.now(),
            cause="x",
            lane="t",
            priority=1,
            planned_at=time.now(),
            expires_at=time.now(),
        )


def test_a_workflow_has_one_open_run_and_the_next_slot_waits_for_its_end(time, queued):
    later = Wanted(
        workflow_id=queued.workflow_id, slot_at=time.now() + timedelta(minutes=5), cause="cadence", decision_id=None,
        lane="trading", priority=2, expires_at=time.now() + timedelta(hours=1),
    )  # fmt: skip
    assert runs.plan([later], time.now()) == []
    runs.cancel(queued.pk, ACTOR, time.now())
    assert len(runs.plan([later], time.now())) == 1


def test_cancelling_a_running_run_fences_its_worker(time, queued):
    run = runs.claim(queued.pk, "w")
    assert runs.cancel(run.pk, ACTOR, time.now(), "wrong one").status == "abandoned"
    assert runs.may_act(run.pk, run.epoch) == "superseded"
    assert runs.cancel(run.pk, ACTOR, time.now()).status == "abandoned"
    assert Workflow.objects.get().consecutive_failures == 0


def _claim(run_id: int, worker: str) -> str | None:
    with testkit.registered(testkit.toy_type()):
        clock.set_clock(clock.RealClock())
        run = runs.claim(run_id, worker)
        return None if run is None else run.worker


@pytest.mark.django_db(transaction=True)
def test_of_four_processes_exactly_one_claims_each_run(toy, halt_file):
    now = clock.RealClock().now()
    with clock.use(clock.RealClock()):
        testkit.switch_on(now)
        pks = [testkit.queued_run(testkit.make_workflow(toy, now, slug=f"w{i}"), now).pk for i in range(5)]
        for pk in pks:
            answers = run_together(*[(_claim, (pk, f"p{i}")) for i in range(4)])
            assert len([answer for answer in answers if answer]) == 1
    assert set(Run.objects.values_list("epoch", "attempts")) == {(1, 1)}
    assert RunEvent.objects.filter(event="claim").count() == 5


def _plan(workflow_id: int, slot_at, started) -> int:
    with testkit.registered(testkit.toy_type()):
        clock.set_clock(clock.RealClock())
        wanted = Wanted(
            workflow_id=workflow_id, slot_at=slot_at, cause="cadence", decision_id=None, lane="trading", priority=2,
            expires_at=slot_at + timedelta(hours=1),
        )  # fmt: skip
        with transaction.atomic():
            runs.enqueue(runs.plan([wanted], started), started, ring=SilentRing())
        return 1


@pytest.mark.django_db(transaction=True)
def test_processes_that_plan_the_same_slot_make_one_run(toy, halt_file):
    now = clock.RealClock().now()
    row = testkit.make_workflow(toy, now)
    for second in range(5):
        slot = now + timedelta(seconds=second)
        run_together(*[(_plan, (row.pk, slot, now)) for _ in range(4)])
        assert Run.objects.filter(slot_at=slot).count() == 1
        assert RunEvent.objects.filter(row__slot_at=slot, event="enqueue").count() == 1
        runs.cancel(Run.objects.get(slot_at=slot).pk, ACTOR, now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("point", "status"),
    [
        ("before_claim", "queued"),
        ("after_claim", "running"),
        ("mid_run", "running"),
        ("before_finish", "running"),
    ],
)
def test_a_worker_killed_at_any_point_leaves_a_run_the_sweeper_ends(toy, halt_file, point, status):
    from orchestrator import runner

    with clock.use(clock.VirtualClock(clock.RealClock().now())) as virtual:
        testkit.switch_on(virtual.now())
        pk = testkit.queued_run(testkit.make_workflow(toy, virtual.now()), virtual.now()).pk
        assert run_and_crash(lambda: runner.execute(pk), point) == -9
        assert Run.objects.get().status == status
        virtual.advance(timedelta(seconds=31))
        ring = SilentRing()
        report = runs.sweep(virtual.now(), ring=ring)
        run = Run.objects.get()
        if status == "queued":
            assert ring.rung == [pk] and report.requeued == 1
            assert runner.execute(pk) == "succeeded"
        else:
            assert (run.status, run.error_code) == ("abandoned", "worker-lost")
            assert runner.execute(pk) == "not_claimed"
            assert set(RunStep.objects.values_list("status", flat=True)) <= {"failed", "succeeded"}
        assert RunEvent.objects.filter(to_status__in=states.RUN.terminal).count() == 1


class _Fast(clock.RealClock):
    """The clock of a host that goes an hour ahead of everybody else's."""

    def now(self):
        return super().now() + timedelta(hours=1)


@pytest.mark.django_db
def test_a_host_whose_clock_is_wrong_judges_the_deadline_by_the_clock_that_set_it(toy, halt_file):
    # SQLite is one host with one clock; PostgreSQL's is everybody's.
    with clock.use(clock.RealClock() if connection.vendor == "postgresql" else _Fast()):
        testkit.switch_on(clock.now())
        made = testkit.queued_run(testkit.make_workflow(toy, clock.db_now()), clock.db_now(), expires_s=7200)
        run = runs.claim(made.pk, "right")
    with clock.use(_Fast()):
        assert runs.may_act(run.pk, run.epoch) == ""
        assert runs.heartbeat(run.pk, run.epoch)
        Run.objects.update(deadline_at=clock.db_now() - timedelta(seconds=1))
        assert runs.may_act(run.pk, run.epoch) == "deadline"


@pytest.mark.django_db
def test_a_run_that_ends_on_a_host_whose_clock_is_wrong_is_not_late(toy, halt_file):
    with clock.use(clock.RealClock() if connection.vendor == "postgresql" else _Fast()):
        testkit.switch_on(clock.now())
        made = testkit.queued_run(testkit.make_workflow(toy, clock.db_now()), clock.db_now(), expires_s=7200)
    with clock.use(_Fast()):
        assert runner.execute(made.pk, worker="fast") == "succeeded"
