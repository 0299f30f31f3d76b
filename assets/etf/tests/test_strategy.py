"""Each pair of tests differs in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from assets.etf.params import SCHEMA, EtfParams, read
from assets.etf.strategy import EtfInputs, Fund, assess, decide, is_month_due, losses
from assets.quant import volatility as vol
from assets.research import testkit
from assets.trading.targets import Target
from orchestrator.params import defaults

PARAMS = EtfParams()
DAILY = vol.scale(bar_s=86_400, trading_day_s=23_400, days_per_year=252)
OPENED = datetime(2024, 1, 10, 14, 30, tzinfo=UTC)
NOW = OPENED + timedelta(hours=2)
LAST_WEEK = NOW - timedelta(days=7)
LAST_MONTH = NOW - timedelta(days=20)


def fund(
    growth: float = 0.0005, *, wobble: float = 0.005, quantity: str = "0", size: int = 200, **values: object
) -> Fund:
    """A fund that grows by `growth` a day with alternating moves of `wobble`."""
    closes = 100.0 * np.exp(growth * np.arange(size) + wobble / 2.0 * (-1.0) ** np.arange(size))
    bars = testkit.series("X", "1d", testkit.bars(closes, bar_s=86_400))
    made = Fund(
        bars=bars,
        scale=DAILY,
        bars_per_day=1.0,
        price=100.0,
        quantity=Decimal(quantity),
        cost=float(quantity) * 100.0,
    )
    return replace(made, **values)


def inputs(funds: dict[str, Fund], rebalanced_at: datetime | None = None, **values: object) -> EtfInputs:
    made = EtfInputs(
        now=NOW, funds=funds, equity=100_000.0, rebalanced_at=rebalanced_at, opened_at=OPENED,
        closes_at=OPENED + timedelta(hours=6.5), params=PARAMS,
    )  # fmt: skip
    return replace(made, **values)


def by_symbol(given: EtfInputs) -> dict[str, Target]:
    return {target.symbol: target for target in decide(given)}


def weights(given: EtfInputs) -> dict[str, float]:
    return {symbol: target.weight or 0.0 for symbol, target in by_symbol(given).items()}


def first_code(target: Target) -> str:
    return target.reasons[0].code


SEVEN = {f"F{i}": fund(0.0001 * i) for i in range(-1, 6)}  # F-1 falls, F0 stands still, F5 grows most


def test_the_strongest_funds_are_held_and_falling_ones_never() -> None:
    found = weights(inputs(SEVEN))
    assert {symbol for symbol, weight in found.items() if weight > 0} == {"F1", "F2", "F3", "F4", "F5"}
    assert sum(found.values()) == pytest.approx(0.98)
    no_reserve = weights(inputs(SEVEN, params=replace(PARAMS, cash_reserve=0.0)))
    assert sum(no_reserve.values()) == pytest.approx(1.0)


def test_fewer_winners_leave_the_rest_in_cash() -> None:
    found = weights(inputs({"UP": fund(0.001), "DOWN": fund(-0.001)}))
    assert found["DOWN"] == 0.0
    assert found["UP"] == pytest.approx(0.2)  # one of five places


def test_half_the_volatility_gets_twice_the_weight() -> None:
    found = weights(inputs({"CALM": fund(0.001, wobble=0.004), "WILD": fund(0.001, wobble=0.008)}))
    assert found["CALM"] / found["WILD"] == pytest.approx(2.0, rel=0.05)


def test_no_fund_gets_more_than_its_cap_and_wild_markets_get_less_in_all() -> None:
    two = {"CALM": fund(0.001, wobble=0.0002), "WILD": fund(0.001, wobble=0.02)}
    capped = weights(inputs(two, params=replace(PARAMS, keep=2, target_volatility=1.0)))
    assert capped["CALM"] == pytest.approx(0.40)
    wild = weights(inputs({f"W{i}": fund(0.001, wobble=0.03) for i in range(5)}))
    expected = 0.12 / vol.ewma(vol.log_returns(fund(0.001, wobble=0.03).bars.close), DAILY)
    assert sum(wild.values()) == pytest.approx(expected)


def test_the_first_run_of_a_month_rebalances_and_the_second_does_not() -> None:
    held = {"A": fund(0.001, quantity="200"), "B": fund(0.001, quantity="200")}
    due, done = by_symbol(inputs(held, LAST_MONTH)), by_symbol(inputs(held, LAST_WEEK))
    assert {first_code(target) for target in due.values()} == {"rebalance_monthly"}
    assert {first_code(target) for target in done.values()} == {"inside_band"}
    assert done["A"].quantity == Decimal(200)


def test_a_weight_outside_its_band_is_put_right_between_the_dates() -> None:
    inside = {"A": fund(0.001, quantity="250"), "B": fund(0.001, quantity="150")}
    outside = {"A": fund(0.001, quantity="260"), "B": fund(0.001, quantity="140")}
    assert first_code(by_symbol(inputs(inside, LAST_WEEK))["A"]) == "inside_band"
    found = by_symbol(inputs(outside, LAST_WEEK))
    assert first_code(found["A"]) == "rebalance_band"
    assert found["A"].weight == pytest.approx(0.20)
    assert found["A"].urgency > found["B"].urgency  # sales first


def test_a_new_favourite_waits_for_the_month() -> None:
    funds = {"OLD": fund(0.0002, quantity="200"), "NEW": fund(0.002)}
    mid_month, next_month = by_symbol(inputs(funds, LAST_WEEK)), weights(inputs(funds, LAST_MONTH))
    assert mid_month["NEW"].quantity == 0
    assert next_month["NEW"] > 0


@pytest.mark.parametrize(("minutes", "code"), [(4, "opening"), (5, "rebalance_monthly")])
def test_nothing_is_traded_in_the_first_minutes(minutes: int, code: str) -> None:
    found = by_symbol(inputs(SEVEN, now=OPENED + timedelta(minutes=minutes)))
    assert first_code(found["F5"]) == code


@pytest.mark.parametrize(("hours", "code"), [(6.5, "rebalance_monthly"), (2.1, "closing")])
def test_an_early_close_stops_trading_early(hours: float, code: str) -> None:
    found = by_symbol(inputs(SEVEN, closes_at=OPENED + timedelta(hours=hours)))
    assert first_code(found["F5"]) == code


def test_a_fund_without_a_fresh_price_is_left_alone() -> None:
    assert "F5" in by_symbol(inputs(SEVEN))
    assert "F5" not in by_symbol(inputs(SEVEN | {"F5": fund(price=None)}))


def test_one_bar_too_few_is_no_judgement() -> None:
    assert decide(inputs({"A": fund(0.001, size=20)})) == ()
    assert weights(inputs({"A": fund(0.001, size=21)}))["A"] > 0


def test_without_equity_nothing_is_decided() -> None:
    assert decide(inputs(SEVEN, equity=0.0)) == ()


def test_the_month_turns_with_the_year() -> None:
    december = datetime(2023, 12, 29, 15, tzinfo=UTC)
    assert is_month_due(december, datetime(2024, 1, 2, 15, tzinfo=UTC))
    assert not is_month_due(december, datetime(2023, 12, 31, 15, tzinfo=UTC))
    assert is_month_due(None, december)


def test_momentum_is_the_mean_of_three_windows() -> None:
    closes = np.exp(np.linspace(0.0, 0.126, 127))  # 0.001 a day
    rating = assess(
        replace(fund(), bars=testkit.series("X", "1d", testkit.bars(closes, bar_s=86_400))), PARAMS
    )
    expected = np.mean([np.expm1(0.126), np.expm1(0.063), np.expm1(0.031)])
    assert rating.momentum == pytest.approx(expected)


def test_hourly_bars_serve_where_days_are_missing() -> None:
    minutes = testkit.shared_bars("etf/SPY_1h", first="2019-11-01", last="2019-12-31")
    hourly = vol.scale(bar_s=3600, trading_day_s=23_400, days_per_year=252)
    what = Fund(bars=testkit.series("SPY", "1h", minutes), scale=hourly, bars_per_day=6.5, price=320.0)
    rating = assess(what, PARAMS)
    assert 0.0 < rating.momentum < 0.2
    assert 0.02 < rating.volatility < 0.4


SYMBOLS = (
    "SPY",
    "QQQ",
    "IWM",
    "EFA",
    "EEM",
    "AGG",
    "TLT",
    "IEF",
    "LQD",
    "HYG",
    "TIP",
    "GLD",
    "DBC",
    "VNQ",
    "BIL",
)


def real(day: str) -> EtfInputs:
    """All funds as of the morning of `day`."""
    funds = {}
    for symbol in SYMBOLS:
        bars = testkit.shared_bars(f"etf/{symbol}_1d", first="2007-06", last=day).take(slice(-260, None))
        series = testkit.series(symbol, "1d", bars)
        funds[symbol] = Fund(bars=series, scale=DAILY, bars_per_day=1.0, price=float(bars.close[-1]))
    now = datetime.fromisoformat(f"{day}T16:00:00+00:00")
    return inputs(funds, now=now, opened_at=None, closes_at=None)


def test_real_funds_in_the_crash_of_2008_are_bonds_and_mostly_cash() -> None:
    found = weights(real("2008-11-21"))
    shares = sum(found[symbol] for symbol in ("SPY", "QQQ", "IWM", "EFA", "EEM", "VNQ", "DBC", "HYG"))
    assert shares == 0.0
    assert found["TLT"] + found["IEF"] + found["BIL"] > 0.0


def test_real_funds_in_the_calm_of_2017_are_shares_and_within_all_limits() -> None:
    found = weights(real("2017-10-20"))
    assert sum(found[symbol] for symbol in ("SPY", "QQQ", "IWM", "EFA", "EEM")) > 0.5
    assert 0.0 < sum(found.values()) <= 1.0 + 1e-9
    assert max(found.values()) <= 0.40


def test_a_loss_is_reported_at_its_limit() -> None:
    held = {"A": fund(quantity="10", price=85.0), "B": fund(quantity="10", price=85.1)}
    assert losses(held, 0.15) == {"A": pytest.approx(-0.15)}


def test_defaults_of_the_schema_are_those_of_the_dataclass() -> None:
    assert read({}) == EtfParams()
    assert set(defaults(SCHEMA)) == set(EtfParams.__dataclass_fields__)
