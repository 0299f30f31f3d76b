"""Stops that adapt: they only ever tighten, and a long and its mirror image behave alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant import trailing
from assets.quant.trailing import Stop, StopRule, move, place, verdict, width

RULE = StopRule(multiple=3.0, low=0.02, high=0.15, trails=True, break_even_at=1.0, max_age_s=3600.0)


def start(is_long: bool = True, rule: StopRule = RULE, atr_ratio: float = 0.01) -> Stop:
    return place(rule, entry=100.0, is_long=is_long, atr_ratio=atr_ratio, regime=1.0, now_s=0.0)


def test_the_first_stop_is_a_multiple_of_the_range_away() -> None:
    assert start().level == pytest.approx(97.0)
    assert start(is_long=False).level == pytest.approx(103.0)


@pytest.mark.parametrize(
    ("regime", "expected"), [(1.0, 0.03), (1.2, 0.036), (9.0, 0.045), (0.1, 0.0225), (math.nan, 0.045)]
)
def test_a_hotter_market_gets_more_room_within_bounds(regime: float, expected: float) -> None:
    assert width(RULE, 0.01, regime) == pytest.approx(expected)


def test_an_unknown_range_gets_the_widest_stop() -> None:
    assert width(RULE, math.nan, 1.0) == RULE.high


def test_once_the_first_risk_is_earned_the_entry_is_safe() -> None:
    rule = StopRule(multiple=3.0, low=0.02, high=0.15, trails=False, break_even_at=1.0)
    stop = move(rule, start(rule=rule), best=102.9, atr_ratio=0.01, regime=1.0)
    assert stop.cause == "initial"
    stop = move(rule, stop, best=103.0, atr_ratio=0.01, regime=1.0)
    assert (stop.level, stop.cause) == (100.0, "break_even")


def test_it_follows_the_best_price() -> None:
    stop = move(RULE, start(), best=120.0, atr_ratio=0.01, regime=1.0)
    assert stop.level == pytest.approx(120.0 * 0.97) and stop.cause == "trailing"
    later = move(RULE, stop, best=110.0, atr_ratio=0.01, regime=1.0)
    assert later.level == stop.level


def test_at_the_level_it_is_over_and_before_it_is_not() -> None:
    assert verdict(RULE, start(), price=97.0, now_s=1.0) == "initial"
    assert verdict(RULE, start(), price=97.01, now_s=1.0) == ""
    assert verdict(RULE, start(is_long=False), price=103.0, now_s=1.0) == "initial"


def test_an_old_position_that_is_not_ahead_is_closed() -> None:
    assert verdict(RULE, start(), price=99.9, now_s=3600.0) == "age"
    assert verdict(RULE, start(), price=100.1, now_s=3600.0) == ""
    assert verdict(RULE, start(), price=99.9, now_s=3599.0) == ""


@pytest.mark.parametrize("price", [math.nan, math.inf, 0.0, -1.0])
def test_an_impossible_price_neither_moves_nor_closes(price: float) -> None:
    assert verdict(RULE, start(), price=price, now_s=9e9) == ""
    assert move(RULE, start(), best=price, atr_ratio=0.01, regime=1.0) == start()


@pytest.mark.parametrize(
    "wrong", [{"multiple": 0.0}, {"low": 0.0}, {"low": 0.2}, {"high": 1.0}, {"max_age_s": -1.0}]
)
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        StopRule(**({"multiple": 3.0, "low": 0.02, "high": 0.15} | wrong))


prices = st.lists(st.floats(50.0, 200.0), min_size=1, max_size=30)
ranges = st.floats(0.0, 0.2)


@given(prices, ranges, st.floats(0.1, 5.0), st.booleans())
def test_the_level_only_tightens_and_stays_behind_the_best_price(
    path: list[float], atr_ratio: float, regime: float, is_long: bool
) -> None:
    stop = start(is_long)
    for price in path:
        after = move(RULE, stop, best=price, atr_ratio=atr_ratio, regime=regime)
        if is_long:
            assert stop.level <= after.level < after.best
        else:
            assert stop.level >= after.level > after.best
        stop = after


@given(prices, ranges)
def test_a_short_in_a_mirror_is_a_long(path: list[float], atr_ratio: float) -> None:
    """Differences from the entry are mirrored while the width is a share of the entry: compared at equal best prices."""
    rule = StopRule(multiple=3.0, low=0.02, high=0.15, trails=False, break_even_at=1.0)
    long, short = start(True, rule), start(False, rule)
    for price in path:
        long = move(rule, long, best=price, atr_ratio=atr_ratio, regime=1.0)
        short = move(
            rule, short, best=200.0 - price if price < 200.0 else 1e-9, atr_ratio=atr_ratio, regime=1.0
        )
        assert long.cause == short.cause
        assert long.level - 100.0 == pytest.approx(100.0 - short.level)


def test_noise_is_the_hourly_range_and_one_when_nothing_changes() -> None:
    closes = np.full(300, 100.0)
    found = trailing.noise(closes + 0.5, closes - 0.5, closes, 60)
    assert found.atr_ratio == pytest.approx(0.01 * math.sqrt(60))
    assert found.regime == pytest.approx(1.0)
    assert trailing.noise(closes + 0.5, closes - 0.5, closes, 3600).atr_ratio == pytest.approx(0.01)


def test_noise_above_its_usual_level_widens_a_stop_and_too_few_bars_are_the_widest() -> None:
    rule = StopRule(multiple=2.0, low=0.01, high=0.5)
    closes, half = np.full(300, 100.0), np.full(300, 0.5)
    half[-100:] = 1.0
    loud = trailing.noise(closes + half, closes - half, closes, 3600)
    assert 1.0 < loud.regime < 2.0
    assert trailing.width(rule, loud.atr_ratio, loud.regime) > trailing.width(rule, loud.atr_ratio, 1.0)
    few = trailing.noise(closes[:30], closes[:30], closes[:30], 60)
    assert trailing.width(rule, few.atr_ratio, few.regime) == 0.5
    with pytest.raises(ValueError, match="longer than 0"):
        trailing.noise(closes, closes, closes, 0)


def test_a_new_entry_never_loosens_the_level() -> None:
    rule = StopRule(multiple=1.0, low=0.1, high=0.1)
    stop = trailing.place(rule, entry=100.0, is_long=True, atr_ratio=0.01, regime=1.0, now_s=0.0)
    assert trailing.with_entry(stop, 120.0).level == pytest.approx(108.0)
    assert trailing.with_entry(stop, 80.0).level == stop.level
    with pytest.raises(ValueError, match="above 0"):
        trailing.with_entry(stop, 0.0)
