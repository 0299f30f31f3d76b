"""Risk figures against hand tables, and the score's promises: monotone, bounded, unknown is not safe."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant.risk import WEIGHTS, RiskFacts, concentration, expected_shortfall, score, value_at_risk

SAFE = RiskFacts(
    gross=0.0, max_gross=1.0, drawdown=0.0, max_drawdown=0.2, shortfall=0.0, max_shortfall=0.05, concentration=0.0,
    exit_share=0.0, regime=1.0, without_stop=0.0,
)  # fmt: skip


def test_a_hand_table() -> None:
    returns = [i / 1000 - 0.05 for i in range(100)]  # -0.050 ... 0.049
    assert value_at_risk(returns, 0.95) == pytest.approx(0.045)
    assert expected_shortfall(returns, 0.95) == pytest.approx(
        np.mean([0.045, 0.046, 0.047, 0.048, 0.049, 0.050])
    )


def test_too_little_is_unknown() -> None:
    assert math.isnan(value_at_risk([0.01] * 19)) and math.isnan(expected_shortfall([]))


def test_only_gains_lose_nothing() -> None:
    assert value_at_risk([0.01] * 50) == 0.0 == expected_shortfall([0.01] * 50)


@given(st.lists(st.floats(-0.5, 0.5), min_size=20, max_size=200), st.floats(0.6, 0.99))
def test_the_shortfall_is_never_below_the_value_at_risk(returns: list[float], level: float) -> None:
    at_risk = value_at_risk(returns, level)
    assert 0.0 <= at_risk <= expected_shortfall(returns, level) + 1e-12
    assert sum(r < -at_risk for r in returns) <= math.floor(len(returns) * (1 - level) + 1e-9)


def test_concentration_is_one_for_one_and_a_share_for_equals() -> None:
    assert concentration([7.0]) == 1.0 and concentration([]) == 0.0 == concentration([0.0, 0.0])
    assert concentration([5.0, -5.0, 5.0, 5.0]) == pytest.approx(0.25)


def test_the_weights_are_a_whole() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)


def test_nothing_at_risk_is_zero_and_everything_used_up_is_a_hundred() -> None:
    assert score(SAFE).value == 0.0
    full = RiskFacts(
        gross=1.0, max_gross=1.0, drawdown=0.2, max_drawdown=0.2, shortfall=0.05, max_shortfall=0.05, concentration=1.0,
        exit_share=1.0, regime=2.0, without_stop=1.0,
    )  # fmt: skip
    assert score(full).value == pytest.approx(100.0)


def test_one_open_flank_is_not_averaged_away() -> None:
    facts = replace(SAFE, gross=SAFE.max_gross, without_stop=1.0)
    assert score(facts).value >= 40.0


def test_a_little_without_a_stop_is_a_little_risk() -> None:
    assert score(replace(SAFE, gross=0.01 * SAFE.max_gross, without_stop=1.0)).value < 2.0


@pytest.mark.parametrize(
    "name", ["gross", "drawdown", "shortfall", "concentration", "exit_share", "regime", "without_stop"]
)
@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_known_is_not_safe(name: str, value: Any) -> None:
    facts = replace(SAFE, gross=0.1)
    answer = score(replace(facts, **{name: value}))
    assert answer.value > score(facts).value and len(answer.unknown) == 1


def test_a_limit_of_nothing_is_used_up_by_anything() -> None:
    assert score(replace(SAFE, gross=0.001, max_gross=0.0)).parts["exposure"] == 100.0


shares = st.floats(0.0, 3.0)


@given(
    shares,
    shares,
    shares,
    shares,
    shares,
    st.sampled_from(["gross", "drawdown", "shortfall", "without_stop"]),
    shares,
)
def test_more_of_anything_is_never_less_risk(
    gross: float, drawdown: float, shortfall: float, exit_share: float, regime: float, name: str, more: float
) -> None:
    facts = replace(
        SAFE, gross=gross + 0.01, drawdown=drawdown, shortfall=shortfall, exit_share=exit_share, regime=regime
    )
    before, after = score(facts), score(replace(facts, **{name: getattr(facts, name) + more}))
    assert 0.0 <= before.value <= after.value + 1e-9 <= 100.0 + 1e-6
