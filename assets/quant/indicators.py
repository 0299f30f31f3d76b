"""Causal indicators. Arrays in, arrays of the same length out, NaN where the past is too short.

Element t depends on elements 0..t only: recomputed on a longer series, old elements do not move. Every function raises
ValueError when its input holds NaN or infinity. Windows and spans are in bars.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from assets.quant.arrays import FloatArray, Numbers, checked, checked_prices, checked_window

_MAX_GROWTH = math.log(1e8)  # largest factor by which a block of the recurrence below scales its terms


def _like(values: FloatArray) -> FloatArray:
    return np.full(values.shape, np.nan)


def _windows(values: FloatArray, window: int) -> FloatArray:
    """All full windows as contiguous rows: the sum of a row never depends on how many rows there are."""
    return np.ascontiguousarray(sliding_window_view(values, window))


def _padded(rows: FloatArray, size: int) -> FloatArray:
    out = np.full(size, np.nan)
    out[size - rows.size :] = rows
    return out


def recurrence(values: FloatArray, keep: float, first: float) -> FloatArray:
    """y[0] = first; y[t] = keep * y[t-1] + (1 - keep) * values[t], for 0 <= keep < 1.

    Solved block by block with cumulative sums, about 40 times as fast as a loop over elements.
    """
    out = np.empty(values.size)
    if values.size == 0:
        return out
    out[0] = first
    if keep <= 0.0:
        out[1:] = values[1:]
        return out
    length = max(1, int(_MAX_GROWTH / -math.log(keep)))
    length = min(length, 4096)
    powers = keep ** np.arange(1, length + 1)
    for start in range(1, values.size, length):
        chunk = values[start : start + length]
        scale = powers[: chunk.size]
        out[start : start + chunk.size] = scale * (out[start - 1] + np.cumsum((1.0 - keep) * chunk / scale))
    return out


def sma(values: Numbers, window: int) -> FloatArray:
    """Simple moving average."""
    series, window = checked(values), checked_window(window)
    if series.size < window:
        return _like(series)
    return _padded(_windows(series, window).mean(axis=1), series.size)


def ema(values: Numbers, span: int) -> FloatArray:
    """Exponential moving average with weight 2 / (span + 1), started with the mean of the first `span` values."""
    series, span = checked(values), checked_window(span, "span")
    if series.size < span:
        return _like(series)
    tail = recurrence(series[span - 1 :], 1.0 - 2.0 / (span + 1.0), float(series[:span].mean()))
    return _padded(tail, series.size)


def rolling_std(values: Numbers, window: int, *, ddof: int = 0) -> FloatArray:
    """Standard deviation of the last `window` values; `ddof` 0 divides by n, 1 by n - 1."""
    series, window = checked(values), checked_window(window, minimum=2)
    if series.size < window:
        return _like(series)
    return _padded(_windows(series, window).std(axis=1, ddof=ddof), series.size)


def rolling_max(values: Numbers, window: int) -> FloatArray:
    """Highest of the last `window` values."""
    series, window = checked(values), checked_window(window)
    if series.size < window:
        return _like(series)
    return _padded(_windows(series, window).max(axis=1), series.size)


def rolling_min(values: Numbers, window: int) -> FloatArray:
    """Lowest of the last `window` values."""
    return -rolling_max(-checked(values), window)


def zscore(values: Numbers, window: int) -> FloatArray:
    """Distance from the moving average in standard deviations; NaN where the window is flat."""
    series = checked(values)
    mean, std = sma(series, window), rolling_std(series, window)
    out = _like(series)
    # A flat window has a deviation of rounding noise, not of zero.
    usable = std > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    out[usable] = (series[usable] - mean[usable]) / std[usable]
    return out


def rate_of_change(values: Numbers, window: int) -> FloatArray:
    """values[t] / values[t - window] - 1. Prices must be above zero."""
    series, window = checked_prices(values), checked_window(window)
    out = _like(series)
    out[window:] = series[window:] / series[:-window] - 1.0 if series.size > window else np.nan
    return out


def rsi(values: Numbers, window: int = 14) -> FloatArray:
    """Wilder's relative strength index, 0..100; 50 where nothing moved at all."""
    series, window = checked(values), checked_window(window)
    if series.size <= window:
        return _like(series)
    steps = np.diff(series)
    gains, losses = np.maximum(steps, 0.0), np.maximum(-steps, 0.0)
    keep = 1.0 - 1.0 / window
    up = recurrence(gains[window - 1 :], keep, float(gains[:window].mean()))
    down = recurrence(losses[window - 1 :], keep, float(losses[:window].mean()))
    total = up + down
    index = np.full(total.shape, 50.0)
    moved = total > 0.0
    index[moved] = 100.0 * up[moved] / total[moved]
    return _padded(index, series.size)


