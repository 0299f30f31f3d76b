"""F46 F47 F51: a wall clock that is wrong, jumps while everything runs, or was a day ahead when we came back.

The clock of all our processes is shifted (toy.ShiftedClock); on PostgreSQL that of the database is not, as on a host whose
clock alone is wrong. libfaketime would shift the libraries' too, but it breaks
the timed waits of multiprocessing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradingsite.tests.faults import harness
from tradingsite.tests.faults.databases import SERVER
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


def noticed(made: System, code: str, **where: object) -> int:
    return int(made.ask("count", "orchestrator.HealthEvent", component="clock", code=code, **where))


@pytest.mark.parametrize("jump_s", [30, -30, -3600], ids=lambda s: f"{s:+d}s")
def test_when_the_clock_jumps_runs_go_on_and_none_runs_twice(
    warped: tuple[System, Path], jump_s: int
) -> None:
    made, offset = warped
    set_clock(offset, jump_s)
    took = made.recovers(90)
    after = wait_for(lambda: noticed(made, "jumped"), 30, "health noticed the jump")
    report(f"clock {jump_s:+d} s", recovered_after_s=round(took, 1), noticed_after_s=round(after, 1))
    assert made.executed_twice() == {}
    if SERVER:
        # The database's clock did not jump, and every time that is written is its: all invariants hold as always.
        wait_for(
            lambda: noticed(made, "differs", closed_at=None), 30, "health noticed that the clock is wrong"
        )
        made.is_sound()
    else:
        # I10 compares times of different runs, which a clock set back makes meaningless; that none overlaps is what counts.
        assert made.ask("invariants", "I9", "I11", "I1", "I3") == {}
    made.ask("update", "orchestrator.HealthEvent", {"component": "clock"}, {"code": f"jumped{jump_s}"})
    set_clock(offset, 0)
    made.recovers(90)
    wait_for(lambda: not noticed(made, "differs", closed_at=None), 30, "it is right again")


def be_away(made: System, offset: Path, hours: int) -> None:
    """The clock goes on while nothing runs. A server's cannot be turned: there all that is stored gets older."""
    if not SERVER:
        set_clock(offset, hours * 3600)
        return
    for model, fields in (
        ("orchestrator.Workflow", ("next_run_at", "last_run_at", "last_finished_at")),
        ("orchestrator.Run", ("slot_at", "planned_at", "queued_at", "enqueued_at", "expires_at", "started_at",
                              "heartbeat_at", "lease_until", "deadline_at", "finished_at")),
        ("orchestrator.RunStep", ("started_at", "finished_at")),
        ("orchestrator.Lease", ("expires_at",)),
    ):  # fmt: skip
        for field in fields:
            made.ask("age", model, field, hours * 3600)


def test_after_a_day_off_each_workflow_runs_once_for_all_it_missed(warped: tuple[System, Path]) -> None:
    made, offset = warped
    made.power_cut()
    made.ask("switch", "pause_entries")
    before = made.ask("runs")[-1]["pk"]
    be_away(made, offset, 25)
    took = made.start()
    made.recovers(90)
    newer = [row for row in made.ask("runs", pk__gt=before) if not row["workflow__slug"].startswith("toy")]
    counted = Counter(row["workflow__slug"] for row in newer)
    report("25 h off", ready_after_s=round(took, 1), runs=dict(counted))
    # Hourly work missed 25 slots and more: they collapse to one.
    assert counted and max(counted.values()) <= 2, counted
    assert made.executed_twice() == {}
    assert made.ask("invariants", "I9", "I11", "I1", "I3") == {}
