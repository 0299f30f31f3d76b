"""Stakes: nothing without proof, never above the cap, never more for worse outcomes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant.kelly import MIN_TRADES, kelly, t_quantile

# One-sided quantiles of Student's t from printed tables.
TABLE = [(0.95, 10, 1.8125), (0.95, 29, 1.6991), (0.975, 20, 2.0860), (0.99, 30, 2.4573), (0.95, 120, 1.6577)]


@pytest.mark.parametrize(("confidence", "freedom", "expected"), TABLE)
def test_the_quantile_equals_the_tables(confidence: float, freedom: int, expected: float) -> None:
    assert t_quantile(confidence, freedom) == pytest.approx(expected, abs=1e-3)


def record(seed: int, n: int, mean: float, deviation: float) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, deviation, n), -0.99, None)


def test_the_stake_is_the_fraction_of_the_edge_over_the_second_moment() -> None:
    series = record(1, 400, 0.02, 0.05)
    answer = kelly(series, fraction=0.25, cap=1.0, confidence=0.95)
    mean, s = series.mean(), series.std(ddof=1)
    edge = mean - t_quantile(0.95, 399) * s / 20.0
    assert answer.reason in ("sized", "capped")
    assert answer.full == pytest.approx(edge / (s * s + mean * mean))
    assert answer.stake == pytest.approx(min(1.0, 0.25 * answer.full))


def test_a_short_record_sizes_nothing() -> None:
    assert kelly([0.5] * (MIN_TRADES - 1)).reason == "too_few"
    assert kelly([]).stake == 0.0


def test_an_edge_that_may_be_luck_sizes_nothing() -> None:
    answer = kelly(record(3, 60, 0.001, 0.05))
    assert (answer.stake, answer.reason) == (0.0, "no_edge") and answer.edge < 0.0


def test_outcomes_that_never_vary_size_nothing() -> None:
    assert kelly([0.01] * 100).reason == "no_variance"


@pytest.mark.parametrize("wrong", [{"fraction": 0.0}, {"fraction": 1.5}, {"cap": -0.1}, {"confidence": 0.5}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Needs"):
        kelly([0.1] * 40, **wrong)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, -7.0])
def test_outcomes_that_cannot_be_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        kelly([0.1, -0.1] * 30 + [value])


outcomes = st.lists(st.floats(-0.99, 5.0, allow_nan=False), min_size=0, max_size=120)


@given(outcomes, st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_the_stake_is_always_a_number_between_nothing_and_the_cap(
    series: list[float], fraction: float, cap: float
) -> None:
    answer = kelly(series, fraction=fraction, cap=cap)
    assert 0.0 <= answer.stake <= cap
    assert (answer.stake > 0.0) <= (answer.reason in ("sized", "capped"))
    if answer.reason in ("sized", "capped"):
        assert 0.0 < answer.edge < answer.mean


@given(st.integers(0, 10_000), st.floats(0.0, 0.05))
def test_worse_outcomes_never_get_more(seed: int, worse: float) -> None:
    series = record(seed, 80, 0.02, 0.04)
    assert kelly(np.clip(series - worse, -0.99, None), cap=1.0).stake <= kelly(series, cap=1.0).stake + 1e-12
