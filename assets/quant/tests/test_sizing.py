"""Every way to size stays inside the cap, and what is not known is no position."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant.kelly import kelly
from assets.quant.sizing import METHODS, SizeRule, stake

GOOD = [0.03, -0.01] * 50  # a clear edge
NONE = [0.02, -0.02] * 50


def weight(method: str, **values: float) -> float:
    named = {"cap": 0.5, "risk": 0.005, "stop_ratio": 0.05, "volatility": 0.4} | values
    return stake(SizeRule(method=method), outcomes=GOOD, **named).weight


def test_each_method_by_hand() -> None:
    assert weight("risk") == pytest.approx(0.1)
    assert weight("fixed") == pytest.approx(0.10)
    assert weight("volatility") == pytest.approx(0.25)
    assert weight("kelly", risk=1.0) == pytest.approx(kelly(GOOD, fraction=0.25, cap=0.10).stake)


def test_kelly_is_nothing_without_a_significant_edge_and_says_why() -> None:
    for outcomes, reason in ((NONE, "kelly_no_edge"), (GOOD[:10], "kelly_too_few")):
        found = stake(SizeRule(method="kelly"), cap=0.5, risk=0.01, stop_ratio=0.05, outcomes=outcomes)
        assert (found.weight, found.limited_by) == (0.0, reason)


def test_kelly_never_stakes_more_than_the_stop_allows() -> None:
    found = stake(SizeRule(method="kelly"), cap=0.5, risk=0.0001, stop_ratio=0.05, outcomes=GOOD)
    assert (found.weight, found.limited_by) == (pytest.approx(0.002), "risk")


def test_the_formula_keeps_the_numbers() -> None:
    found = stake(SizeRule(method="kelly"), cap=0.5, risk=0.01, stop_ratio=0.05, outcomes=GOOD)
    assert found.formula["kelly_trades"] == 100
    assert found.formula["kelly_mean"] == pytest.approx(0.01)
    full = float(found.formula["kelly_full"] or 0)
    assert found.weight == pytest.approx(min(0.25 * full, 0.10))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="martingale"):
        SizeRule(method="martingale")


numbers = st.one_of(st.floats(-1, 10), st.sampled_from([math.nan, math.inf, 0.0]))


@given(
    st.sampled_from(METHODS),
    st.floats(0, 1),
    numbers,
    numbers,
    numbers,
    st.lists(st.floats(-0.9, 2), max_size=60),
)
def test_a_stake_is_finite_never_negative_and_never_above_the_cap(
    method: str, cap: float, risk: float, stop_ratio: float, volatility: float, outcomes: list[float]
) -> None:
    found = stake(
        SizeRule(method=method),
        cap=cap,
        risk=risk,
        stop_ratio=stop_ratio,
        volatility=volatility,
        outcomes=outcomes,
    )
    assert 0.0 <= found.weight <= cap
    for value in found.formula.values():
        assert not isinstance(value, float) or math.isfinite(value) or value is risk
