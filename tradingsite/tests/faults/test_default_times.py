"""G13 with the times people get: no shortened lease, canary or sweep."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.conftest import make_whole
from tradingsite.tests.faults.harness import RECOVERY_S, System, report, wait_for


@pytest.fixture(scope="module")
def ordinary() -> Iterator[System]:
    with harness.system(orchestrator={}, TRADING_CANARY_S="", TRADING_CANARY_PATIENCE_S="") as made:
        made.start()
        yield made


@pytest.fixture
def running(ordinary: System) -> System:
    make_whole(ordinary)
    return ordinary


def test_idle_workers_killed(running: System) -> None:
    wait_for(lambda: set(running.workers("trading").values()) == {"idle"}, 60, "all are idle")
    for pid in running.workers("trading"):
        os.kill(pid, signal.SIGKILL)
    took = running.recovers()
    report("defaults: idle workers killed", recovered_after_s=round(took, 1))
    running.is_sound()


def test_workers_that_do_not_execute(running: System) -> None:
    for pid in running.workers("trading"):
        os.kill(pid, signal.SIGSTOP)
    took = running.recovers(RECOVERY_S)
    report("defaults: workers stopped", recovered_after_s=round(took, 1))
    running.is_sound()


def test_a_busy_worker_killed(running: System) -> None:
    found = running.run_that("toy_a", "work long", 60)
    os.kill(int(str(found["worker"]).rpartition(":")[2]), signal.SIGKILL)
    others = running.recovers()
    took = wait_for(lambda: running.ask("runs", pk=found["pk"])[0]["finished_at"], RECOVERY_S, "it has ended")
    ended = running.ask("runs", pk=found["pk"])[0]
    report(
        "defaults: busy worker killed", others_after_s=round(others, 1), ended_after_s=round(others + took, 1)
    )
    # The toy's deadline comes before the end of the default lease; either way the run has one end and is not repeated.
    assert ended["status"] in ("timed_out", "abandoned")
    running.is_sound()


def test_the_supervisor_killed(running: System) -> None:
    assert running.process is not None
    running.tree()
    running.process.kill()
    running.process.wait()
    took = wait_for(lambda: not running.leftovers(), 2, "no process is left")
    report("defaults: supervisor killed", gone_after_s=round(took, 2))
    running.start()
    running.recovers()
    running.is_sound()
