"""Age of the data and sessions of the market, as workflows see them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from assets.etf.plugin import WATCH as ETF
from assets.forex.plugin import WATCH as FOREX
from assets.meme_coins.plugin import WATCH as MEME
from assets.research import testkit
from orchestrator import plugins
from orchestrator.engine.types import (
    Action,
    Cause,
)

from .observing import after, coin, days, decided, observed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _real_instruments(settings: Any) -> None:
    settings.TRADING_FEED = "replay"


# --- Age and sessions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late_s", "action"), [(119, Action.RUN), (121, Action.SKIP)])
def test_minutes_are_stale_after_two_of_them(late_s: int, action: Action) -> None:
    coin()
    now = after(600) + timedelta(seconds=late_s)
    seen = observed(MEME, now)
    assert (seen.data_age_s, seen.data_age_limit_s) == (late_s, 120.0)
    assert decided(seen, now, last_run_at=None).action is action


def test_one_silent_coin_does_not_stop_the_others() -> None:
    coin("DOGEUSDT", size=600)
    coin("SHIBUSDT", size=100)
    assert observed(MEME, after(600)).data_age_s == 0.0
    assert observed(MEME, after(600), symbols=["SHIBUSDT"]).data_age_s == 500 * 60.0


def test_without_candles_the_data_is_missing_and_nothing_raises() -> None:
    testkit.instrument("DOGEUSDT")
    seen = observed(MEME, after(600))
    assert (seen.volatility, seen.data_age_s, seen.as_of, seen.move_sigmas) == (None, None, None, None)
    decision = decided(seen, after(600), last_run_at=None)
    assert [gate.code for gate in decision.gates] == ["data_missing"]


def test_symbols_nobody_knows_are_missing_data_not_an_error() -> None:
    coin()
    assert observed(MEME, after(600), symbols=["NOSUCH"]).data_age_s is None


def test_one_impossible_instrument_does_not_blind_the_others() -> None:
    coin("DOGEUSDT")
    row = testkit.instrument("SHIBUSDT")
    bars = testkit.bars(np.full(600, 5.0))
    bars.close[300] = 0.0
    testkit.store(row, "1m", bars)
    seen = observed(MEME, after(600))
    assert seen.volatility == pytest.approx(0.5, rel=0.01)
    assert (seen.detail["instruments"], seen.detail["with_data"]) == (2, 1)


def daily(symbol: str = "SPY", *, last: date) -> None:
    """Weekday bars of a fund up to `last`."""
    end = datetime(last.year, last.month, last.day, tzinfo=UTC)
    stamps = [d for d in (end - timedelta(days=n) for n in range(150)) if d.weekday() < 5][::-1]
    closes = testkit.walk(len(stamps), sigma=0.01)
    bars = testkit.bars(closes, bar_s=86_400)
    bars.ts[:] = [int(stamp.timestamp()) for stamp in stamps]
    testkit.store(testkit.instrument(symbol), "1d", bars)


@pytest.mark.parametrize(
    ("now", "is_stale"),
    [
        (datetime(2024, 1, 10, 15, 0, tzinfo=UTC), False),  # Wednesday, Tuesday's bar
        (datetime(2024, 1, 10, 20, 59, tzinfo=UTC), False),
        (datetime(2024, 1, 11, 15, 0, tzinfo=UTC), False),  # one day is missing
        (datetime(2024, 1, 12, 15, 0, tzinfo=UTC), True),  # two days are missing
    ],
)
def test_yesterday_s_daily_bar_is_fresh_today(now: datetime, is_stale: bool) -> None:
    days(date(2023, 7, 3), 240)
    daily(last=date(2024, 1, 9))
    seen = observed(ETF, now, base_s=21_600.0)
    assert seen.is_open
    assert (
        (seen.data_age_s or 0.0) > (seen.data_age_limit_s or 0.0)
        if is_stale
        else (seen.data_age_s or 0.0) <= (seen.data_age_limit_s or 0.0)
    )


def test_friday_s_daily_bar_is_fresh_on_monday() -> None:
    days(date(2023, 7, 3), 240)
    daily(last=date(2024, 1, 5))
    now = datetime(2024, 1, 8, 20, 0, tzinfo=UTC)
    decision = decided(observed(ETF, now, base_s=21_600.0), now, kind=plugins.get("etf"), last_run_at=None)
    assert (decision.action, decision.cause) == (Action.RUN, Cause.FIRST)


@pytest.mark.parametrize(("hour", "is_open"), [(17.9, True), (18.0, False), (20.0, False)])
def test_an_etf_workflow_stops_at_the_early_close_of_a_half_day(hour: float, is_open: bool) -> None:
    half = date(2023, 11, 24)
    days(date(2023, 7, 3), 240, half=half)
    daily(last=date(2023, 11, 23))
    now = datetime(2023, 11, 24, tzinfo=UTC) + timedelta(hours=hour)
    seen = observed(ETF, now, base_s=21_600.0)
    decision = decided(seen, now, kind=plugins.get("etf"), last_run_at=None)
    assert seen.is_open is is_open
    assert (decision.action is Action.RUN) is is_open
    if not is_open:
        assert [gate.code for gate in decision.gates] == ["market_closed"]
        assert decision.next_run_at == datetime(2023, 11, 27, 14, 35, tzinfo=UTC)  # opened and settled


@pytest.mark.parametrize(("minutes", "action"), [(4, Action.SKIP), (5, Action.RUN)])
def test_an_etf_run_waits_until_the_opening_has_settled(minutes: int, action: Action) -> None:
    days(date(2023, 7, 3), 240)
    daily(last=date(2024, 1, 9))
    opens = datetime(2024, 1, 10, 14, 30, tzinfo=UTC)
    yesterday = opens - timedelta(hours=23)
    now = opens + timedelta(minutes=minutes)
    seen = observed(ETF, now, base_s=21_600.0, last_run_at=yesterday, quiet_open_min=5)
    decision = decided(seen, now, kind=plugins.get("etf"), last_run_at=yesterday, interval_s=86_400.0)
    assert decision.action is action
    if action is Action.RUN:
        assert decision.cause is Cause.SESSION_EDGE
        assert seen.last_edge_at == opens + timedelta(minutes=5)
    else:
        assert (seen.closed_reason, decision.next_run_at) == ("opening", opens + timedelta(minutes=5))


def test_overnight_the_next_opening_is_the_settled_one() -> None:
    days(date(2023, 7, 3), 240)
    daily(last=date(2024, 1, 9))
    night = datetime(2024, 1, 10, 3, 0, tzinfo=UTC)
    assert observed(ETF, night, quiet_open_min=5).next_open_at == datetime(2024, 1, 10, 14, 35, tzinfo=UTC)
    assert observed(ETF, night, quiet_open_min=0).next_open_at == datetime(2024, 1, 10, 14, 30, tzinfo=UTC)


def test_a_missing_calendar_is_a_closed_market() -> None:
    daily(last=date(2024, 1, 9))
    seen = observed(ETF, datetime(2024, 1, 10, 15, 0, tzinfo=UTC))
    assert (seen.is_open, seen.closed_reason) == (False, "calendar_missing")


@pytest.mark.parametrize(("minutes", "is_open"), [(-1, True), (0, False)])
def test_forex_never_runs_after_friday_17_00_in_new_york(minutes: int, is_open: bool) -> None:
    close = datetime(2024, 1, 12, 22, 0, tzinfo=UTC)
    row = testkit.instrument("EURUSD")
    start = int(close.timestamp()) - 600 * 60
    testkit.store(row, "1m", testkit.bars(testkit.walk(600, sigma=0.0001, start=1.1), start=start))
    now = close + timedelta(minutes=minutes)
    seen = observed(FOREX, now, base_s=1200.0)
    decision = decided(seen, now, kind=plugins.get("forex"), last_run_at=None)
    assert seen.is_open is is_open
    if is_open:
        assert decision.action is Action.RUN
        assert "New York" in seen.session
    else:
        assert decision.action is Action.SKIP
        assert decision.next_run_at == datetime(2024, 1, 14, 22, 0, tzinfo=UTC)
