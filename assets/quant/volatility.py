"""Annualised realised volatility. 0.14 is a quiet ETF, 0.80 a lively meme coin.

An exponentially weighted mean of squared log returns (zero mean: over minutes the drift is far below the noise). The
half-life is stated in bars; about two hours is right for intraday bars (measured: it beat 30 minutes). A bar's variance
is scaled to a year by the number of bars a year has on its calendar: days per year (365 crypto, about 260 forex, 252
exchange) times bars per trading day.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from assets.quant.arrays import FloatArray, IntArray, Numbers, checked, checked_prices
from assets.quant.indicators import recurrence

INTRADAY_HALF_LIFE_S = 7200.0
DAILY_HALF_LIFE_BARS = 10.0
MIN_RETURNS = 20  # fewer say nothing
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Scale:
    """How the volatility of one bar becomes that of a year. Both above zero."""

    half_life_bars: float
    bars_per_year: float


def scale(*, bar_s: float, trading_day_s: float, days_per_year: float) -> Scale:
    """The scale of bars of `bar_s` seconds on a calendar whose trading day lasts `trading_day_s` seconds.

    Half-life: two hours of bars, but at least five bars; ten bars when a bar is a day or longer.
    """
    if not (bar_s > 0 and trading_day_s > 0 and days_per_year > 0):
        raise ValueError(f"All must be above 0, were {bar_s}, {trading_day_s}, {days_per_year}.")
    if bar_s >= _DAY_S:
        return Scale(DAILY_HALF_LIFE_BARS, days_per_year * _DAY_S / bar_s)
    bars_per_day = max(1.0, trading_day_s / bar_s)
    return Scale(max(5.0, INTRADAY_HALF_LIFE_S / bar_s), days_per_year * bars_per_day)


def log_returns(closes: Numbers, ts: IntArray | None = None, bar_s: float | None = None) -> FloatArray:
    """Log returns per bar, one fewer than closes.

    With `ts` and `bar_s` (seconds) a return over a hole of k bars counts as r / sqrt(k), so that a night or a missing
    hour does not look like one violent bar. Bars of a day or longer are taken one by one: their holes are weekends.
    """
    returns = np.diff(np.log(checked_prices(closes, "closes")))
    if ts is None or bar_s is None or bar_s >= _DAY_S:
        return returns
    elapsed = np.diff(np.asarray(ts, dtype=np.float64)) / bar_s
    if elapsed.size != returns.size or (elapsed <= 0.0).any():
        raise ValueError("ts must rise strictly and be as long as closes.")
    return returns / np.sqrt(np.maximum(elapsed, 1.0))


def ewma(returns: Numbers, how: Scale) -> float:
    """Annualised volatility at the last return; NaN with fewer than MIN_RETURNS returns, 0.0 when nothing moved."""
    series = checked(returns, "returns")
    if series.size < MIN_RETURNS:
        return math.nan
    weights = 0.5 ** (np.arange(series.size - 1, -1, -1) / how.half_life_bars)
    variance = float(weights @ (series * series) / weights.sum())
    return math.sqrt(variance * how.bars_per_year)


def ewma_path(returns: Numbers, how: Scale) -> FloatArray:
    """`ewma` at every return, in one pass; NaN for the first MIN_RETURNS - 1."""
    series = checked(returns, "returns")
    if series.size == 0:
        return series.copy()
    keep = 0.5 ** (1.0 / how.half_life_bars)
    # Divide by the weight used so far: the start is not biased towards zero.
    weighted = recurrence(series * series, keep, (1.0 - keep) * float(series[0]) ** 2)
    used = 1.0 - keep ** np.arange(1, series.size + 1)
    out: FloatArray = np.sqrt(weighted / used * how.bars_per_year)
    out[: MIN_RETURNS - 1] = np.nan
    return out


def realised(returns: Numbers, bars_per_year: float) -> float:
    """Equally weighted annualised volatility of `returns` (zero mean); NaN with fewer than MIN_RETURNS."""
    series = checked(returns, "returns")
    if series.size < MIN_RETURNS:
        return math.nan
    return math.sqrt(float(np.mean(series * series)) * bars_per_year)


def percentile(history: Numbers, value: float) -> float:
    """Share of `history` (finite part) at or below `value`, 0..1; NaN with fewer than MIN_RETURNS or a NaN value."""
    series = np.asarray(history, dtype=np.float64)
    series = series[np.isfinite(series)]
    if series.size < MIN_RETURNS or not math.isfinite(value):
        return math.nan
    return float(np.count_nonzero(series <= value) / series.size)


def over(volatility: float, how: Scale, bars: float) -> float:
    """What an annualised `volatility` means over `bars` bars (a log return, one sigma)."""
    return volatility * math.sqrt(bars / how.bars_per_year)
