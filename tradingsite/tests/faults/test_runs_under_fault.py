"""F64 F65 F66 F67 F68 F76: runs that kill, hang, sleep too long; bells that ring twice, never, or falsely."""

from __future__ import annotations

import os
import signal

import pytest

from tradingsite.tests.faults import toy
from tradingsite.tests.faults.harness import FAST, System, report, wait_for


def test_a_paused_worker_that_wakes_after_its_lease_may_not_act_any_more(running: System) -> None:
    run = running.run_that("toy_a", "work long")
    pid = int(run["worker"].rpartition(":")[2])
    os.kill(pid, signal.SIGSTOP)
    try:
        took = wait_for(
            lambda: running.ask("runs", pk=run["pk"])[0]["status"] == "abandoned", 45, "it is abandoned"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(
        lambda: running.workers("trading").get(pid, "gone") in ("idle", "gone"),
        30,
        "the late worker is through",
    )
    assert [step for pk, _, step, _, _ in running.executions() if pk == run["pk"]] == ["begin"]
    assert running.ask("runs", pk=run["pk"])[0]["status"] == "abandoned"
    report("paused worker", abandoned_after_s=round(took, 1))
    running.behave()
    running.recovers()
    running.is_sound()


def test_a_poison_pill_is_started_three_times_and_then_quarantined(running: System) -> None:
    # One that is planned already meets the pill as well.
    before = {r["pk"] for r in running.ask("runs", workflow__slug="toy_a") if r["finished_at"]}
    running.behave(toy_a="segfault")
    took = wait_for(
        lambda: running.ask("count", "orchestrator.Workflow", slug="toy_a", quarantined_until__isnull=False), 120,
        "toy_a is quarantined",
    )  # fmt: skip
    runs = [r for r in running.ask("runs", workflow__slug="toy_a") if r["pk"] not in before]
    abandoned = [r for r in runs if r["status"] == "abandoned" and r["attempts"]]
    report("poison pill", quarantined_after_s=round(took, 1), starts=len(abandoned))
    assert len(abandoned) == 3
    assert running.ask("count", "foundation.Alert", code="workflow-poison", status="open") == 1
    # The rest of the system did not mind.
    running.recovers()
    running.is_sound()


@pytest.mark.parametrize("way", ["sleep", "spin", "swallow"])
def test_a_run_past_its_deadline_is_ended_whatever_it_does(running: System, way: str) -> None:
    run = running.run_that("toy_a", way)
    pid = int(run["worker"].rpartition(":")[2])
    running.behave()
    took = wait_for(lambda: running.ask("runs", pk=run["pk"])[0]["finished_at"], 60, "it has ended")
    ended = running.ask("runs", pk=run["pk"])[0]
    gone = wait_for(lambda: pid not in running.workers("trading"), 20, "its worker is gone")
    report(f"deadline, {way}", ended_after_s=round(took, 1), worker_gone_after_s=round(took + gone, 1))
    # A C call that keeps the interpreter's lock stops the heart too: then the lease ends before the deadline.
    expected = ("abandoned", "worker-lost") if way == "spin" else ("timed_out", "deadline")
    assert (ended["status"], ended["error_code"]) == expected
    assert took < toy.DEADLINE_S + FAST["deadline_grace_s"] + 15
    running.recovers()
    running.is_sound()


def queued_while_the_pusher_sleeps(running: System) -> list[int]:
    """Runs whose bells lie in the queue's table."""
    found: list[int] = []

    def waiting() -> bool:
        found[:] = [
            row["pk"] for row in running.ask("runs", status="queued", workflow__slug__in=["toy_a", "toy_b"])
        ]
        return len(found) == 2

    wait_for(waiting, 40, "bells lie in the table")
    return found


@pytest.mark.parametrize("word", ["duplicate", "lose", "spoil"])
def test_bells_that_ring_twice_never_or_falsely_change_nothing(running: System, word: str) -> None:
    pusher = running.pid("trading-pusher")
    os.kill(pusher, signal.SIGSTOP)
    try:
        ids = queued_while_the_pusher_sleeps(running)
        touched = running.ask("queue", word)
    finally:
        os.kill(pusher, signal.SIGCONT)
    assert touched and ids
    took = wait_for(
        lambda: running.ask("count", "orchestrator.Run", pk__in=ids, status="succeeded") == len(ids),
        60,
        "they succeeded",
    )
    report(f"queue rows: {word}", rows=touched, runs=len(ids), done_after_s=round(took, 1))
    running.recovers()
    running.is_sound()


def test_a_backlog_of_maintenance_does_not_delay_trading_and_stale_runs_expire(running: System) -> None:
    count, expires_s = 1000, 15
    ids = running.ask("plan_many", "toy_m", count, expires_s, "maintenance")
    newest, mark = running.ask("runs")[-1]["pk"], len(running.say())
    took = wait_for(
        lambda: running.ask("count", "orchestrator.Run", pk__in=ids[-500:], status__in=["planned", "queued", "running"]) == 0,
        120, "the backlog is gone",
    )  # fmt: skip
    rows = running.ask("rows", "orchestrator.Run", ["status", "skip_reason", "started_at", "expires_at"], pk__lte=newest,
                       workflow__slug__startswith="toy_m-")  # fmt: skip
    late = [row for row in rows if row["started_at"] and row["started_at"] > row["expires_at"]]
    skipped = [row for row in rows if row["skip_reason"] == "too_late"]
    delays = sorted(running.ask("start_delays", newest, "trading"))
    assert "workers-maintenance left with 70" not in running.say(mark)
    report("backlog", runs=count, skipped=len(skipped), cleared_after_s=round(took, 1),
           trading_start_delay_p95_s=delays[int(len(delays) * 0.95)])  # fmt: skip
    assert late == [] and len(skipped) > 0
    assert all(row["status"] in ("succeeded", "skipped") for row in rows)
    running.ask("update", "orchestrator.Workflow", {"slug__startswith": "toy_m-"}, {"status": "archived"})
    # The bells of expired runs are still to be heard, one after the other; the canary must not take that for a stop.
    running.recovers(240)
    running.is_sound()


def test_runs_queued_under_an_old_secret_key_are_rung_again_under_the_new_one(running: System) -> None:
    for lane in ("trading", "maintenance"):
        os.kill(running.pid(f"{lane}-pusher"), signal.SIGSTOP)
    ids = queued_while_the_pusher_sleeps(running)
    running.power_cut()
    running.environment["TRADING_SECRET_KEY"] = "another-key-0123456789-abcdefghijklmnopqrstuvwxyz-0123"
    running._agent.close() if running._agent else None
    running._agent = None
    running.start()
    took = wait_for(
        lambda: running.ask("count", "orchestrator.Run", pk__in=ids, status__in=["succeeded", "skipped"]) == len(ids), 60,
        "all of them ended",
    )  # fmt: skip
    report("secret key changed", runs=len(ids), done_after_s=round(took, 1))
    running.recovers()
    running.is_sound()
