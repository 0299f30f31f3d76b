from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.quant import allocation as al
from assets.quant import stops

NAN = math.nan


def test_half_the_volatility_gets_twice_the_weight() -> None:
    np.testing.assert_allclose(al.inverse_volatility([0.1, 0.2]), [2 / 3, 1 / 3])


def test_unknown_or_zero_volatility_gets_nothing() -> None:
    np.testing.assert_allclose(al.inverse_volatility([NAN, 0.0, 0.2]), [0, 0, 1])
    np.testing.assert_allclose(al.inverse_volatility([NAN, 0.0]), [0, 0])


def test_momentum_takes_the_best_above_zero_and_leaves_the_rest_in_cash() -> None:
    np.testing.assert_allclose(al.momentum([0.3, -0.1, 0.2, 0.1], 2), [0.5, 0, 0.5, 0])
    np.testing.assert_allclose(al.momentum([0.3, -0.1, NAN, 0.0], 2), [0.5, 0, 0, 0])


def test_equal_scores_go_to_the_earlier_entry() -> None:
    np.testing.assert_allclose(al.momentum([0.1, 0.1, 0.1], 2), [0.5, 0.5, 0])


def test_tilt_keeps_the_invested_share() -> None:
    np.testing.assert_allclose(al.tilt([0.25, 0.25, 0.0], [0.1, 0.3, 0.1]), [0.375, 0.125, 0])


def test_cap_gives_the_excess_to_the_others() -> None:
    np.testing.assert_allclose(al.cap([0.7, 0.2, 0.1], 0.5), [0.5, 1 / 3, 1 / 6])
    np.testing.assert_allclose(al.cap([0.7, 0.3], 0.4), [0.4, 0.4])  # nobody has room: cash


@given(
    st.lists(st.floats(0.0, 10.0), min_size=1, max_size=12),
    st.floats(0.01, 1.0),
)
def test_capped_weights_hold_the_cap_and_sum_to_at_most_one(raw: list[float], limit: float) -> None:
    out = al.cap(raw, limit)
    assert (out >= 0.0).all() and (out <= limit).all()
    assert out.sum() <= 1.0 + 1e-9
    assert out.sum() <= sum(raw) + 1e-9


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=12), st.integers(1, 5))
def test_weights_of_anything_are_finite_and_sum_to_at_most_one(raw: list[float], keep: int) -> None:
    for out in (al.inverse_volatility(raw), al.momentum(raw, keep), al.tilt(al.momentum(raw, keep), raw)):
        assert np.isfinite(out).all() and (out >= 0.0).all()
        assert out.sum() <= 1.0 + 1e-9


def test_volatility_target_scales_down_but_never_up() -> None:
    np.testing.assert_allclose(al.to_volatility([0.5, 0.5], [0.4, 0.4], 0.2), [0.25, 0.25])
    np.testing.assert_allclose(al.to_volatility([0.5, 0.5], [0.1, 0.1], 0.2), [0.5, 0.5])


def test_a_band_is_left_only_beyond_it() -> None:
    assert not al.outside_band([0.55, 0.45], [0.5, 0.5], 0.05)
    assert al.outside_band([0.56, 0.44], [0.5, 0.5], 0.05)
    assert not al.outside_band([], [], 0.05)


def test_risk_weight_is_risk_over_stop_and_capped() -> None:
    assert al.risk_weight(0.005, 0.02, 0.3) == pytest.approx(0.25)
    assert al.risk_weight(0.005, 0.01, 0.3) == pytest.approx(0.3)
    assert al.risk_weight(0.005, math.nan, 0.3) == 0.0
    assert al.risk_weight(0.005, 0.0, 0.3) == 0.0


@pytest.mark.parametrize(("atr", "expected"), [(0.001, 0.03), (0.02, 0.04), (0.5, 0.15), (math.nan, 0.15)])
def test_a_stop_is_a_multiple_of_the_range_inside_its_limits(atr: float, expected: float) -> None:
    assert stops.stop_ratio(atr, 2.0, 0.03, 0.15) == pytest.approx(expected)


def test_a_stop_is_hit_at_its_level_and_not_before() -> None:
    assert stops.is_hit(price=90.0, entry=100.0, is_long=True, ratio=0.1)
    assert not stops.is_hit(price=90.1, entry=100.0, is_long=True, ratio=0.1)
    assert stops.is_hit(price=110.1, entry=100.0, is_long=False, ratio=0.1)
    assert not stops.is_hit(price=109.9, entry=100.0, is_long=False, ratio=0.1)


def test_the_distance_to_a_stop_is_a_log_ratio() -> None:
    assert stops.distance(price=100.0, entry=100.0, is_long=True, ratio=0.1) == pytest.approx(-math.log(0.9))
    assert stops.distance(price=100.0, entry=100.0, is_long=False, ratio=0.1) == pytest.approx(math.log(1.1))
