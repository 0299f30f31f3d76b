"""The loop's pace: a tick every second whatever happens in between, and one more when a run is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrator.conf import conf
from orchestrator.loop import TickReport
from orchestrator.management.commands.loop import Command
from tradingsite.foundation import clock

NOW = datetime(2024, 5, 14, 12, 0).astimezone()


class Pause:
    """Stands for the event the loop waits on: waiting moves the clock, and is noted."""

    def __init__(self, time: clock.VirtualClock, ticks: int) -> None:
        self.time, self.left, self.waits = time, ticks, list[float]()

    def is_set(self) -> bool:
        return self.left <= 0

    def wait(self, seconds: float) -> None:
        self.left -= 1
        self.waits.append(seconds)
        self.time.advance(timedelta(seconds=seconds))


class Beats:
    def forget(self) -> None: ...


class Ticks:
    """A loop of which the next `often` ticks each have a run due after `gap_s`, and the later ones none."""

    def __init__(self, often: int, gap_s: float) -> None:
        self.often, self.gap_s = often, gap_s

    def resign(self) -> None: ...


def waits(monkeypatch: pytest.MonkeyPatch, often: int, gap_s: float, ticks: int) -> list[float]:
    time = clock.VirtualClock(NOW)
    pause = Pause(time, ticks)
    loop: Any = Ticks(often, gap_s)

    def tick(self: Command, loop: Any, beater: Any) -> TickReport:
        loop.often -= 1
        due = clock.now() + timedelta(seconds=gap_s) if loop.often >= 0 else clock.now() + timedelta(hours=1)
        return TickReport(leader=True, next_due_at=due)

    monkeypatch.setattr(Command, "_tick", tick)
    with clock.use(time):
        Command()._serve(loop, Beats(), pause, 0)  # type: ignore[arg-type]
    return pause.waits


def test_ticks_for_due_runs_do_not_add_up_to_a_long_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    found = waits(monkeypatch, often=50, gap_s=0.05, ticks=60)
    assert max(found) <= conf().tick_s
    assert found[50:] == pytest.approx([found[50], *[conf().tick_s] * 9])


def test_between_full_ticks_it_wakes_when_a_run_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    found = waits(monkeypatch, often=1, gap_s=0.3, ticks=2)
    assert found == pytest.approx([0.3, conf().tick_s - 0.3])
