from __future__ import annotations

import math

import numpy as np
import pytest

from assets.quant import metrics as m
from assets.quant.arrays import finite_or_none


def test_returns_and_total_return_table() -> None:
    np.testing.assert_allclose(m.returns_of([100, 110, 99]), [0.1, -0.1])
    assert m.total_return([100, 110, 99]) == pytest.approx(-0.01)


def test_doubling_in_half_a_year_is_four_times_a_year() -> None:
    assert m.annual_return([1.0, *([1.5] * 125), 2.0], 252) == pytest.approx(3.0)


def test_growth_over_less_than_a_day_is_not_annualised() -> None:
    assert math.isnan(m.annual_return([1.0, 1.01], 525_600))
    assert math.isfinite(m.annual_return([1.0, 1.01], 252))


def test_sharpe_table() -> None:
    # mean 0.01, sample deviation 0.02: 0.5 x sqrt(252)
    returns = [0.03, -0.01, 0.01]
    assert m.sharpe(returns, 252) == pytest.approx(0.5 * math.sqrt(252))
    assert m.sharpe(returns, 365) == pytest.approx(0.5 * math.sqrt(365))


@pytest.mark.parametrize("returns", [[0.001] * 300, [0.0] * 300, [0.1 + 0.2 - 0.3] * 50, [0.01], []])
def test_a_series_that_never_varies_has_no_sharpe(returns: list[float]) -> None:
    assert math.isnan(m.sharpe(returns, 252))
    assert math.isnan(m.sharpe_error(returns, 252))


def test_sortino_counts_only_shortfalls() -> None:
    # mean 0.01; downside: sqrt((0.01^2) / 4) = 0.005
    assert m.sortino([0.03, -0.01, 0.01, 0.01], 4) == pytest.approx(0.01 / 0.005 * 2)
    assert math.isnan(m.sortino([0.03, 0.01], 4))


def test_drawdown_table() -> None:
    assert m.max_drawdown([100, 120, 90, 130, 117]) == pytest.approx(-0.25)
    assert m.max_drawdown([1, 2, 3]) == 0.0
    assert math.isnan(m.max_drawdown([1]))
    assert m.longest_drawdown([100, 120, 90, 110, 130, 117]) == 2


def test_calmar_needs_a_drawdown() -> None:
    assert math.isnan(m.calmar([1.0, 1.1, 1.2], 252))
    curve = [1.0, *np.linspace(1.2, 0.9, 251), 1.2]
    assert m.calmar(curve, 252) == pytest.approx(0.2 / 0.25)


def test_trade_statistics_table() -> None:
    profits = [10.0, -5.0, 0.0, 20.0]
    assert m.win_rate(profits) == 0.5
    assert m.profit_factor(profits) == 6.0
    assert m.expectancy(profits) == 6.25
    assert math.isnan(m.profit_factor([1.0]))
    assert math.isnan(m.win_rate([]))


def test_correlation_of_opposites_is_minus_one_and_of_a_flat_series_unknown() -> None:
    a = np.array([0.01, -0.02, 0.03, 0.0])
    assert m.correlation(a, -a) == pytest.approx(-1.0)
    assert math.isnan(m.correlation(a, np.zeros(4)))
    with pytest.raises(ValueError, match="length"):
        m.correlation(a, a[1:])


@pytest.mark.parametrize(
    "metric", [lambda x: m.sharpe(x, 252), lambda x: m.sortino(x, 252), m.win_rate, m.max_drawdown]
)
def test_a_metric_refuses_nan(metric) -> None:
    with pytest.raises(ValueError, match="finite"):
        metric([1.0, 2.0, math.nan])


def test_not_a_number_becomes_none_at_the_border_and_zero_stays_zero() -> None:
    assert finite_or_none(math.nan) is None
    assert finite_or_none(math.inf) is None
    assert finite_or_none(0.0) == 0.0
