"""What the tests of observation share: coins that move as asked, sessions, questions to watch and engine."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from assets.markets import calendars
from assets.markets.models import CalendarDay, Instrument
from assets.meme_coins.plugin import WORKFLOW as MEME_TYPE
from assets.research import testkit
from assets.research.observation import Watch
from orchestrator.engine.decide import decide
from orchestrator.engine.types import (
    Conditions,
    Decision,
    Exposure,
    History,
    HostLoad,
    Subject,
)
from orchestrator.plugins import WorkflowType

MINUTE_YEAR = math.sqrt(365 * 1440)


def coin(
    symbol: str = "DOGEUSDT", *, yearly: float = 0.5, size: int = 600, seed: int = 1
) -> tuple[Instrument, testkit.Bars]:
    """A stored coin whose minutes move with that annualised volatility; its last bar closes at T0 + size minutes."""
    row = testkit.instrument(symbol)
    moves = np.where(np.random.default_rng(seed).random(size) < 0.5, -1.0, 1.0) * yearly / MINUTE_YEAR
    bars = testkit.bars(100.0 * np.exp(np.cumsum(moves)))
    testkit.store(row, "1m", bars)
    return row, bars


def after(minutes: float) -> datetime:
    return testkit.at(testkit.T0) + timedelta(minutes=minutes)


def observed(watch: Watch, now: datetime, **view: Any) -> Conditions:
    base_s = view.pop("base_s", 300.0)
    return watch.observe([testkit.view(watch.asset_type, base_s=base_s, **view)], now)[1]


def decided(
    conditions: Conditions,
    now: datetime,
    *,
    kind: WorkflowType = MEME_TYPE,
    last_run_at: datetime | None,
    interval_s: float | None = None,
) -> Decision:
    subject = Subject(key=kind.key, bounds=kind.bounds.as_engine(), is_trading=kind.is_trading)
    history = History(last_run_at=last_run_at, interval_s=interval_s)
    return decide(subject, conditions, Exposure(), HostLoad(), history, now)


def days(first: date, count: int, *, half: date | None = None) -> None:
    """Sessions of New York on weekdays: 14:30 to 21:00 UTC, until 18:00 on a half day."""
    rows = []
    for offset in range(count):
        day = first + timedelta(days=offset)
        if day.weekday() < 5:
            close = 18 if day == half else 21
            rows.append(
                CalendarDay(
                    calendar="XNYS", day=day, is_half_day=day == half,
                    open_at=datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC),
                    close_at=datetime(day.year, day.month, day.day, close, 0, tzinfo=UTC),
                )
            )  # fmt: skip
    CalendarDay.objects.bulk_create(rows)
    calendars.forget()
