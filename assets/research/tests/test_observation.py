"""What workflows see of their market, on stored candles. Each pair of tests differs in one thing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from assets.etf.plugin import WATCH as ETF
from assets.forex.plugin import WATCH as FOREX
from assets.markets import calendars, hub, universe
from assets.markets.models import CalendarDay, Instrument
from assets.markets.universe import InstrumentSpec
from assets.meme_coins.plugin import WATCH as MEME
from assets.meme_coins.plugin import WORKFLOW as MEME_TYPE
from assets.research import testkit
from assets.research.observation import Watch
from assets.trading.models import Account, Position
from orchestrator import plugins
from orchestrator.engine.decide import decide
from orchestrator.engine.types import (
    Action,
    Cause,
    Conditions,
    Decision,
    Exposure,
    History,
    HostLoad,
    Subject,
)
from orchestrator.plugins import CadenceBounds, Lane, Priority, StepResult, TaskSpec, WorkflowType

pytestmark = pytest.mark.django_db

MINUTE_YEAR = math.sqrt(365 * 1440)


@pytest.fixture(autouse=True)
def _real_instruments(settings: Any) -> None:
    settings.TRADING_FEED = "replay"


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


# --- Volatility and cadence -----------------------------------------------------------------------------------


def test_the_wildest_coin_sets_the_volatility_of_a_meme_workflow() -> None:
    coin("DOGEUSDT", yearly=0.4)
    coin("SHIBUSDT", yearly=1.1, seed=2)
    seen = observed(MEME, after(600))
    assert seen.volatility == pytest.approx(1.1, rel=0.01)
    assert seen.detail["leader"] == "SHIBUSDT"
    assert seen.as_of == after(600)


def test_the_mean_fund_sets_the_volatility_of_an_etf_workflow() -> None:
    days(date(2023, 7, 3), 240)
    for symbol, wobble in (("SPY", 0.01), ("TLT", 0.02)):
        closes = 100.0 * np.exp(wobble / 2.0 * (-1.0) ** np.arange(100))
        testkit.store(
            testkit.instrument(symbol),
            "1d",
            testkit.bars(closes, bar_s=86_400, start=testkit.T0 - 99 * 86_400),
        )
    seen = observed(ETF, after(24 * 60 + 15 * 60))
    assert seen.volatility == pytest.approx(0.015 * math.sqrt(252), rel=0.001)


@pytest.mark.parametrize(("yearly", "expected"), [(0.85, 60.0), (1.6, 60.0)])
def test_above_80_percent_a_year_a_meme_workflow_runs_at_its_minimum(yearly: float, expected: float) -> None:
    coin(yearly=yearly)
    decision = decided(observed(MEME, after(600), last_run_at=after(599)), after(600), last_run_at=after(599))
    assert decision.interval_s == pytest.approx(expected, rel=1e-6)
    assert (decision.action, decision.cause) == (Action.RUN, Cause.CADENCE)


def test_below_it_runs_later_the_calmer_it_is() -> None:
    coin(yearly=0.75)
    lively = decided(observed(MEME, after(600), last_run_at=after(599)), after(600), last_run_at=after(599))
    Instrument.objects.all().update(is_active=False)
    testkit.forget()
    coin("SHIBUSDT", yearly=0.2)
    calm = decided(observed(MEME, after(600), last_run_at=after(599)), after(600), last_run_at=after(599))
    assert 120.0 < lively.interval_s < 300.0 < calm.interval_s <= 900.0
    assert lively.action is Action.WAIT


def test_a_workflow_s_own_threshold_wins() -> None:
    coin(yearly=0.5)
    seen = observed(MEME, after(600), volatility_threshold=0.45, band_sigmas=3.0)
    assert (seen.volatility_threshold, seen.band_sigmas) == (0.45, 3.0)
    assert decided(seen, after(600), last_run_at=after(599)).interval_s == pytest.approx(60.0)


def test_a_short_history_has_no_volatility_and_a_longer_one_has() -> None:
    coin(size=20)
    assert observed(MEME, after(20)).volatility is None
    coin("SHIBUSDT", size=21)
    assert observed(MEME, after(21)).volatility is not None


# --- Never newer than now -------------------------------------------------------------------------------------


def test_nothing_newer_than_now_is_seen() -> None:
    coin(size=600)
    early = observed(MEME, after(300))
    Instrument.objects.all().update(is_active=False)
    testkit.forget()
    row, bars = coin("SHIBUSDT", size=300)
    del row, bars
    alone = observed(MEME, after(300))
    assert early.as_of == alone.as_of == after(300)
    assert early.volatility == pytest.approx(alone.volatility or 0.0, rel=1e-9)


def test_a_bar_counts_from_the_second_it_is_closed() -> None:
    coin(size=600)
    assert observed(MEME, after(599) + timedelta(seconds=59)).as_of == after(599)
    assert observed(MEME, after(600)).as_of == after(600)


def test_going_back_in_time_shows_the_past_again() -> None:
    coin(size=600)
    assert observed(MEME, after(600)).as_of == after(600)
    assert observed(MEME, after(400)).as_of == after(400)


# --- Move since the last run ----------------------------------------------------------------------------------


def test_the_move_since_the_last_run_is_in_sigmas_of_the_base_interval() -> None:
    _row, bars = coin(yearly=0.6)
    seen = observed(MEME, after(600), last_run_at=after(590))
    move = abs(math.log(bars.close[-1] / bars.close[589]))
    sigma = 0.6 / MINUTE_YEAR * math.sqrt(5)
    assert seen.move_sigmas == pytest.approx(move / sigma, rel=1e-6)


def test_a_workflow_that_never_ran_has_no_move_and_one_that_ran_just_now_has_none_yet() -> None:
    coin()
    assert observed(MEME, after(600)).move_sigmas is None
    assert observed(MEME, after(600), last_run_at=after(600)).move_sigmas == 0.0


def test_a_jump_brings_the_run_forward() -> None:
    row, bars = coin(yearly=0.5, size=600)
    now = after(602)
    level = float(bars.close[-1])
    extra = testkit.bars([level, level * 1.05], start=testkit.T0 + 600 * 60)
    still = decided(
        observed(MEME, after(601.5), last_run_at=after(600)), after(601.5), last_run_at=after(600)
    )
    testkit.store(row, "1m", extra)
    jumped = decided(
        observed(MEME, now, last_run_at=after(600)), now, last_run_at=after(600), interval_s=400.0
    )
    assert still.action is Action.WAIT
    assert (jumped.action, jumped.cause) == (Action.RUN, Cause.PRICE_BAND)


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


# --- Few queries, and the same from memory --------------------------------------------------------------------


def test_between_two_closes_nothing_is_read_for_ten_seconds(django_assert_num_queries: Any) -> None:
    coin("DOGEUSDT.DEMO")
    coin("SHIBUSDT.DEMO", seed=3)
    from django.test import override_settings

    with override_settings(TRADING_FEED="simulated"):
        views = [
            testkit.view("meme_coins", pk=pk, base_s=300.0, last_run_at=after(590)) for pk in range(1, 101)
        ]
        MEME.observe(views, after(600))
        with django_assert_num_queries(0):
            answer = MEME.observe(views, after(600) + timedelta(seconds=9))
        with django_assert_num_queries(1):  # the list of instruments
            MEME.observe(views, after(600) + timedelta(seconds=10))
    assert set(answer) == set(range(1, 101))
    assert all(conditions.volatility is not None for conditions in answer.values())


def test_a_hundred_workflows_cost_as_many_queries_as_one(django_assert_num_queries: Any) -> None:
    coin("DOGEUSDT")
    with hub.use_universe(list(Instrument.objects.all())):
        MEME.observe([testkit.view("meme_coins", base_s=300.0, last_run_at=after(590))], after(600))
        testkit.forget()
        views = [
            testkit.view("meme_coins", pk=pk, base_s=300.0, last_run_at=after(590)) for pk in range(1, 101)
        ]
        with django_assert_num_queries(3):  # newest bar, bars, anchor bar; the quota is known for seconds
            MEME.observe(views, after(600))


def test_from_memory_the_answer_is_the_same_without_a_single_query(django_assert_num_queries: Any) -> None:
    coin("DOGEUSDT")
    coin("SHIBUSDT", seed=3)
    view = testkit.view("meme_coins", base_s=300.0, last_run_at=after(550))
    times = [after(560 + step / 2) for step in range(60)]
    stored = [MEME.observe([view], now)[1] for now in times]
    rows = list(Instrument.objects.all())
    with hub.use_universe(rows), hub.preloaded(rows, after(540), after(600)):
        with django_assert_num_queries(0):
            replayed = [MEME.observe([view], now)[1] for now in times]
    assert replayed == stored


def test_the_simulated_twin_answers_to_the_name_of_its_coin(settings: Any) -> None:
    settings.TRADING_FEED = "simulated"
    coin("DOGEUSDT.DEMO")
    coin("SHIBUSDT.DEMO", size=100)
    assert observed(MEME, after(600), symbols=["DOGEUSDT"]).detail["instruments"] == 1


# --- Exposure -------------------------------------------------------------------------------------------------


@pytest.fixture
def account() -> Iterator[Account]:
    yield Account.objects.create(
        name="memes", asset_type="meme_coins", currency="USDT", opening_balance=Decimal(10_000), created_at=after(0),
        max_order_notional=Decimal(0), max_position_ratio=1.0, max_orders_per_minute=10,
    )  # fmt: skip


def hold(account: Account, row: Instrument, quantity: str, entry: float) -> None:
    units = Decimal(quantity)
    Position.objects.create(
        account=account, instrument=row, quantity=units, cost=units * Decimal(repr(entry)), realised=Decimal(0),
        fees=Decimal(0), updated_at=after(0),
    )  # fmt: skip


def staked(now: datetime, **params: Any) -> Exposure:
    return MEME.exposure([testkit.view("meme_coins", base_s=300.0, **params)], now)[1]


def test_without_positions_nothing_is_at_stake() -> None:
    coin()
    assert staked(after(600)) == Exposure()


def test_a_position_is_at_stake_with_its_value_and_the_distance_of_its_stop(account: Account) -> None:
    row, bars = coin()
    price = float(bars.close[-1])
    hold(account, row, "20", price)
    seen = staked(after(600))
    assert seen.open_positions == 1
    assert seen.exposure_ratio == pytest.approx(20 * price / 10_000)
    sigma = 0.5 / MINUTE_YEAR * math.sqrt(5)
    assert seen.stop_distance_sigmas == pytest.approx(-math.log(1 - 0.03) / sigma, rel=1e-3)


def test_a_position_near_its_stop_is_near_and_one_beyond_is_at_zero(account: Account) -> None:
    row, bars = coin()
    price = float(bars.close[-1])
    hold(account, row, "20", price / 0.971)
    near = staked(after(600)).stop_distance_sigmas
    assert near is not None and 0.0 < near < 1.0
    Position.objects.all().delete()
    hold(account, row, "20", price / 0.96)
    assert staked(after(600)).stop_distance_sigmas == 0.0


def test_a_closed_position_and_one_of_another_list_do_not_count(account: Account) -> None:
    row, bars = coin()
    other, _ = coin("SHIBUSDT")
    hold(account, row, "0", 1.0)
    hold(account, other, "5", float(bars.close[-1]))
    assert staked(after(600)).open_positions == 1
    assert staked(after(600), symbols=["DOGEUSDT"]).open_positions == 0


# --- A fifth asset type ---------------------------------------------------------------------------------------


def _watch_grass(_ctx: Any) -> StepResult:
    return StepResult(changed=True, summary={"length_cm": 4})


@pytest.fixture
def grass() -> Iterator[tuple[WorkflowType, Watch]]:
    """An asset type nobody has heard of: one folder's worth of declarations."""
    watch = Watch(
        asset_type="grass", reference=0.3, threshold=0.9, stop_ratio=lambda _bars, _bar_s, _params: 0.1
    )
    kind = WorkflowType(
        key="grass", title="Grass", lane=Lane.TRADING, priority=Priority.NORMAL, asset_type="grass",
        bounds=CadenceBounds(minimum=timedelta(minutes=2), base=timedelta(minutes=10), maximum=timedelta(hours=1)),
        steps=(TaskSpec(name="watch_grass", run=_watch_grass),), observe=watch.observe, exposure=watch.exposure,
    )  # fmt: skip
    universe.register(
        "grass", [InstrumentSpec(symbol="GRASS", base="GRASS", quote="USD", venue="meadow", calendar="24x7")]
    )
    plugins.register(kind)
    yield kind, watch
    plugins.unregister("grass")
    universe.unregister("grass")


def test_a_fifth_asset_type_is_observed_and_decided_like_any_other(grass: tuple[WorkflowType, Watch]) -> None:
    kind, watch = grass
    assert "grass" in plugins.asset_types()
    coin("GRASS", yearly=0.3)
    seen = kind.observe([testkit.view("grass", base_s=600.0)], after(600))[1]
    assert seen.volatility == pytest.approx(0.3, rel=0.01)
    assert kind.exposure([testkit.view("grass", base_s=600.0)], after(600))[1] == Exposure()
    first = decided(seen, after(600), kind=kind, last_run_at=None)
    assert (first.action, first.cause) == (Action.RUN, Cause.FIRST)
    again = decided(seen, after(600), kind=kind, last_run_at=after(595))
    assert (again.action, again.interval_s) == (Action.WAIT, pytest.approx(600.0, rel=0.2))
