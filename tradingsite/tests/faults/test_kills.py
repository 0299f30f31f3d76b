"""F61 F62 F63 G13 G15: kill any process of the tree; it recovers, nothing runs twice, no orphan is left."""

from __future__ import annotations

import os
import signal

import pytest

from tradingsite.tests.faults.harness import RECOVERY_S, System, report, wait_for

ROLES = (
    "web", "web-worker", "loop", "feed", "trading", "trading-sentinel", "trading-pusher", "trading-monitor",
    "maintenance", "maintenance-sentinel",
)  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_process_is_replaced_and_work_goes_on(running: System, role: str) -> None:
    os.kill(running.pid(role), signal.SIGKILL)
    report(f"kill {role}", seconds=round(running.recovers(), 1))
    running.is_sound()


@pytest.mark.parametrize("lane", ["trading", "maintenance"])
def test_killing_each_idle_worker_in_turn_does_not_stop_the_lane(running: System, lane: str) -> None:
    for turn in range(3):
        wait_for(lambda: "idle" in running.workers(lane).values(), 20, "a worker is idle")
        # Whichever of them waits inside the queue's read lock is among these.
        for pid, state in running.workers(lane).items():
            if state == "idle":
                os.kill(pid, signal.SIGKILL)
        report(f"kill idle workers of {lane}", turn=turn, seconds=round(running.recovers(), 1))
    running.is_sound()


def test_a_run_whose_worker_is_killed_is_abandoned_and_never_executed_again(running: System) -> None:
    found = running.run_that("toy_a", "work long")
    os.kill(int(str(found["worker"]).rpartition(":")[2]), signal.SIGKILL)
    took = wait_for(lambda: running.ask("runs", pk=found["pk"])[0]["finished_at"], 30, "it has ended")
    assert running.ask("runs", pk=found["pk"])[0]["status"] == "abandoned"
    report(
        "kill busy worker", abandoned_after_s=round(took, 1), recovered_after_s=round(running.recovers(), 1)
    )
    assert [step for run, _, step, _, _ in running.executions() if run == found["pk"]] == ["begin"]
    running.is_sound()


def test_workers_that_exist_but_do_not_execute_are_noticed_by_the_canary(running: System) -> None:
    before = running.pid("trading")
    for pid in running.workers("trading"):
        os.kill(pid, signal.SIGSTOP)
    took = wait_for(lambda: running.pid("trading") != before, RECOVERY_S, "the cluster is started anew")
    report(
        "all workers stopped", noticed_after_s=round(took, 1), recovered_after_s=round(running.recovers(), 1)
    )
    assert "canary not executed" in running.say()
    running.is_sound()


@pytest.mark.parametrize("role", ["trading-sentinel", "loop", "feed"])
def test_a_process_that_hangs_is_replaced(running: System, role: str) -> None:
    top = role.partition("-")[0]
    before = running.pid(top)
    os.kill(running.pid(role), signal.SIGSTOP)
    took = wait_for(lambda: running.pid(top) != before, 60, f"{top} is replaced")
    report(f"hang {role}", replaced_after_s=round(took, 1), recovered_after_s=round(running.recovers(), 1))
    running.is_sound()


def test_killing_the_supervisor_leaves_no_process(running: System) -> None:
    assert running.process is not None
    assert len(running.tree()) >= 14
    running.process.kill()
    running.process.wait()
    took = wait_for(lambda: not running.leftovers(), 2, "no process is left")
    report("kill supervisor", gone_after_s=round(took, 2))
    report("cold start after that", seconds=round(running.start(), 1))
    running.recovers()
    running.is_sound()
