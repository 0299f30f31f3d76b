"""Position arithmetic: a hand-computed story, then the conservation of cash."""

from __future__ import annotations

from decimal import Context
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.quant.positions import Holding, apply_trade, pay_fee_in_base

WIDE = Context(prec=200)


def trade(holding: Holding, quantity: str, value: str, fee: str = "0") -> Holding:
    return apply_trade(holding, quantity=D(quantity), value=D(value), fee=D(fee))


def test_a_position_is_opened_added_to_reduced_turned_and_closed() -> None:
    flat = Holding()
    held = trade(flat, "10", "100", "0.1")
    assert (held.quantity, held.cost, held.realised, held.fees) == (D(10), D(100), D(0), D("0.1"))
    held = trade(held, "10", "140")
    assert (held.quantity, held.cost, held.average_price) == (D(20), D(240), D(12))
    held = trade(held, "-5", "75")  # at 15, bought at 12
    assert (held.quantity, held.cost, held.realised) == (D(15), D(180), D(15))
    held = trade(held, "-20", "200")  # at 10: 15 closed with -30, 5 short opened
    assert (held.quantity, held.cost, held.realised) == (D(-5), D(-50), D(-15))
    assert held.unrealised(D(9)) == D(5)
    held = trade(held, "5", "60")  # at 12, sold at 10
    assert (held.quantity, held.cost, held.realised) == (D(0), D(0), D(-25))
    assert held.average_price is None


def test_a_trade_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        trade(Holding(), "0", "0")


def test_a_fee_kept_in_the_asset_shrinks_the_position_and_counts_as_fee() -> None:
    held = pay_fee_in_base(trade(Holding(), "10", "100"), fee=D("0.01"), value=D("0.1"))
    assert (held.quantity, held.cost, held.fees) == (D("9.99"), D("99.9"), D("0.1"))


units = st.decimals(min_value="-1e12", max_value="1e12", places=8, allow_nan=False).filter(bool)
values = st.decimals(min_value="0", max_value="1e30", places=8, allow_nan=False)


@settings(max_examples=300)
@given(st.lists(st.tuples(units, values), min_size=1, max_size=30))
def test_cost_minus_realised_is_the_cash_spent_to_the_last_unit(trades: list[tuple[D, D]]) -> None:
    held, cash, quantity = Holding(), D(0), D(0)
    for amount, value in trades:
        held = apply_trade(held, quantity=amount, value=value)
        cash = WIDE.add(cash, value if amount > 0 else -value)
        quantity = WIDE.add(quantity, amount)
    assert WIDE.subtract(held.cost, held.realised) == cash
    assert held.quantity == quantity
    if not quantity:
        assert held.cost == 0
