"""A worker that may not or cannot go on ends itself. Real processes, since the whole process ends."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest
from django.db import OperationalError

from orchestrator import heart, runner, testkit
from orchestrator.conf import Conf, conf
from orchestrator.heart import EXIT_FENCED, ThreadHeart
from orchestrator.models import Run
from orchestrator.plugins import StepResult
from orchestrator.services import runs
from orchestrator.testkit import ACTOR
from orchestrator.tests.processes import run_and_crash
from tradingsite.foundation import clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("halt_file")]

FAST = Conf(heartbeat_s=0.05, run_lease_s=0.4)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    for module in (heart, runs.claiming):
        monkeypatch.setattr(module, "conf", lambda: FAST)


@pytest.fixture
def queued(toy):
    now = clock.RealClock().now()
    with clock.use(clock.RealClock()):
        testkit.switch_on(now)
        yield testkit.queued_run(testkit.make_workflow(toy, now), now)


def work_with(step):
    """Execute the queued run in a worker process with this step; returns the exit code."""

    def body():
        with testkit.registered(testkit.toy_type(run=step)):
            runner.execute(Run.objects.get().pk, worker="w", heart=ThreadHeart())
        os._exit(0)

    return run_and_crash(body, "")


def stuck(context):
    threading.Event().wait(20)  # would end the test late, were it not for the heart
    return StepResult()


def test_a_worker_whose_run_was_taken_away_ends_itself(queued):
    def taken_away(context):
        runs.cancel(context.run_id, ACTOR, clock.now())
        return stuck(context)

    assert work_with(taken_away) == EXIT_FENCED
    assert Run.objects.get().status == "abandoned"


def test_a_worker_that_cannot_show_signs_of_life_ends_itself(queued):
    def cut_off(context):
        def dead(run_id, epoch):
            raise OperationalError("no route to host")

        runs.heartbeat = dead
        return stuck(context)

    assert work_with(cut_off) == EXIT_FENCED
    assert Run.objects.get().status == "running", "the sweeper ends it when its lease is over"


def test_a_worker_stuck_past_its_deadline_ends_itself(queued):
    def late(context):
        past = clock.now() - timedelta(seconds=conf().deadline_grace_s + 1)
        Run.objects.update(deadline_at=past)
        return stuck(context)

    assert work_with(late) == EXIT_FENCED


def test_a_healthy_long_step_keeps_its_lease_and_finishes(queued):
    def long(context):
        seen = set()
        while len(seen) < 4:
            seen.add(Run.objects.values_list("heartbeat_at", flat=True).get())
        return StepResult(changed=True)

    assert work_with(long) == 0
    run = Run.objects.get()
    assert (run.status, run.changed) == ("succeeded", True)
