"""Each pair of tests differs in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from assets.crypto_lt.params import SCHEMA, CryptoParams, read, shares
from assets.crypto_lt.strategy import BUY, REBALANCE, Coin, CryptoInputs, Trade, assess, decide, drift, losses
from assets.quant import volatility as vol
from assets.research import testkit
from assets.trading.targets import Target
from orchestrator.params import defaults

PARAMS = CryptoParams()
NOW = testkit.at(testkit.T0)
FOUR_HOURS = vol.scale(bar_s=14_400, trading_day_s=86_400, days_per_year=365)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "ADAUSDT")


def closes(*, yearly: float = 0.60, fall: float = 0.0, size: int = 180) -> np.ndarray:
    """Alternating moves with exactly that annualised volatility, ending `fall` below the highest close."""
    step = yearly / np.sqrt(FOUR_HOURS.bars_per_year)
    level = np.where(np.arange(size) % 2 == 0, 0.0, step)
    prices = 100.0 * np.exp(level)
    prices[: size // 2] /= 1.0 - fall
    return prices


def coin(price: float | None = 100.0, quantity: str = "0", **shape: float) -> Coin:
    return Coin(
        bars=testkit.series("X", "4h", testkit.bars(closes(**shape), bar_s=14_400)), scale=FOUR_HOURS, price=price,
        quantity=Decimal(quantity), cost=float(quantity) * 100.0,
    )  # fmt: skip


def inputs(
    coins: dict[str, Coin] | None = None, trades: tuple[Trade, ...] = (), **values: object
) -> CryptoInputs:
    made = CryptoInputs(
        now=NOW, coins=coins or {symbol: coin() for symbol in SYMBOLS}, trades=trades, equity=100_000.0,
        cash=100_000.0, params=PARAMS,
    )  # fmt: skip
    return replace(made, **values)


def by_symbol(given: CryptoInputs) -> dict[str, Target]:
    return {target.symbol: target for target in decide(given)}


def codes(target: Target) -> list[str]:
    return [reason.code for reason in target.reasons]


def spent(given: CryptoInputs) -> dict[str, float]:
    """Quote currency the targets would buy for."""
    return {
        symbol: float((target.quantity or Decimal(0)) - given.coins[symbol].quantity)
        * (given.coins[symbol].price or 0.0)
        for symbol, target in by_symbol(given).items()
    }


def bought(symbol: str, hours_ago: float, value: float = 100.0, code: str = BUY) -> Trade:
    return Trade(symbol=symbol, at=NOW - timedelta(hours=hours_ago), value=value, code=code)


def test_an_ordinary_day_buys_a_seventh_of_the_week_in_the_core_shares() -> None:
    found = spent(inputs())
    assert sum(found.values()) == pytest.approx(2000.0 / 7.0, rel=0.02)
    assert found["BTCUSDT"] == pytest.approx(0.5 * sum(found.values()))
    assert found["ADAUSDT"] == pytest.approx(0.1 * sum(found.values()))


def test_a_coin_bought_23_hours_ago_waits_and_one_bought_24_hours_ago_is_due() -> None:
    recent = by_symbol(inputs(trades=(bought("BTCUSDT", 23.0),)))
    due = by_symbol(inputs(trades=(bought("BTCUSDT", 24.0),)))
    assert codes(recent["BTCUSDT"]) == ["dca_not_due"]
    assert recent["BTCUSDT"].quantity == 0
    assert codes(due["BTCUSDT"])[0] == BUY
    assert codes(recent["ETHUSDT"])[0] == BUY


def test_a_rebalance_does_not_count_as_a_purchase() -> None:
    found = by_symbol(inputs(trades=(bought("BTCUSDT", 1.0, code=REBALANCE),)))
    assert codes(found["BTCUSDT"])[0] == BUY


def test_half_price_buys_twice_as_much() -> None:
    usual, fallen = assess(coin(), PARAMS), assess(coin(fall=0.5), PARAMS)
    assert usual.multiple == pytest.approx(1.0, abs=0.05)
    assert fallen.drawdown == pytest.approx(-0.5, abs=0.02)
    assert fallen.multiple == pytest.approx(2.0, abs=0.05)


def test_twice_the_volatility_buys_half() -> None:
    assert assess(coin(yearly=1.2), PARAMS).multiple == pytest.approx(0.5, abs=0.05)


def test_a_purchase_never_leaves_its_limits() -> None:
    assert assess(coin(yearly=0.05, fall=0.6), PARAMS).multiple == PARAMS.max_multiple
    assert assess(coin(yearly=5.0), PARAMS).multiple == 0.25


def test_too_little_history_buys_the_ordinary_amount() -> None:
    assert assess(coin(size=20), PARAMS).multiple == 1.0


def test_seven_days_never_cost_more_than_the_budget_times_the_largest_multiple() -> None:
    week = tuple(bought(symbol, 30.0 + 24 * day, 250.0) for day in range(4) for symbol in SYMBOLS)
    assert sum(trade.value for trade in week) == 4000.0
    found = by_symbol(inputs(trades=week))
    assert {codes(target)[0] for target in found.values()} == {"dca_no_budget"}
    older = tuple(replace(trade, at=trade.at - timedelta(days=7)) for trade in week)
    assert sum(spent(inputs(trades=older)).values()) > 0


def test_no_more_is_spent_than_the_cash_above_the_reserve() -> None:
    assert sum(spent(inputs(cash=2100.0)).values()) == pytest.approx(100.0)
    assert sum(spent(inputs(cash=2000.0)).values()) == 0.0


def test_a_coin_without_a_fresh_price_is_left_alone_and_keeps_its_share() -> None:
    coins = {symbol: coin() for symbol in SYMBOLS}
    all_four = spent(inputs(coins))
    three = spent(inputs(coins | {"ETHUSDT": coin(price=None)}))
    assert "ETHUSDT" not in three
    assert three["BTCUSDT"] == pytest.approx(all_four["BTCUSDT"])


def portfolio(btc: str) -> dict[str, Coin]:
    """Worth 30,000, of which `btc` units (100 each) are Bitcoin when 150 is the planned number."""
    return {
        "BTCUSDT": coin(quantity=btc),
        "ETHUSDT": coin(quantity=str(90 + 150 - int(btc))),
        "SOLUSDT": coin(quantity="30"),
        "ADAUSDT": coin(quantity="30"),
    }


def test_shares_outside_their_band_are_put_right_and_inside_they_are_not() -> None:
    outside, inside = by_symbol(inputs(portfolio("170"))), by_symbol(inputs(portfolio("165")))
    assert codes(outside["BTCUSDT"]) == [REBALANCE]
    assert float(outside["BTCUSDT"].quantity) == pytest.approx(150.0)
    assert float(outside["ETHUSDT"].quantity) == pytest.approx(90.0)
    assert codes(inside["BTCUSDT"])[0] == BUY


def test_sales_come_before_purchases() -> None:
    found = by_symbol(inputs(portfolio("170")))
    assert found["BTCUSDT"].urgency > found["ETHUSDT"].urgency


def test_a_rebalance_six_days_ago_forbids_one_and_eight_days_ago_does_not() -> None:
    early = by_symbol(inputs(portfolio("170"), (bought("BTCUSDT", 6 * 24, code=REBALANCE),)))
    later = by_symbol(inputs(portfolio("170"), (bought("BTCUSDT", 8 * 24, code=REBALANCE),)))
    assert codes(early["BTCUSDT"])[0] == BUY
    assert codes(later["BTCUSDT"]) == [REBALANCE]


def test_a_small_portfolio_is_not_rebalanced() -> None:
    found = by_symbol(inputs(portfolio("170"), equity=400_000.0))
    assert codes(found["BTCUSDT"])[0] == BUY


def test_nothing_is_rebalanced_while_one_price_is_unknown() -> None:
    coins = portfolio("170") | {"ADAUSDT": coin(price=None, quantity="30")}
    assert codes(by_symbol(inputs(coins))["BTCUSDT"])[0] == BUY


def test_a_full_position_buys_no_more() -> None:
    full = portfolio("150") | {"ETHUSDT": coin(quantity="90")}
    target = by_symbol(inputs(full, equity=30_000.0, params=replace(PARAMS, rebalance_from=1.0)))["BTCUSDT"]
    assert codes(target) == ["dca_no_budget"]


def test_drift_is_the_largest_distance_from_a_share() -> None:
    assert drift(portfolio("165")) == pytest.approx(0.05)
    assert np.isnan(drift({"BTCUSDT": coin()}))


def test_a_loss_is_reported_at_its_limit() -> None:
    held = {"BTCUSDT": coin(price=75.0, quantity="10"), "ETHUSDT": coin(price=75.1, quantity="10")}
    assert losses(held, 0.25) == {"BTCUSDT": pytest.approx(-0.25)}


def test_shares_sum_to_one_for_any_symbols() -> None:
    assert shares(("BTCUSDT.DEMO", "ETHUSDT.DEMO")) == pytest.approx(
        {"BTCUSDT.DEMO": 0.625, "ETHUSDT.DEMO": 0.375}
    )
    for symbols in (SYMBOLS, (*SYMBOLS, "DOTUSDT"), ("DOTUSDT", "XRPUSDT"), ("SOLUSDT",)):
        found = shares(symbols)
        assert sum(found.values()) == pytest.approx(1.0)
        assert min(found.values()) > 0.0
    assert shares(()) == {}


def test_real_bitcoin_is_bought_more_in_the_fall_of_2022_than_at_the_top_of_2021() -> None:
    bars = testkit.shared_bars("crypto_lt/BTCUSDT_1d", first="2021-01-01", last="2022-12-31")
    daily = vol.scale(bar_s=86_400, trading_day_s=86_400, days_per_year=365)

    def multiple(day: str) -> float:
        end = int(
            np.searchsorted(bars.ts, int(testkit.datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()))
        )
        window = bars.take(slice(end - 180, end))
        return assess(
            Coin(bars=testkit.series("BTCUSDT", "1d", window), scale=daily, price=1.0), PARAMS
        ).multiple

    assert multiple("2022-07-20") > 1.3 * multiple("2021-11-09")


def test_defaults_of_the_schema_are_those_of_the_dataclass() -> None:
    assert read({}) == CryptoParams()
    assert set(defaults(SCHEMA)) == set(CryptoParams.__dataclass_fields__)
