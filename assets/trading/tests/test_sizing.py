"""Sizing: hand-computed tables, and the promise that a leg marked as reducing can never open anything."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assets.quant.fills import VenueRules
from assets.trading.services.sizing import Ignored, Situation, size
from assets.trading.targets import Target

RULES = VenueRules(tick_size=D("0.01"), lot_step=D("0.001"), min_quantity=D("0.001"), min_notional=D("5"))


def situation(**values: Any) -> Situation:
    defaults: dict[str, Any] = {
        "held": D(0),
        "pending": D(0),
        "price": D(30),
        "rate": D(1),
        "equity": D(1000),
        "rules": RULES,
    }
    return Situation(**{**defaults, **values})


def legs(target: Target, **values: Any) -> list[tuple[str, str, bool]]:
    found = size(target, situation(**values))
    assert not isinstance(found, Ignored), found
    return [(leg.side, str(leg.quantity), leg.reduces) for leg in found]


def ignored(target: Target, **values: Any) -> str:
    found = size(target, situation(**values))
    assert isinstance(found, Ignored), found
    return found.code


def weight(value: float, **values: Any) -> Target:
    return Target(symbol="A", weight=value, **values)


def test_a_weight_becomes_units_rounded_down_to_the_lot() -> None:
    # 0.1 x 1000 / 30 = 3.3333...
    assert legs(weight(0.1)) == [("buy", "3.333", False)]


def test_the_rate_converts_equity_into_the_quote_currency() -> None:
    assert legs(weight(0.1), rate=D("0.5")) == [("buy", "6.666", False)]


def test_a_short_rounds_towards_zero_too() -> None:
    assert legs(weight(-0.1)) == [("sell", "3.333", False)]


def test_less_is_a_reduction_and_more_is_not() -> None:
    assert legs(weight(0.1), held=D(10)) == [("sell", "6.667", True)]
    assert legs(weight(0.1), held=D(1)) == [("buy", "2.333", False)]


def test_turning_around_closes_first_and_then_opens() -> None:
    assert legs(weight(-0.1), held=D(2)) == [("sell", "2", True), ("sell", "3.333", False)]


def test_closing_sells_everything_that_can_be_sold() -> None:
    assert legs(weight(0.0), held=D("2.0005")) == [("sell", "2", True)]
    assert legs(Target(symbol="A", quantity=D(0)), held=D(-2)) == [("buy", "2", True)]


def test_working_orders_count_as_done() -> None:
    assert ignored(weight(0.1), held=D(1), pending=D("2.333")) == "on_target"


def test_drift_inside_the_dead_band_is_left_alone_but_a_close_never_is() -> None:
    assert ignored(weight(0.1, dead_band=0.02), held=D("3.9")) == "dead_band"
    assert legs(weight(0.1, dead_band=0.02), held=D("4.1")) == [("sell", "0.767", True)]
    assert legs(weight(0.0, dead_band=0.9), held=D(1)) == [("sell", "1", True)]


def test_dust_is_ignored_with_a_reason() -> None:
    assert ignored(weight(0.004)) == "dust"
    assert ignored(weight(0.0), held=D("0.1")) == "dust"
    assert ignored(weight(0.0), held=D("0.0005")) == "below_lot"


def test_a_weight_needs_known_equity_and_rate_but_a_close_does_not() -> None:
    assert ignored(weight(0.1), rate=None) == "equity_unknown"
    assert ignored(weight(0.1), equity=D(0)) == "equity_unknown"
    assert legs(weight(0.0), held=D(1), rate=None) == [("sell", "1", True)]


def test_a_sale_behind_a_working_sale_is_no_pure_reduction() -> None:
    # 2 held, 1.5 being sold: selling 1 more could end below 0.
    assert legs(Target(symbol="A", quantity=D("-0.5")), held=D(2), pending=D("-1.5")) == [
        ("sell", "0.5", True), ("sell", "0.5", False)
    ]  # fmt: skip


@pytest.mark.parametrize("values", [{}, {"weight": 0.1, "quantity": D(1)}, {"weight": float("nan")}, {"weight": 1e9},
                                    {"quantity": D("NaN")}])  # fmt: skip
def test_a_target_that_says_nothing_or_nonsense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Target(symbol="A", **values)


units = st.decimals(min_value=-1000, max_value=1000, places=3, allow_nan=False)


@given(held=units, pending=units, wanted=units)
def test_a_reducing_leg_never_opens_whatever_the_working_orders_do(held: D, pending: D, wanted: D) -> None:
    found = size(Target(symbol="A", quantity=wanted), situation(held=held, pending=pending))
    assume(not isinstance(found, Ignored))
    assert not isinstance(found, Ignored)
    for leg in found:
        if leg.reduces:
            signed = leg.quantity if leg.side == "buy" else -leg.quantity
            for fate in (D(0), pending):
                before = held + (fate if fate * held < 0 else D(0))
                after = before + signed
                assert after == 0 or (after > 0) == (held > 0)


@given(held=units, wanted=units)
def test_the_legs_lead_to_the_target_up_to_one_lot_and_dust(held: D, wanted: D) -> None:
    found = size(Target(symbol="A", quantity=wanted), situation(held=held, price=D(100000)))
    moved = D(0)
    if not isinstance(found, Ignored):
        for leg in found:
            moved += leg.quantity if leg.side == "buy" else -leg.quantity
    assert abs(held + moved - wanted) <= D("0.001")
