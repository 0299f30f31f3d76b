"""What an account is worth: conversion, missing prices, drawdown, history (F59)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.trading import selectors
from assets.trading.models import EquityPoint
from assets.trading.rates import Edge, Rates
from assets.trading.services import equity, fills
from assets.trading.tests import kit
from tradingsite.foundation import clock

MINUTE = kit.MINUTE


def test_a_rate_is_found_directly_inverted_and_over_a_bridge() -> None:
    rates = Rates(
        "USD", [Edge("EUR", "USD", D("1.25")), Edge("USD", "JPY", D(100)), Edge("EUR", "GBP", D("0.5"))]
    )
    assert rates.rate("USD") == 1
    assert rates.rate("EUR") == D("1.25")
    assert rates.rate("JPY") == D("0.01")
    assert rates.rate("GBP") == D("2.5")  # GBP -> EUR -> USD
    assert not rates.used_parity


def test_no_way_and_a_price_of_zero_are_unknown_never_one() -> None:
    rates = Rates("USD", [Edge("BTC", "EUR", D(5)), Edge("EUR", "USD", D(0))])
    assert rates.rate("BTC") is None and rates.rate("XRP") is None


def test_a_dollar_coin_counts_as_a_dollar_and_says_so() -> None:
    rates = Rates("USD", [Edge("BTC", "USDT", D(50000))])
    assert rates.rate("BTC") == D(50000)
    assert rates.used_parity


pytestmark = pytest.mark.django_db


def bought(at: datetime, symbol: str, quantity: str, price: str, side: str = "buy", **values: object):  # type: ignore[no-untyped-def]
    row = kit.instrument(symbol, **values)
    account = kit.Account.objects.first() or kit.account("USD")
    order = kit.order(account, row, side, quantity, now=at, key=symbol, status="accepted", reference=price)
    fills.book(order, symbol, D(quantity), D(price), D(0), row.quote, at)
    return account, row


def test_profit_in_yen_is_told_in_dollars_over_the_price_of_dollars_in_yen(at: datetime) -> None:
    account, row = bought(at, "USDJPY", "1000", "100")
    kit.bars(row, at - 2 * MINUTE, [125.0, 125.0])
    found = selectors.equity(account, at)
    # 1000 USD held, 100000 JPY owed = 800 USD at 125.
    assert (found.equity, found.exposure, found.unrealised) == (D(10200), D(1000), D(200))


def test_a_bridge_nobody_holds_is_looked_up_in_the_universe(at: datetime, settings) -> None:  # type: ignore[no-untyped-def]
    settings.TRADING_FEED = "simulated"
    account, row = bought(at, "EURGBP", "100", "0.5")
    kit.bars(row, at - 2 * MINUTE, [0.5, 0.5])
    bridge = kit.instrument("GBPUSD")
    kit.bars(bridge, at - 2 * MINUTE, [2.0, 2.0])
    found = selectors.equity(account, at)
    assert (found.equity, found.exposure, found.unconverted) == (D(10000), D(100), ())


def test_what_cannot_be_converted_is_left_out_and_named(at: datetime) -> None:
    account, row = bought(at, "XAUXAG", "10", "80")
    kit.bars(row, at - 2 * MINUTE, [90.0, 90.0])
    found = selectors.equity(account, at)
    assert (found.equity, found.unconverted) == (D(10000), ("XAG",))


def test_a_position_without_price_counts_at_cost_and_is_stale(at: datetime) -> None:
    account, _row = bought(at, "AAAUSD", "10", "80")
    found = selectors.equity(account, at)
    [row] = selectors.positions(account, at)
    assert (found.equity, found.unrealised, found.stale) == (D(10000), D(0), True)
    assert row.unrealised is None and row.value is None


def test_a_fee_in_a_third_asset_lowers_equity_at_its_price(at: datetime) -> None:
    account, row = bought(at, "AAAUSD", "10", "80")
    kit.bars(row, at - 2 * MINUTE, [80.0, 80.0])
    coin = kit.instrument("BNBUSD")
    kit.bars(coin, at - 2 * MINUTE, [300.0, 300.0])
    order = kit.order(account, row, "buy", "1", now=at, key="fee", status="accepted")
    fills.book(order, "fee", D(1), D(80), D("0.01"), "BNB", at)
    assert selectors.equity(account, at).equity == D(9997)


def test_history_has_a_point_a_minute_with_the_peak_so_far(at: datetime) -> None:
    account, row = bought(at, "AAAUSD", "100", "10")
    kit.bars(row, at - 2 * MINUTE, [10.0, 20.0, 20.0, 15.0])
    worths = []
    for minute in range(4):
        now = at + minute * MINUTE
        with clock.use(clock.FixedClock(now)):
            assert equity.snapshot(now) == 1
            assert equity.snapshot(now + timedelta(seconds=30)) == 0
            worths.append(selectors.equity(account, now))
    points = selectors.equity_curve(account)
    assert [p.equity for p in points] == [D(11000), D(11000), D(10500), D(10500)]
    assert points[-1].peak == D(11000)
    assert worths[-1].drawdown == pytest.approx(500 / 11000)


def test_a_snapshot_that_is_not_due_costs_one_query(at: datetime) -> None:
    kit.account("USD")
    equity.snapshot(at)
    with CaptureQueriesContext(connection) as queries:
        assert equity.snapshot(at + timedelta(seconds=1)) == 0
    assert len(queries) == 1 and EquityPoint.objects.count() == 1
