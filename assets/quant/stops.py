"""Where a position is given up. Ratios are fractions of the price."""

from __future__ import annotations

import math


def stop_ratio(atr_ratio: float, multiple: float, low: float, high: float) -> float:
    """Distance of the stop as a fraction of price: `multiple` x ATR / price, kept within [low, high].

    `high` when the ATR is unknown: an unknown market gets the widest stop, which means the smallest position.
    """
    if not 0.0 < low <= high:
        raise ValueError(f"Needs 0 < low <= high, were {low} and {high}.")
    if not math.isfinite(atr_ratio):
        return high
    return min(max(multiple * atr_ratio, low), high)


def is_hit(*, price: float, entry: float, is_long: bool, ratio: float) -> bool:
    """Whether `price` lies at or beyond the stop of a position opened at `entry`."""
    return distance(price=price, entry=entry, is_long=is_long, ratio=ratio) <= 0.0


def distance(*, price: float, entry: float, is_long: bool, ratio: float) -> float:
    """Log distance from `price` to the stop; zero or below once it is hit. Prices above 0, ratio 0 < r < 1."""
    if not (price > 0.0 and entry > 0.0 and 0.0 < ratio < 1.0):
        raise ValueError(f"Needs price, entry > 0 and 0 < ratio < 1, were {price}, {entry}, {ratio}.")
    level = entry * (1.0 - ratio) if is_long else entry * (1.0 + ratio)
    return math.log(price / level) if is_long else math.log(level / price)
