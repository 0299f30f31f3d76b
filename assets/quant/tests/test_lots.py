"""Which purchase a sale is taken from; and that no unit of money appears or vanishes whatever the method."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant.lots import METHODS, LotTrade, match
from assets.quant.positions import Holding, apply_trade

AT = datetime(2024, 1, 1, tzinfo=UTC)


def trade(day: int, quantity: str, price: str, fee: str = "0", symbol: str = "A") -> LotTrade:
    units = D(quantity)
    return LotTrade(
        symbol=symbol, at=AT + timedelta(days=day), quantity=units, value=abs(units) * D(price), fee=D(fee)
    )


BOUGHT = (trade(0, "10", "100"), trade(1, "10", "120"), trade(2, "10", "110"))


@pytest.mark.parametrize(
    ("method", "gain", "opened_day"),
    [("fifo", 500, 0), ("lifo", 400, 2), ("hifo", 300, 1), ("average", 400, 0)],
)
def test_each_method_takes_its_own_lot(method: str, gain: int, opened_day: int) -> None:
    (closed,) = match((*BOUGHT, trade(9, "-10", "150")), method).closed
    assert (closed.gain, closed.opened_at) == (D(gain), AT + timedelta(days=opened_day))
    assert closed.held_days == 9 - opened_day


def test_fees_of_both_ends_belong_to_the_gain() -> None:
    (closed,) = match((trade(0, "10", "100", "5"), trade(1, "-10", "110", "3"))).closed
    assert (closed.cost, closed.proceeds, closed.gain) == (D(1005), D(1097), D(92))


def test_a_sale_over_two_lots_is_two_rows_and_the_rest_stays_open() -> None:
    report = match((*BOUGHT, trade(9, "-15", "150")))
    assert [row.quantity for row in report.closed] == [D(10), D(5)]
    assert [(lot.quantity, lot.cost) for lot in report.open] == [(D(5), D(600)), (D(10), D(1100))]


def test_a_trade_through_zero_closes_and_opens() -> None:
    report = match((trade(0, "10", "100"), trade(1, "-15", "110"), trade(2, "5", "90")))
    assert [(row.is_long, row.gain) for row in report.closed] == [(True, D(100)), (False, D(100))]
    assert report.open == ()


def test_a_short_takes_the_cheapest_sale_first_by_hifo() -> None:
    report = match((trade(0, "-1", "100"), trade(1, "-1", "90"), trade(2, "1", "80")), "hifo")
    assert report.closed[0].gain == D(10)


def test_symbols_do_not_mix() -> None:
    report = match((trade(0, "1", "100", symbol="A"), trade(1, "-1", "110", symbol="B")))
    assert report.closed == () and len(report.open) == 2


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="fifo"):
        match((), "random")
    with pytest.raises(ValueError, match="quantity"):
        match((trade(0, "0", "1"),))


amounts = st.decimals(min_value=D("-1000"), max_value=D("1000"), places=8).filter(lambda d: d != 0)
prices = st.decimals(min_value=D("0.00000001"), max_value=D("1000000"), places=8)
fees = st.decimals(min_value=D(0), max_value=D(10), places=8)
histories = st.lists(st.tuples(amounts, prices, fees), max_size=25)


@given(histories, st.sampled_from(METHODS))
def test_money_is_conserved(history: list[tuple[D, D, D]], method: str) -> None:
    """Cash out for purchases and fees, minus cash in, is the cost of what is open minus what was gained: to the last digit."""
    trades = [
        LotTrade(symbol="A", at=AT + timedelta(days=n), quantity=q, value=abs(q) * p, fee=f)
        for n, (q, p, f) in enumerate(history)
    ]
    report = match(trades, method)
    paid = sum((t.value if t.quantity > 0 else -t.value) + t.fee for t in trades)
    open_cost = sum(lot.cost if lot.quantity > 0 else -lot.cost for lot in report.open)
    assert paid == open_cost - sum(row.gain for row in report.closed)
    assert sum(lot.quantity for lot in report.open) == sum(t.quantity for t in trades)
    assert len({lot.quantity > 0 for lot in report.open}) <= 1
    assert all(row.quantity > 0 and row.opened_at <= row.closed_at for row in report.closed)


@given(histories)
def test_the_average_method_realises_what_the_position_realises(history: list[tuple[D, D, D]]) -> None:
    holding = Holding()
    trades = []
    for n, (quantity, price, _fee) in enumerate(history):
        value = abs(quantity) * price
        holding = apply_trade(holding, quantity=quantity, value=value)
        trades.append(LotTrade(symbol="A", at=AT + timedelta(days=n), quantity=quantity, value=value))
    gained = sum(row.gain for row in match(trades, "average").closed)
    assert abs(gained - holding.realised) <= D("1e-15")
