"""What workflows see of their market, on stored candles. Each pair of tests differs in one thing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from assets.etf.plugin import WATCH as ETF
from assets.markets import hub, universe
from assets.markets.models import Instrument
from assets.markets.universe import InstrumentSpec
from assets.meme_coins.plugin import WATCH as MEME
from assets.research import testkit
from assets.research.observation import Watch
from assets.trading.models import Account, Position, ProtectiveStop
from orchestrator import plugins
from orchestrator.engine.types import (
    Action,
    Cause,
    Exposure,
)
from orchestrator.plugins import CadenceBounds, Lane, Priority, StepResult, TaskSpec, WorkflowType

from .observing import MINUTE_YEAR, after, coin, days, decided, observed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _real_instruments(settings: Any) -> None:
    settings.TRADING_FEED = "replay"


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
    position = Position.objects.create(
        account=account, instrument=row, quantity=units, cost=units * Decimal(repr(entry)), realised=Decimal(0),
        fees=Decimal(0), updated_at=after(0), opened_at=after(0) if units else None,
    )  # fmt: skip
    ProtectiveStop.objects.create(
        position=position, is_long=units > 0, entry=entry, risk=0.03, best=entry, level=entry * 0.97, cause="initial",
        opened_at=after(0), placed_at=after(0), moved_at=after(0), bar_ts=0,
        status="active" if units else "closed",
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
    ProtectiveStop.objects.all().delete()
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
    watch = Watch(asset_type="grass", reference=0.3, threshold=0.9)
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
