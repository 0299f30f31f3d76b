"""Direction and strength of a price, -1 (falls straight) .. +1 (rises straight), 0 when flat. NaN: too little data."""

from __future__ import annotations

import math

import numpy as np

from assets.quant.arrays import Numbers, checked_prices, checked_window
from assets.quant.indicators import ema


def straightness(closes: Numbers, window: int) -> float:
    """Correlation of the last `window` log closes with time: sign is direction, size is how straight the way was."""
    series, window = checked_prices(closes, "closes"), checked_window(window, minimum=3)
    if series.size < window:
        return math.nan
    y = np.log(series[-window:])
    y = y - y.mean()
    x = np.arange(window) - (window - 1) / 2.0
    spread = float(np.sqrt(y @ y))
    if spread <= 1e-12 * window:  # flat: only rounding noise
        return 0.0
    return float(np.clip((x @ y) / (math.sqrt(float(x @ x)) * spread), -1.0, 1.0))


def ema_spread(closes: Numbers, fast: int, slow: int) -> float:
    """tanh of (fast EMA - slow EMA) of log closes, in sigmas that a random walk moves in `slow` - `fast` bars."""
    series = checked_prices(closes, "closes")
    if not 0 < fast < slow:
        raise ValueError(f"Needs 0 < fast < slow, were {fast} and {slow}.")
    if series.size < slow + 1:
        return math.nan
    logs = np.log(series)
    steps = np.diff(logs[-(slow + 1) :])
    sigma = float(np.sqrt(np.mean(steps * steps))) * math.sqrt(slow - fast)
    if sigma <= 1e-12:
        return 0.0
    gap = float(ema(logs, fast)[-1] - ema(logs, slow)[-1])
    return math.tanh(gap / sigma)


def efficiency(closes: Numbers, window: int) -> float:
    """Kaufman's ratio over the last `window` steps: |net log move| / way travelled, 0..1; 0 when nothing moved."""
    series, window = checked_prices(closes, "closes"), checked_window(window, minimum=2)
    if series.size < window + 1:
        return math.nan
    steps = np.diff(np.log(series[-(window + 1) :]))
    way = float(np.abs(steps).sum())
    return abs(float(steps.sum())) / way if way > 1e-12 else 0.0
