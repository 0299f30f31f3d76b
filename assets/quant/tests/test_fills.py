"""The fill model: hand-computed tables first, then properties."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant import fills
from assets.quant.fills import Bar, Costs, VenueRules, WorkingOrder

RULES = VenueRules(tick_size=D("0.01"), lot_step=D("0.001"), min_quantity=D("0.001"), min_notional=D("5"))
COSTS = Costs(fee_rate=D("0.001"), half_spread_bps=D(5), slippage_bps=D(10))


def bar(
    open_: str = "100",
    high: str = "101",
    low: str = "99",
    volume: str = "0",
    ts: int = 0,
    quoted: bool = False,
) -> Bar:
    return Bar(open_ts=ts, open=D(open_), high=D(high), low=D(low), volume=D(volume), quoted=quoted)


@pytest.mark.parametrize(
    ("value", "step", "down", "up"),
    [
        ("1.2345", "0.001", "1.234", "1.235"),
        ("1.234", "0.001", "1.234", "1.234"),
        ("-1.2345", "0.001", "-1.235", "-1.234"),
        ("7", "5", "5", "10"),
        ("1e30", "1e-18", "1e30", "1e30"),
        ("0", "0.1", "0", "0"),
        ("123456789012345678901234567890.123456789012345678", "0.00000001",
         "123456789012345678901234567890.12345678", "123456789012345678901234567890.12345679"),
    ],
)  # fmt: skip
def test_rounding_to_a_step_keeps_every_digit(value: str, step: str, down: str, up: str) -> None:
    assert fills.floor_to(D(value), D(step)) == D(down)
    assert fills.ceil_to(D(value), D(step)) == D(up)


def test_a_market_buy_pays_half_the_spread_and_slippage_above_the_open() -> None:
    # 100 x (1 + 15 / 10000) = 100.15, on the grid.
    assert fills.market_price("buy", bar(), COSTS, RULES.tick_size) == D("100.15")


def test_a_market_sale_gets_less_by_the_same() -> None:
    assert fills.market_price("sell", bar(), COSTS, RULES.tick_size) == D("99.85")


def test_an_ask_bar_contains_the_spread_already() -> None:
    assert fills.market_price("buy", bar(quoted=True), COSTS, RULES.tick_size) == D("100.10")


def test_prices_round_against_the_trader() -> None:
    assert fills.trade_price("buy", D("100.001"), D("0.01")) == D("100.01")
    assert fills.trade_price("sell", D("100.009"), D("0.01")) == D("100.00")


def test_a_sale_never_goes_below_one_tick() -> None:
    assert fills.trade_price("sell", D("0.000000009"), D("0.00000001")) == D("0.00000001")


def test_the_fee_rounds_up() -> None:
    # 0.001 x 33.33 x 0.001 = 0.00003333, exact; one more digit rounds up.
    assert fills.fee_for(D("0.001"), D("33.33"), D("0.001")) == D("0.00003333")
    assert fills.fee_for(D("0.001"), D("33.333"), D("0.001")) == D("0.00003334")


def test_a_buy_limit_below_the_low_is_not_touched() -> None:
    assert fills.limit_fill_price("buy", D("98"), bar(), COSTS) is None


def test_a_buy_limit_needs_the_ask_not_the_trade_price() -> None:
    # The low 99 means an ask of 99.0495: a limit of 99.04 is not reached, 99.05 is.
    assert fills.limit_fill_price("buy", D("99.04"), bar(), COSTS) is None
    assert fills.limit_fill_price("buy", D("99.05"), bar(), COSTS) == D("99.05")


def test_a_bar_that_opens_beyond_the_limit_fills_at_the_better_open() -> None:
    found = fills.execute_at(
        WorkingOrder(side="buy", remaining=D(1), limit_price=D("105")), bar(), RULES, COSTS
    )
    assert found is not None and found.price == D("100.05")
    found = fills.execute_at(
        WorkingOrder(side="sell", remaining=D(1), limit_price=D("95")), bar(), RULES, COSTS
    )
    assert found is not None and found.price == D("99.95")


def test_a_thin_bar_fills_a_tenth_of_its_volume() -> None:
    found = fills.execute_at(WorkingOrder(side="buy", remaining=D(5)), bar(volume="7.777"), RULES, COSTS)
    assert found is not None and found.quantity == D("0.777")


def test_volume_zero_means_unknown_and_does_not_bind() -> None:
    found = fills.execute_at(WorkingOrder(side="buy", remaining=D(5)), bar(volume="0"), RULES, COSTS)
    assert found is not None and found.quantity == D(5)


def test_a_bar_thinner_than_one_lot_fills_nothing() -> None:
    assert (
        fills.execute_at(WorkingOrder(side="buy", remaining=D(5)), bar(volume="0.005"), RULES, COSTS) is None
    )


def test_an_order_is_filled_over_several_bars_until_nothing_is_left() -> None:
    many = [bar(volume="20", ts=60 * i) for i in range(5)]
    found = fills.execute_over(WorkingOrder(side="buy", remaining=D(5)), many, RULES, COSTS)
    assert [f.quantity for f in found] == [D(2), D(2), D(1)]
    assert [f.open_ts for f in found] == [0, 60, 120]


def test_cash_rounds_against_the_trader() -> None:
    assert fills.cash_value("buy", D("0.333333333"), D("0.1")) == D("0.03333334")
    assert fills.cash_value("sell", D("0.333333333"), D("0.1")) == D("0.03333333")


positive = st.decimals(min_value="0.00000001", max_value="100000000", places=8, allow_nan=False)
steps = st.sampled_from([D("1e-8"), D("0.001"), D("0.01"), D("0.25"), D(1), D(7)])


@given(value=positive, step=steps)
def test_rounding_brackets_the_value_within_one_step(value: D, step: D) -> None:
    low, high = fills.floor_to(value, step), fills.ceil_to(value, step)
    assert low <= value <= high and high - low in (0, step)
    assert low % step == 0 and high % step == 0


@given(price=positive, quantity=positive, side=st.sampled_from(["buy", "sell"]))
def test_trading_is_never_free_of_cost(price: D, quantity: D, side: str) -> None:
    here = Bar(open_ts=0, open=price, high=price, low=price)
    rules = VenueRules(tick_size=D("1e-8"), lot_step=D("1e-8"), min_quantity=D(0), min_notional=D(0))
    found = fills.execute_at(WorkingOrder(side=side, remaining=quantity), here, rules, COSTS)
    assert found is not None
    assert found.fee > 0
    if side == "buy":
        assert found.price >= price
    else:
        assert found.price <= price
    assert found.price >= D("1e-8")


@given(limit=positive, low=positive, width=positive, side=st.sampled_from(["buy", "sell"]))
def test_a_limit_order_never_fills_beyond_its_limit(limit: D, low: D, width: D, side: str) -> None:
    rules = VenueRules(tick_size=D("1e-8"), lot_step=D("1e-8"), min_quantity=D(0), min_notional=D(0))
    here = Bar(open_ts=0, open=low + width / 2, high=low + width, low=low)
    found = fills.execute_at(WorkingOrder(side=side, remaining=D(1), limit_price=limit), here, rules, COSTS)
    if found is not None:
        assert found.price <= limit if side == "buy" else found.price >= limit
