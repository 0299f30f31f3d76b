"""The canary's watch over one lane."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django_q.models import OrmQ

from orchestrator import tasks, testkit
from orchestrator.health import canary
from orchestrator.models import HealthEvent, ProcessBeat, Run
from orchestrator.plugins import WorkflowType
from orchestrator.process import draining, watch
from orchestrator.runner import NOT_CLAIMED, worker_name
from tradingsite.foundation import clock

pytestmark = pytest.mark.django_db


class Lane:
    """A lane whose queue is a list."""

    def __init__(self, time: clock.VirtualClock, sent: list[str]) -> None:
        self.time, self.sent = time, sent
        self.watch = watch.LaneWatch(lane="trading", workers=1, every_s=10, patience_s=25)

    def seconds(self, count: int, *, answer: bool = False, host: str = "") -> str:
        for _ in range(count):
            self.time.advance(timedelta(seconds=1))
            self.watch.every_second()
            if answer and self.sent:
                self.answer(host)
            if reason := self.watch.is_stuck():
                return reason
        return ""

    def answer(self, host: str = "") -> None:
        """A worker of this host, or of the one named, empties the queue."""
        with pytest.MonkeyPatch.context() as patch:
            if host:
                patch.setattr(canary, "host", lambda: host)
            tasks.canary(self.sent[-1])
        OrmQ.objects.all().delete()


@pytest.fixture
def lane(time: clock.VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    sent: list[str] = []

    def enqueue(task: str, token: str, **options: Any) -> None:
        assert (task, options["cluster"]) == ("orchestrator.tasks.canary", "trading")
        sent.append(token)
        OrmQ.objects.create(key="trading", payload="x", lock=time.now())

    monkeypatch.setattr(watch, "async_task", enqueue)
    monkeypatch.setattr(watch, "close_old_connections", lambda: None)  # the test's own is the only one
    yield Lane(time, sent)


def test_answered_canaries_keep_the_lane_alive_and_beat_for_it(lane: Lane) -> None:
    assert lane.seconds(120, answer=True) == ""
    assert 11 <= len(lane.sent) <= 13
    assert ProcessBeat.objects.filter(role="workers:trading").count() == 1


def test_an_unanswered_canary_is_a_reason_to_start_anew(lane: Lane) -> None:
    assert lane.seconds(60, answer=True) == ""
    before = lane.time.now()
    assert "canary not executed" in lane.seconds(60)
    assert lane.time.now() - before <= timedelta(seconds=37)


def test_no_second_canary_is_sent_while_one_is_out(lane: Lane) -> None:
    lane.seconds(20)
    assert len(lane.sent) == 1


def test_a_long_queue_that_gets_shorter_is_not_stuck_and_one_that_does_not_is(lane: Lane) -> None:
    OrmQ.objects.bulk_create(OrmQ(key="trading", payload="x", lock=lane.time.now()) for _ in range(20))
    for _ in range(20):
        assert lane.seconds(10) == ""
        OrmQ.objects.filter(pk=OrmQ.objects.order_by("pk").values_list("pk", flat=True)[0]).delete()
    assert len(lane.sent) == 1
    assert "canary not executed" in lane.seconds(40)


def test_a_lost_canary_is_sent_again_and_lost_ones_without_end_mean_stuck(lane: Lane) -> None:
    lane.seconds(3)
    OrmQ.objects.all().delete()
    assert lane.seconds(3) == ""
    assert len(lane.sent) == 2
    for _ in range(13):
        OrmQ.objects.all().delete()
        reason = lane.seconds(3)
    assert "canary not executed" in reason


def test_workers_of_another_host_do_not_vouch_for_dead_ones_of_this(lane: Lane) -> None:
    assert lane.seconds(30, answer=True) == ""
    assert "canary not executed" in lane.seconds(60, answer=True, host="other")


def test_of_two_hosts_with_living_workers_neither_is_started_anew(lane: Lane) -> None:
    for second in range(300):
        # The other host is quicker nine times out of ten.
        assert lane.seconds(1, answer=True, host="" if second % 10 == 0 else "other") == ""


def test_more_canaries_are_sent_while_another_host_takes_them(lane: Lane) -> None:
    lane.seconds(2, answer=True, host="other")
    before = len(lane.sent)
    lane.seconds(5, answer=True, host="other")
    assert 10 <= len(lane.sent) - before <= 5 * 8


def test_each_host_and_lane_has_a_row_of_its_own(
    time: clock.VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host in ("a", "b"):
        monkeypatch.setattr(canary, "host", lambda host=host: host)
        for lane in ("trading", "maintenance"):
            tasks.canary(canary.new_token(lane, time.now()))
    rows = ProcessBeat.objects.filter(role="canary").order_by("name").values_list("name", "host")
    assert list(rows) == [
        ("canary:maintenance@a", "a"), ("canary:maintenance@b", "b"),
        ("canary:trading@a", "a"), ("canary:trading@b", "b"),
    ]  # fmt: skip


def test_busy_workers_are_not_stuck_but_the_run_of_a_dead_one_is_no_work(
    lane: Lane, toy: WorkflowType
) -> None:
    run = a_running_run(toy, lane.time, worker=worker_name())
    assert lane.seconds(100) == ""
    Run.objects.filter(pk=run.pk).update(worker=worker_name().rpartition(":")[0] + ":4194305")
    assert "canary not executed" in lane.seconds(40)


def test_a_database_that_is_away_is_not_the_clusters_fault(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.seconds(5)

    def away(*args: object) -> bool:
        raise OperationalError("gone")

    monkeypatch.setattr(canary, "newest_here", away)
    assert lane.seconds(100) == ""


def test_a_restart_asked_for_by_the_monitor_is_obeyed(lane: Lane) -> None:
    lane.seconds(2, answer=True)
    HealthEvent.objects.create(
        component="workers", subject="trading", code="canary_late", severity="critical", opened_at=lane.time.now(),
        last_seen_at=lane.time.now(), remedy="restart_cluster", remedy_at=lane.time.now() + timedelta(seconds=0.5),
    )  # fmt: skip
    assert "restart requested" in lane.seconds(2, answer=True)


@pytest.mark.parametrize(("host", "obeys"), [("here", True), ("elsewhere", False)])
def test_a_restart_asked_of_one_host_is_obeyed_there(
    lane: Lane, monkeypatch: pytest.MonkeyPatch, host: str, obeys: bool
) -> None:
    monkeypatch.setattr(canary, "host", lambda: "here")
    lane.seconds(2, answer=True)
    HealthEvent.objects.create(
        component="workers", subject=f"trading@{host}", code="canary_late", severity="critical",
        opened_at=lane.time.now(), last_seen_at=lane.time.now(), remedy="restart_cluster",
        remedy_at=lane.time.now() + timedelta(seconds=0.5),
    )  # fmt: skip
    assert ("restart requested" in lane.seconds(2, answer=True)) is obeys


def test_leaving_in_order_leaves_no_sign(lane: Lane) -> None:
    lane.seconds(2)
    lane.watch.leave()
    assert not ProcessBeat.objects.filter(role="workers:trading").exists()


def test_a_draining_cluster_claims_nothing(
    time: clock.VirtualClock, toy: WorkflowType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_running_run(toy, time, status=Run.Status.QUEUED)
    monkeypatch.setattr(draining, "is_draining", lambda: True)
    assert tasks.execute_run(run.pk) == NOT_CLAIMED
    run.refresh_from_db()
    assert (run.status, run.attempts) == (Run.Status.QUEUED, 0)


def a_running_run(toy: WorkflowType, time: clock.VirtualClock, **values: Any) -> Run:
    workflow = testkit.make_workflow(toy, time.now())
    usual: dict[str, Any] = {
        "workflow": workflow, "slot_at": time.now(), "status": Run.Status.RUNNING, "cause": "first", "lane": "trading",
        "priority": 2, "planned_at": time.now(), "started_at": time.now(), "expires_at": time.now() + timedelta(hours=1),
    }  # fmt: skip
    return Run.objects.create(**(usual | values))
