"""The gate: each rule refuses alone, at its limit and not one step before (F17, F27)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from assets.markets.staleness import Word
from assets.quant.fills import VenueRules
from assets.trading.market import Look
from assets.trading.services import gate
from assets.trading.services.gate import Limits, Proposal, Standing

RULES = VenueRules(tick_size=D("0.01"), lot_step=D("0.001"), min_quantity=D("0.01"), min_notional=D("5"))
LIMITS = Limits(
    allows_short=False,
    max_leverage=D(1),
    max_order_notional=D(0),
    max_position_ratio=D(1),
    max_orders_per_minute=10,
)
LOOK = Look(price=D(100), at=None, is_open=True, closed_reason="", word=Word.FRESH, age_s=30.0, limit_s=120.0)


def proposal(**values: Any) -> Proposal:
    defaults: dict[str, Any] = {
        "instrument_id": 1, "symbol": "A", "side": "buy", "quantity": D(1), "price": D(100), "rate": D(1), "held": D(0),
        "pending": D(0), "reduces": False, "in_doubt": False, "rules": RULES,
    }  # fmt: skip
    return Proposal(**{**defaults, **values})


def standing(**values: Any) -> Standing:
    defaults: dict[str, Any] = {
        "account_state": "active", "entries_allowed": True, "orders_allowed": True, "equity": D(1000), "limits": LIMITS,
        "orders_last_minute": 0,
    }  # fmt: skip
    return Standing(**{**defaults, **values})


def code(p: Proposal | None = None, s: Standing | None = None, look: Look = LOOK) -> str:
    denial = gate.check(p or proposal(), s or standing(), look)
    return denial.code if denial else ""


REDUCING = proposal(side="sell", held=D(1), reduces=True)


def test_an_ordinary_order_passes() -> None:
    assert code() == "" and code(REDUCING) == ""


@pytest.mark.parametrize(
    ("values", "entry", "exit_"),
    [
        ({"orders_allowed": False, "entries_allowed": False}, "stopped", "stopped"),
        ({"entries_allowed": False}, "entries_paused", ""),
        ({"account_state": "halted"}, "account_halted", "account_halted"),
        ({"account_state": "reducing"}, "account_reducing", ""),
        ({"orders_last_minute": 10}, "order_rate", ""),
        ({"orders_last_minute": 9}, "", ""),
        ({"equity": D(0)}, "no_equity", ""),
    ],
)
def test_what_stops_entries_and_what_stops_exits(values: dict[str, Any], entry: str, exit_: str) -> None:
    assert code(s=standing(**values)) == entry
    assert code(REDUCING, standing(**values)) == exit_


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"is_open": False, "closed_reason": "weekend", "word": Word.CLOSED}, "market_closed"),
        ({"word": Word.STALE, "age_s": 121.0}, "data_stale"),
        ({"word": Word.LATE, "age_s": 119.0}, ""),
        ({"price": None}, "price_unknown"),
        ({"age_s": None, "word": Word.MISSING}, "price_unknown"),
    ],
)
def test_the_market_must_be_open_and_the_data_young(values: dict[str, Any], expected: str) -> None:
    assert code(look=replace(LOOK, **values)) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("0.05", ""),
        ("0.0505", "lot_step"),
        ("0.009", "below_min_quantity"),
        ("0.049", "below_min_notional"),
        ("0", "lot_step"),
    ],
)
def test_the_venues_filters_hold(quantity: str, expected: str) -> None:
    assert code(proposal(quantity=D(quantity))) == expected


def test_selling_what_is_not_held_needs_permission() -> None:
    short = proposal(side="sell", held=D("0.5"))
    assert code(short) == "short_not_allowed"
    assert code(short, standing(limits=replace(LIMITS, allows_short=True))) == ""


def test_working_orders_count_as_held() -> None:
    assert code(proposal(side="sell", held=D(1), pending=D(-1))) == "short_not_allowed"


def test_the_order_limit_is_in_the_accounts_currency() -> None:
    tight = standing(limits=replace(LIMITS, max_order_notional=D(100)))
    assert code(proposal(), tight) == ""
    assert code(proposal(quantity=D("1.001")), tight) == "max_order_notional"
    assert code(proposal(rate=D("1.01")), tight) == "max_order_notional"


def test_one_position_may_not_exceed_its_share_of_equity() -> None:
    tight = standing(limits=replace(LIMITS, max_position_ratio=D("0.2")))
    assert code(proposal(quantity=D(2)), tight) == ""
    assert code(proposal(quantity=D(1), held=D(1), pending=D("0.001")), tight) == "max_position_ratio"


def test_gross_exposure_may_not_exceed_leverage_times_equity() -> None:
    full = standing(exposure={2: D(900)})
    assert code(proposal(quantity=D(1)), full) == ""
    assert code(proposal(quantity=D("1.001")), full) == "buying_power"
    assert code(proposal(quantity=D("1.001")), replace(full, limits=replace(LIMITS, max_leverage=D(2)))) == ""


def test_an_unknown_rate_blocks_entries_but_not_exits() -> None:
    assert code(proposal(rate=None)) == "conversion_unknown"
    assert code(replace(REDUCING, rate=None)) == ""


def test_an_order_in_doubt_blocks_entries_on_its_instrument() -> None:
    assert code(proposal(in_doubt=True)) == "order_in_doubt"
    assert code(replace(REDUCING, in_doubt=True)) == ""


def test_exits_are_not_held_back_by_size_limits() -> None:
    tight = standing(limits=replace(LIMITS, max_order_notional=D(1), max_position_ratio=D("0.001")))
    assert code(REDUCING, tight) == ""


def test_each_approval_is_counted_before_the_next_check() -> None:
    s = standing()
    s.approve(proposal(quantity=D(6)))
    assert s.orders_last_minute == 1 and s.exposure == {1: D(600)}
    assert code(proposal(instrument_id=2, quantity=D(5)), s) == "buying_power"


def test_checking_changes_nothing() -> None:
    s = standing()
    before = replace(s, exposure=dict(s.exposure))
    gate.check(proposal(), s, LOOK)
    assert s == before


def test_a_refusal_names_rule_limit_and_value() -> None:
    denial = gate.check(proposal(quantity=D(20)), standing(), LOOK)
    assert denial is not None
    assert denial.as_json() == {"rule": "max_position_ratio", "limit": "1", "value": "2.00"}


# --- Losses, crowds and locks ------------------------------------------------------------------------------------


def limited(**values: Any) -> Limits:
    return replace(LIMITS, **values)


@pytest.mark.parametrize(
    ("limits", "values", "expected"),
    [
        ({"max_daily_loss_ratio": D("0.05")}, {"day_gain": D("-0.05")}, "daily_loss"),
        ({"max_daily_loss_ratio": D("0.05")}, {"day_gain": D("-0.0499")}, ""),
        ({"max_daily_loss_ratio": D("0.05")}, {"day_gain": None}, "daily_loss"),  # unknown is not good enough
        ({"max_drawdown_ratio": D("0.2")}, {"drawdown": D("0.2")}, "drawdown"),
        ({"max_drawdown_ratio": D("0.2")}, {"drawdown": D("0.1999")}, ""),
        ({"max_orders_per_day": 3}, {"orders_today": 3}, "orders_per_day"),
        ({"max_orders_per_day": 3}, {"orders_today": 2}, ""),
        ({"allowed_symbols": frozenset("B")}, {}, "not_allowed"),
        ({"allowed_symbols": frozenset("AB")}, {}, ""),
        ({}, {"locks": {1: ("cooldown", "2024-05-15T12:05:00+00:00")}}, "lock_cooldown"),
        ({}, {"locks": {2: ("cooldown", "2024-05-15T12:05:00+00:00")}}, ""),
        ({}, {"locks": {0: ("stop_guard", "2024-05-15T12:05:00+00:00")}}, "lock_stop_guard"),
        (
            {"max_correlated_ratio": D("0.3")},
            {"exposure": {2: D(200), 3: D(500)}, "alike": {1: frozenset({2})}},
            "",
        ),
        (
            {"max_correlated_ratio": D("0.2999")},
            {"exposure": {2: D(200), 3: D(500)}, "alike": {1: frozenset({2})}},
            "correlated_exposure",
        ),
        ({"max_total_ratio": D("0.5")}, {"others": gate.Others(equity=D(1000), exposure=D(900))}, ""),
        (
            {"max_total_ratio": D("0.5")},
            {"others": gate.Others(equity=D(1000), exposure=D("900.01"))},
            "total_exposure",
        ),
    ],
)
def test_each_limit_holds_entries_back_and_lets_exits_pass(
    limits: dict[str, Any], values: dict[str, Any], expected: str
) -> None:
    where = standing(limits=limited(**limits), **values)
    assert code(s=where) == expected
    assert code(REDUCING, where) == ""


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        ("buy", "105", ""),
        ("buy", "105.01", "price_band"),
        ("buy", "50", ""),  # a bid far below only waits
        ("sell", "95", ""),
        ("sell", "94.99", "price_band"),
        ("sell", "150", ""),
    ],
)
def test_no_order_is_priced_far_beyond_the_market(side: str, price: str, expected: str) -> None:
    where = standing(limits=limited(price_band_ratio=D("0.05"), allows_short=True))
    assert code(proposal(side=side, price=D(price)), where) == expected
    exit_ = proposal(side=side, price=D(price), reduces=True, held=D(1) if side == "sell" else D(-1))
    assert code(exit_, where) == expected


def test_each_approved_entry_counts_for_the_day() -> None:
    where = standing(limits=limited(max_orders_per_day=2))
    where.approve(proposal())
    assert code(s=where) == ""
    where.approve(proposal())
    assert code(s=where) == "orders_per_day"