def true_range(high: Numbers, low: Numbers, close: Numbers) -> FloatArray:
    """Largest of high - low, |high - previous close|, |low - previous close|; the first bar is high - low."""
    highs, lows, closes = checked(high, "high"), checked(low, "low"), checked(close, "close")
    if not highs.size == lows.size == closes.size:
        raise ValueError(f"high, low and close differ in length: {highs.size}, {lows.size}, {closes.size}.")
    if (highs < lows).any():
        raise ValueError(f"high is below low at position {int(np.flatnonzero(highs < lows)[0])}.")
    out = highs - lows
    if closes.size > 1:
        gap = np.maximum(np.abs(highs[1:] - closes[:-1]), np.abs(lows[1:] - closes[:-1]))
        out[1:] = np.maximum(out[1:], gap)
    return out


def atr(high: Numbers, low: Numbers, close: Numbers, window: int = 14) -> FloatArray:
    """Wilder's average true range, in price units."""
    ranges, window = true_range(high, low, close), checked_window(window)
    if ranges.size < window:
        return _like(ranges)
    tail = recurrence(ranges[window - 1 :], 1.0 - 1.0 / window, float(ranges[:window].mean()))
    return _padded(tail, ranges.size)


class Bands(NamedTuple):
    """Moving average with an upper and a lower band around it."""

    middle: FloatArray
    upper: FloatArray
    lower: FloatArray


def bollinger(values: Numbers, window: int = 20, width: float = 2.0) -> Bands:
    """Moving average +- `width` population standard deviations."""
    if not width > 0.0:
        raise ValueError(f"width must be above 0, was {width}.")
    middle, std = sma(values, window), rolling_std(values, window)
    return Bands(middle, middle + width * std, middle - width * std)


class Macd(NamedTuple):
    """Difference of two averages, its own average, and the difference of both."""

    line: FloatArray
    signal: FloatArray
    histogram: FloatArray


def macd(values: Numbers, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Moving average convergence/divergence, in price units. Needs fast < slow."""
    if not fast < slow:
        raise ValueError(f"fast must be below slow, were {fast} and {slow}.")
    line = ema(values, fast) - ema(values, slow)
    known = line[slow - 1 :]
    average = _padded(ema(known, signal), line.size) if known.size else _like(line)
    return Macd(line, average, line - average)


def vwap(high: Numbers, low: Numbers, close: Numbers, volume: Numbers, window: int) -> FloatArray:
    """Volume-weighted mean of (high + low + close) / 3 over `window` bars; NaN where nothing traded."""
    typical = (checked(high, "high") + checked(low, "low") + checked(close, "close")) / 3.0
    amounts, window = checked(volume, "volume"), checked_window(window)
    if (amounts < 0.0).any():
        raise ValueError("volume must not be negative.")
    if amounts.size < window:
        return _like(typical)
    traded = _windows(amounts, window).sum(axis=1)
    paid = _windows(typical * amounts, window).sum(axis=1)
    out = np.full(traded.shape, np.nan)
    out[traded > 0.0] = paid[traded > 0.0] / traded[traded > 0.0]
    return _padded(out, typical.size)


def volume_ratio(volume: Numbers, window: int) -> FloatArray:
    """Volume of a bar over the mean of the `window` bars before it; NaN where those were empty."""
    amounts, window = checked(volume, "volume"), checked_window(window)
    if (amounts < 0.0).any():
        raise ValueError("volume must not be negative.")
    before = _like(amounts)
    before[1:] = sma(amounts, window)[:-1]
    out = _like(amounts)
    usable = before > 0.0
    out[usable] = amounts[usable] / before[usable]
    return out


def drawdown(values: Numbers) -> FloatArray:
    """values / highest so far - 1, in -1..0. Prices must be above zero."""
    series = checked_prices(values)
    return series / np.maximum.accumulate(series) - 1.0 if series.size else series.copy()
