"""Which of four kinds of market this is. Rules, fixed and readable; no model.

First the shape of the path: the net move in units of what a random walk of the same steps would do ("drift in sigmas"),
and the variance ratio (variance of q-bar returns over q times that of one-bar returns: above 1 trends, below 1 swings
back). When neither is clear, the level of volatility against its own history decides between calm and volatile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from assets.quant.arrays import Numbers, checked

MIN_RETURNS = 30
TRENDING_SIGMAS = 2.0
VOLATILE_PERCENTILE = 0.90
_REVERTING_Z = -1.64  # variance ratio below one with 95 % confidence, one-sided


class Regime(StrEnum):
    TRENDING = "trending"
    MEAN_REVERTING = "mean_reverting"
    CALM = "calm"
    VOLATILE = "volatile"
    UNKNOWN = "unknown"  # too little data


@dataclass(frozen=True, slots=True)
class RegimeView:
    """The class with the numbers it came from (NaN: could not be computed)."""

    regime: Regime
    drift_sigmas: float  # signed
    variance_ratio: float
    volatility_percentile: float


def drift_sigmas(returns: Numbers) -> float:
    """Sum of returns over the root of their summed squares: about +-1 for a random walk. NaN: too few; 0: flat."""
    series = checked(returns, "returns")
    if series.size < MIN_RETURNS:
        return math.nan
    way = math.sqrt(float(series @ series))
    return float(series.sum()) / way if way > 1e-12 else 0.0


def variance_ratio(returns: Numbers, q: int = 5) -> float:
    """Variance of overlapping `q`-bar returns over `q` times the one-bar variance. NaN when too few, 1 when flat."""
    series = checked(returns, "returns")
    if q < 2:
        raise ValueError(f"q must be at least 2, was {q}.")
    if series.size < max(MIN_RETURNS, 4 * q):
        return math.nan
    one = series - series.mean()
    variance = float(one @ one) / series.size
    if variance <= 1e-24:
        return 1.0
    path = np.concatenate(([0.0], np.cumsum(one)))
    many = path[q:] - path[:-q]
    return float(many @ many) / many.size / (q * variance)


def classify(returns: Numbers, volatility_percentile: float = math.nan, *, q: int = 5) -> RegimeView:
    """The regime of `returns` (per bar, newest last). `volatility_percentile` 0..1 against its own history, or NaN."""
    series = checked(returns, "returns")
    drift, ratio = drift_sigmas(series), variance_ratio(series, q)
    return RegimeView(
        _regime(drift, ratio, volatility_percentile, series.size, q), drift, ratio, volatility_percentile
    )


def _regime(drift: float, ratio: float, percentile: float, count: int, q: int) -> Regime:
    if math.isnan(drift) or math.isnan(ratio):
        return Regime.UNKNOWN
    if abs(drift) >= TRENDING_SIGMAS:
        return Regime.TRENDING
    if percentile >= VOLATILE_PERCENTILE:
        return Regime.VOLATILE
    # Lo and MacKinlay's standard error of the ratio under a random walk with equal variances.
    error = math.sqrt(2.0 * (2 * q - 1) * (q - 1) / (3.0 * q * count))
    if (ratio - 1.0) / error <= _REVERTING_Z:
        return Regime.MEAN_REVERTING
    return Regime.VOLATILE if percentile > 0.5 else Regime.CALM
