from __future__ import annotations

import math

import numpy as np
import pytest

from assets.quant import volatility as vol

MINUTE_CRYPTO = vol.scale(bar_s=60, trading_day_s=86_400, days_per_year=365)


def test_the_scale_of_minutes_daily_bars_and_sessions() -> None:
    assert MINUTE_CRYPTO == vol.Scale(120.0, 365 * 1440)
    assert vol.scale(bar_s=60, trading_day_s=23_400, days_per_year=252) == vol.Scale(120.0, 252 * 390)
    assert vol.scale(bar_s=86_400, trading_day_s=23_400, days_per_year=252) == vol.Scale(10.0, 252)
    assert vol.scale(bar_s=3600, trading_day_s=86_400, days_per_year=260) == vol.Scale(5.0, 260 * 24)


def test_constant_moves_annualise_by_the_root_of_bars_per_year() -> None:
    returns = [0.01, -0.01] * 20
    assert vol.ewma(returns, vol.Scale(10.0, 252.0)) == pytest.approx(0.01 * math.sqrt(252))


def test_after_one_half_life_of_silence_half_the_variance_is_left() -> None:
    loud, quiet = np.full(400, 0.01), np.zeros(10)
    how = vol.Scale(10.0, 1.0)
    assert vol.ewma(np.concatenate((loud, quiet)), how) == pytest.approx(0.01 * math.sqrt(0.5), rel=1e-9)


def test_a_random_walk_shows_the_volatility_it_was_made_with() -> None:
    rng = np.random.default_rng(1)
    returns = rng.normal(0.0, 0.8 / math.sqrt(MINUTE_CRYPTO.bars_per_year), 50_000)
    assert vol.realised(returns, MINUTE_CRYPTO.bars_per_year) == pytest.approx(0.8, rel=0.02)


def test_too_few_returns_are_unknown_and_one_more_is_not() -> None:
    how = vol.Scale(10.0, 252.0)
    assert math.isnan(vol.ewma([0.01] * (vol.MIN_RETURNS - 1), how))
    assert math.isfinite(vol.ewma([0.01] * vol.MIN_RETURNS, how))


def test_a_price_that_never_moves_has_volatility_zero_not_unknown() -> None:
    assert vol.ewma(vol.log_returns([5.0] * 40), vol.Scale(10.0, 252.0)) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_hole_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        vol.ewma([0.01] * 30 + [bad], vol.Scale(10.0, 252.0))


def test_prices_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        vol.log_returns([1.0, 0.0, 1.0])


def test_a_night_of_a_hundred_bars_counts_as_one_tenth_of_its_move() -> None:
    closes, ts = [100.0, 110.0, 121.0], np.array([0, 60, 60 + 100 * 60])
    step = math.log(1.1)
    np.testing.assert_allclose(vol.log_returns(closes, ts, 60), [step, step / 10])
    np.testing.assert_allclose(vol.log_returns(closes), [step, step])


def test_a_weekend_between_daily_bars_counts_in_full() -> None:
    ts = np.array([0, 3 * 86_400])
    np.testing.assert_allclose(vol.log_returns([1.0, 2.0], ts, 86_400), [math.log(2.0)])


def test_times_must_rise() -> None:
    with pytest.raises(ValueError, match="rise"):
        vol.log_returns([1.0, 2.0], np.array([60, 60]), 60)


def test_the_path_agrees_with_the_point_at_every_bar_and_is_causal() -> None:
    returns = np.random.default_rng(5).normal(0.0, 0.01, 300)
    how = vol.Scale(15.0, 252.0)
    path = vol.ewma_path(returns, how)
    assert np.isnan(path[: vol.MIN_RETURNS - 1]).all()
    for at in (vol.MIN_RETURNS, 77, 300):
        assert path[at - 1] == pytest.approx(vol.ewma(returns[:at], how), rel=1e-9)
        np.testing.assert_array_equal(vol.ewma_path(returns[:at], how), path[:at])


def test_percentile_counts_what_lies_at_or_below() -> None:
    history = np.arange(1.0, 21.0)
    assert vol.percentile(history, 5.0) == 0.25
    assert vol.percentile(history, 100.0) == 1.0
    assert math.isnan(vol.percentile(history[:-1], 5.0))
    assert math.isnan(vol.percentile(history, math.nan))


def test_a_year_of_volatility_over_a_quarter_is_half_of_it() -> None:
    assert vol.over(0.8, vol.Scale(10.0, 252.0), 63.0) == pytest.approx(0.4)
