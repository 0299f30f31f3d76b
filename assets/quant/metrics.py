"""Performance metrics: arrays in, one number out, NaN when there is too little data or nothing varied.

Returns are simple (0.01 = 1 %) per period; equity curves are above zero. `periods_per_year` comes from the asset's
calendar and bar, never from habit: 252 is not a law. Turn NaN into None at the border with `arrays.finite_or_none`.
"""

from __future__ import annotations

import math

import numpy as np

from assets.quant.arrays import FloatArray, Numbers, checked, checked_prices

MIN_RETURNS = 2
_FLAT = 1e-12  # a deviation below this (absolute, or relative to the mean) is rounding noise


def returns_of(equity: Numbers) -> FloatArray:
    """Simple returns of an equity curve, one fewer than points."""
    curve = checked_prices(equity, "equity")
    return curve[1:] / curve[:-1] - 1.0


def total_return(equity: Numbers) -> float:
    """Last over first minus one; NaN with fewer than two points."""
    curve = checked_prices(equity, "equity")
    return float(curve[-1] / curve[0] - 1.0) if curve.size >= 2 else math.nan


def annual_return(equity: Numbers, periods_per_year: float) -> float:
    """Compound growth per year; NaN with fewer than two points, and over less than one day (it would explode)."""
    curve = checked_prices(equity, "equity")
    periods = curve.size - 1
    if periods < 1 or periods / periods_per_year < 1.0 / 366.0:
        return math.nan
    growth = math.log(float(curve[-1] / curve[0])) * periods_per_year / periods
    return math.expm1(growth) if growth < 50.0 else math.nan


def annual_volatility(returns: Numbers, periods_per_year: float) -> float:
    """Sample standard deviation scaled to a year; NaN with fewer than two returns."""
    series = checked(returns, "returns")
    if series.size < MIN_RETURNS:
        return math.nan
    return float(series.std(ddof=1)) * math.sqrt(periods_per_year)


def sharpe(returns: Numbers, periods_per_year: float, risk_free: float = 0.0) -> float:
    """Mean excess return over its sample deviation, annualised. `risk_free` is per period. NaN when nothing varied."""
    excess = checked(returns, "returns") - risk_free
    if excess.size < MIN_RETURNS:
        return math.nan
    mean, deviation = float(excess.mean()), float(excess.std(ddof=1))
    if deviation <= _FLAT * max(1.0, abs(mean)):
        return math.nan
    return mean / deviation * math.sqrt(periods_per_year)


def sharpe_error(returns: Numbers, periods_per_year: float) -> float:
    """Standard error of the annualised Sharpe ratio (Lo 2002, independent returns); NaN when that is."""
    ratio = sharpe(returns, periods_per_year)
    per_period = ratio / math.sqrt(periods_per_year)
    return (
        math.sqrt((1.0 + per_period**2 / 2.0) / len(returns) * periods_per_year)
        if math.isfinite(ratio)
        else ratio
    )


def sortino(returns: Numbers, periods_per_year: float, target: float = 0.0) -> float:
    """Mean excess over the downside deviation (root mean square of shortfalls over all returns). NaN without any."""
    excess = checked(returns, "returns") - target
    if excess.size < MIN_RETURNS:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    if downside <= _FLAT:
        return math.nan
    return float(excess.mean()) / downside * math.sqrt(periods_per_year)


def max_drawdown(equity: Numbers) -> float:
    """Deepest fall from a peak, -1..0; NaN with fewer than two points."""
    curve = checked_prices(equity, "equity")
    if curve.size < 2:
        return math.nan
    return float((curve / np.maximum.accumulate(curve) - 1.0).min())


def longest_drawdown(equity: Numbers) -> int:
    """Most points in a row below an earlier peak."""
    curve = checked_prices(equity, "equity")
    below = curve < np.maximum.accumulate(curve) if curve.size else np.zeros(0, dtype=bool)
    longest = current = 0
    for under in below:
        current = current + 1 if under else 0
        longest = max(longest, current)
    return longest


def calmar(equity: Numbers, periods_per_year: float) -> float:
    """Annual return over the deepest drawdown; NaN without a drawdown."""
    worst = max_drawdown(equity)
    if not worst < 0.0:
        return math.nan
    return annual_return(equity, periods_per_year) / -worst


def win_rate(profits: Numbers) -> float:
    """Share of closed trades with a profit above zero; NaN without trades."""
    series = checked(profits, "profits")
    return float(np.count_nonzero(series > 0.0) / series.size) if series.size else math.nan


def profit_factor(profits: Numbers) -> float:
    """Sum of profits over sum of losses; NaN without a loss (infinity says nothing)."""
    series = checked(profits, "profits")
    lost = -float(series[series < 0.0].sum())
    return float(series[series > 0.0].sum()) / lost if lost > 0.0 else math.nan


def expectancy(profits: Numbers) -> float:
    """Mean profit of a trade; NaN without trades."""
    series = checked(profits, "profits")
    return float(series.mean()) if series.size else math.nan


def correlation(a: Numbers, b: Numbers) -> float:
    """Pearson correlation of two return series of equal length; NaN with fewer than 3 or when one is flat."""
    left, right = checked(a, "a"), checked(b, "b")
    if left.size != right.size:
        raise ValueError(f"Series differ in length: {left.size} and {right.size}.")
    if left.size < 3:
        return math.nan
    left, right = left - left.mean(), right - right.mean()
    scale = math.sqrt(float(left @ left) * float(right @ right))
    return float(np.clip((left @ right) / scale, -1.0, 1.0)) if scale > 1e-24 else math.nan
