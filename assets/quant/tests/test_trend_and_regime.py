from __future__ import annotations

import math

import numpy as np
import pytest

from assets.quant import regime as rg
from assets.quant import trend


def test_a_straight_rise_is_one_a_straight_fall_minus_one_and_flat_zero() -> None:
    up = np.exp(np.arange(20) * 0.01)
    assert trend.straightness(up, 20) == pytest.approx(1.0)
    assert trend.straightness(1.0 / up, 20) == pytest.approx(-1.0)
    assert trend.straightness([3.3] * 20, 20) == 0.0


def test_straightness_table() -> None:
    # logs 0, 1, 0 have no slope; 0, 2, 1 has x.y = 1, |x| = sqrt 2, |y| = sqrt 2
    assert trend.straightness(np.exp([0.0, 1.0, 0.0]), 3) == pytest.approx(0.0)
    assert trend.straightness(np.exp([0.0, 2.0, 1.0]), 3) == pytest.approx(0.5)


def test_trend_looks_at_its_window_only() -> None:
    series = np.exp(np.concatenate((np.arange(50) * -0.5, np.arange(20) * 0.01)))
    assert trend.straightness(series, 20) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "measure",
    [
        lambda c: trend.straightness(c, 10),
        lambda c: trend.ema_spread(c, 3, 9),
        lambda c: trend.efficiency(c, 9),
    ],
)
def test_one_bar_too_few_is_unknown(measure) -> None:
    closes = np.linspace(1.0, 2.0, 10)
    assert math.isfinite(measure(closes))
    assert math.isnan(measure(closes[1:]))


def test_ema_spread_has_the_sign_of_the_move_and_stays_inside_one() -> None:
    up = np.exp(np.arange(60) * 0.01)
    assert 0.5 < trend.ema_spread(up, 5, 20) < 1.0
    assert trend.ema_spread(1.0 / up, 5, 20) == pytest.approx(-trend.ema_spread(up, 5, 20))
    assert trend.ema_spread([2.0] * 60, 5, 20) == 0.0


def test_efficiency_is_the_net_way_over_the_whole_way() -> None:
    assert trend.efficiency(np.exp([0.0, 3.0, 2.0]), 2) == pytest.approx(0.5)
    assert trend.efficiency([1.0, 1.0, 1.0], 2) == 0.0


def noise(size: int = 400, seed: int = 11) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, size)


def test_a_steady_drift_is_trending() -> None:
    view = rg.classify(noise() + 0.004, 0.5)
    assert view.regime is rg.Regime.TRENDING
    assert view.drift_sigmas > 2


def test_moves_that_take_themselves_back_are_mean_reverting() -> None:
    steps = noise()
    returns = steps[1:] - steps[:-1]  # the price is noise around a level
    view = rg.classify(returns, 0.5)
    assert view.regime is rg.Regime.MEAN_REVERTING
    assert view.variance_ratio < 0.5


def test_a_random_walk_is_calm_or_volatile_by_its_percentile_alone() -> None:
    returns = noise() - noise().mean()
    assert rg.classify(returns, 0.2).regime is rg.Regime.CALM
    assert rg.classify(returns, 0.7).regime is rg.Regime.VOLATILE
    assert rg.classify(returns, 0.95).regime is rg.Regime.VOLATILE


def test_one_return_too_few_is_unknown() -> None:
    assert rg.classify(noise(rg.MIN_RETURNS - 1)).regime is rg.Regime.UNKNOWN
    assert rg.classify(noise(rg.MIN_RETURNS)).regime is not rg.Regime.UNKNOWN


def test_a_flat_price_is_calm() -> None:
    view = rg.classify(np.zeros(100), 0.0)
    assert (view.regime, view.drift_sigmas, view.variance_ratio) == (rg.Regime.CALM, 0.0, 1.0)


def test_variance_ratio_of_a_random_walk_is_near_one() -> None:
    assert rg.variance_ratio(noise(20_000), 5) == pytest.approx(1.0, abs=0.05)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        rg.classify([0.01] * 50 + [math.nan])
