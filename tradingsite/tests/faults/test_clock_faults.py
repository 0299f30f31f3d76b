"""F46 F47 F51: a wall clock that is wrong, jumps while everything runs, or was a day ahead when we came back.

The clock of all our processes is shifted (toy.ShiftedClock). libfaketime would shift the libraries' too, but it breaks
the timed waits of multiprocessing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.harness import System, report, wait_for


@pytest.fixture(scope="module")
def warped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Path]]:
    """A system whose wall clock follows a file; its monotonic clock is the machine's."""
    offset = tmp_path_factory.mktemp("clock") / "offset"
    set_clock(offset, 0)
    with harness.system(FAULT_CLOCK=str(offset)) as made:
        made.start()
        made.ask("switch", "start")
        made.recovers(90)
        yield made, offset


def set_clock(offset: Path, seconds: int) -> None:
    fresh = offset.with_suffix(".new")
    fresh.write_text(str(seconds))
    os.replace(fresh, offset)


@pytest.mark.parametrize("jump_s", [30, -30, -3600], ids=lambda s: f"{s:+d}s")
def test_when_the_clock_jumps_runs_go_on_and_none_runs_twice(
    warped: tuple[System, Path], jump_s: int
) -> None:
    made, offset = warped
    set_clock(offset, jump_s)
    took = made.recovers(90)
    noticed = wait_for(
        lambda: made.ask("count", "orchestrator.HealthEvent", component="clock", code="jumped"),
        30,
        "health noticed",
    )
    report(f"clock {jump_s:+d} s", recovered_after_s=round(took, 1), noticed_after_s=round(noticed, 1))
    assert made.executed_twice() == {}
    # I10 compares times of different runs, which a clock set back makes meaningless; what counts is that none overlaps.
    assert made.ask("invariants", "I9", "I11", "I1", "I3") == {}
    made.ask("update", "orchestrator.HealthEvent", {"component": "clock"}, {"code": f"jumped{jump_s}"})
    set_clock(offset, 0)
    made.recovers(90)


def test_after_a_day_off_each_workflow_runs_once_for_all_it_missed(warped: tuple[System, Path]) -> None:
    made, offset = warped
    made.power_cut()
    made.ask("switch", "pause_entries")
    before = made.ask("runs")[-1]["pk"]
    set_clock(offset, 25 * 3600)
    took = made.start()
    made.recovers(90)
    newer = [row for row in made.ask("runs", pk__gt=before) if not row["workflow__slug"].startswith("toy")]
    counted = Counter(row["workflow__slug"] for row in newer)
    report("25 h off", ready_after_s=round(took, 1), runs=dict(counted))
    # Hourly work missed 25 slots and more: they collapse to one.
    assert counted and max(counted.values()) <= 2, counted
    assert made.executed_twice() == {}
    assert made.ask("invariants", "I9", "I11", "I1", "I3") == {}
