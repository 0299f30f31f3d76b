"""A stop that adapts: wide enough for the market's noise, moved with the price, never loosened.

    rule = StopRule(multiple=3.0, low=0.02, high=0.15, trails=True, break_even_at=1.0, max_age_s=86_400)
    stop = place(rule, entry=100.0, is_long=True, atr_ratio=0.01, regime=1.0, now_s=...)
    stop = move(rule, stop, best=106.0, atr_ratio=0.01, regime=1.2)
    verdict(rule, stop, price=98.0, now_s=...)     -> "" | "initial" | "break_even" | "trailing" | "age"

Prices in the quote currency, above 0; ratios are fractions of the price; times in epoch seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from assets.quant import indicators
from assets.quant.arrays import Numbers, checked
from assets.quant.stops import stop_ratio

REGIME_LOW, REGIME_HIGH = 0.75, 1.5
NOISE_BARS = 60  # average range now ...
USUAL_BARS = 300  # ... against that of so many bars
HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRule:
    """How a kind of asset gives up. `multiple` of ATR, kept within [low, high] of the price.

    `break_even_at`: once the gain reaches so many times the first risk, the stop goes to the entry (0: never).
    `max_age_s`: a position older than that which is not ahead is closed (0: never).
    """

    multiple: float
    low: float
    high: float
    trails: bool = True
    break_even_at: float = 0.0
    max_age_s: float = 0.0

    def __post_init__(self) -> None:
        if not (self.multiple > 0.0 and 0.0 < self.low <= self.high < 1.0):
            raise ValueError(f"Needs multiple > 0 and 0 < low <= high < 1: {self}.")
        if self.break_even_at < 0.0 or self.max_age_s < 0.0:
            raise ValueError(f"break_even_at and max_age_s cannot be negative: {self}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Where a position is given up. `risk` is the first distance as a fraction of the entry; `best` the best price since."""

    entry: float
    is_long: bool
    opened_s: float
    risk: float
    best: float
    level: float
    cause: str  # initial, break_even, trailing


@dataclass(frozen=True, slots=True)
class Noise:
    """How far a price moves by itself: average true range of an hour over price, and how that compares with usual.

    NaN where there are too few bars.
    """

    atr_ratio: float
    regime: float


UNKNOWN = Noise(math.nan, math.nan)


def noise(high: Numbers, low: Numbers, close: Numbers, bar_s: int) -> Noise:
    """Measured on closed bars of `bar_s` seconds, oldest first; unknown below half of NOISE_BARS.

    The range of a bar is scaled to an hour by the root of time, as that of a random walk. Raises ValueError for a bar
    length that is not above 0 or values that are not finite.
    """
    if bar_s <= 0:
        raise ValueError(f"A bar must last longer than 0 s, was {bar_s}.")
    highs, lows, closes = checked(high, "high"), checked(low, "low"), checked(close, "close")
    if closes.size <= NOISE_BARS // 2:
        return UNKNOWN
    window = min(NOISE_BARS, closes.size - 1)
    reach = float(indicators.atr(highs, lows, closes, window)[-1])
    usual = float(indicators.true_range(highs, lows, closes)[-USUAL_BARS:].mean())
    hourly = reach / float(closes[-1]) * math.sqrt(HOUR_S / bar_s)
    return Noise(hourly, reach / usual if usual > 0.0 else 1.0)


def width(rule: StopRule, atr_ratio: float, regime: float) -> float:
    """Distance as a fraction of price. `regime`: present volatility over its usual level; unknown counts as hot."""
    factor = min(max(regime, REGIME_LOW), REGIME_HIGH) if math.isfinite(regime) else REGIME_HIGH
    return stop_ratio(atr_ratio, rule.multiple * factor, rule.low, rule.high)


def place(
    rule: StopRule, *, entry: float, is_long: bool, atr_ratio: float, regime: float, now_s: float
) -> Stop:
    """The first stop of a position. Raises ValueError for a price that is not above 0."""
    if not (math.isfinite(entry) and entry > 0.0):
        raise ValueError(f"The entry must be a price above 0, was {entry}.")
    risk = width(rule, atr_ratio, regime)
    return Stop(
        entry=entry, is_long=is_long, opened_s=now_s, risk=risk, best=entry,
        level=_away(entry, risk, is_long), cause="initial",
    )  # fmt: skip


def move(rule: StopRule, stop: Stop, *, best: float, atr_ratio: float, regime: float) -> Stop:
    """After the price has been at `best` (high of a bar for a long, low for a short). The level only tightens."""
    if not (math.isfinite(best) and best > 0.0):
        return stop  # a wrong bar moves nothing
    better = max(stop.best, best) if stop.is_long else min(stop.best, best)
    stop = replace(stop, best=better)
    gain = _gain(stop, better)
    if rule.break_even_at and gain >= rule.break_even_at * stop.risk:
        stop = _tighter(stop, stop.entry, "break_even")
    if rule.trails:
        stop = _tighter(stop, _away(better, width(rule, atr_ratio, regime), stop.is_long), "trailing")
    return stop


def with_entry(stop: Stop, entry: float) -> Stop:
    """After more was bought (or sold short): the first risk counts from the new average, the level never loosens."""
    if not (math.isfinite(entry) and entry > 0.0):
        raise ValueError(f"The entry must be a price above 0, was {entry}.")
    return _tighter(replace(stop, entry=entry), _away(entry, stop.risk, stop.is_long), stop.cause)


def verdict(rule: StopRule, stop: Stop, *, price: float, now_s: float) -> str:
    """Why the position is to be closed at `price` now; empty when it is not. An unknown price closes nothing."""
    if not (math.isfinite(price) and price > 0.0):
        return ""
    if price <= stop.level if stop.is_long else price >= stop.level:
        return stop.cause
    if rule.max_age_s and now_s - stop.opened_s >= rule.max_age_s and _gain(stop, price) <= 0.0:
        return "age"
    return ""


def _gain(stop: Stop, price: float) -> float:
    """As a fraction of the entry, positive when ahead."""
    change = price / stop.entry - 1.0
    return change if stop.is_long else -change


def _away(price: float, ratio: float, is_long: bool) -> float:
    return price * (1.0 - ratio) if is_long else price * (1.0 + ratio)


def _tighter(stop: Stop, level: float, cause: str) -> Stop:
    closer = level > stop.level if stop.is_long else level < stop.level
    return replace(stop, level=level, cause=cause) if closer else stop
