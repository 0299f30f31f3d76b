"""Simulated prices: a pure function of (seed, symbol, time), so a restart goes on exactly where the last run stopped.

Days form a mean-reverting walk with volatility regimes shared by the whole market; inside a day, minutes form a bridge
from one day's level to the next, with busy and quiet hours, jumps, and a common factor that correlates instruments;
inside a minute, seconds form a bridge inside the bar. Every longer bar is made of the same minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zlib import crc32

import numpy as np

from assets.markets import calendars
from assets.markets.calendar_rules import ForexWeek
from assets.markets.series import Bars, Floats, Ints, empty_bars

DAY_S: Final = 86400
_FIRST_DAY: Final = 18_993  # 2022-01-01 in days since 1970
_DAYS: Final = 7_300
_PULL: Final = 0.004  # part of the distance from its base level a price loses in a day
_REGIMES: Final = np.array([0.6, 1.0, 2.3])  # volatility against the ordinary: calm, ordinary, wild
_STAY: Final = np.array([[0.95, 0.05, 0.0], [0.03, 0.94, 0.03], [0.0, 0.10, 0.90]])
_SUNDAY: Final = 0.1  # part of a day's variance in the few hours of a Sunday evening
_OVERNIGHT: Final = 0.35  # part of a day's move that happens while an exchange is closed
_JUMPS_PER_DAY: Final = 0.7
_JUMP_SIGMAS: Final = 12.0
_NOTIONAL_PER_MINUTE: Final = 500_000.0
_HOURS: Final = np.arange(25)


@dataclass(frozen=True, slots=True)
class Profile:
    """What one simulated instrument is like. `volatility` is annualised; `tick` is the price step."""

    symbol: str
    price: float
    volatility: float
    correlation: float
    calendar: str
    tick: float


def _rng(*parts: int | str) -> np.random.Generator:
    """A generator of its own for each combination of parts."""
    keys = [crc32(part.encode()) if isinstance(part, str) else part for part in parts]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(keys)))


@dataclass(frozen=True, slots=True)
class _Market:
    factor: Floats  # one standard normal move a day, shared
    regime: Floats  # volatility multiplier of each day


@lru_cache(maxsize=8)
def _market(seed: int) -> _Market:
    rng = _rng(seed, "market")
    factor = rng.standard_normal(_DAYS)
    draws = rng.random(_DAYS)
    states = np.empty(_DAYS, dtype=np.int64)
    state = 1
    reach = np.cumsum(_STAY, axis=1)
    for day in range(_DAYS):
        state = min(int(np.searchsorted(reach[state], draws[day], side="right")), len(_REGIMES) - 1)
        states[day] = state
    return _Market(factor=factor, regime=_REGIMES[states])


@lru_cache(maxsize=256)
def _levels(seed: int, profile: Profile) -> Floats:
    """Logarithm of the price at the end of each day, starting with the end of the day before the first."""
    market = _market(seed)
    own = _rng(seed, "days", profile.symbol).standard_normal(_DAYS)
    mix = profile.correlation * market.factor + math.sqrt(1 - profile.correlation**2) * own
    moves = (mix * market.regime * _daily_sigma(profile) * _day_weights(profile.calendar)).tolist()
    base = math.log(profile.price)
    levels = [base]
    for move in moves:
        levels.append(levels[-1] + _PULL * (base - levels[-1]) + move)
    return np.asarray(levels)


def _daily_sigma(profile: Profile) -> float:
    return profile.volatility / math.sqrt(calendars.get(profile.calendar).periods_per_year)


@lru_cache(maxsize=8)
def _day_weights(calendar: str) -> Floats:
    """How much of an ordinary day's move each day has, by its weekday. A holiday's move shows at the next opening."""
    if calendar == "24x7":
        return np.ones(_DAYS)
    weekday = (np.arange(_FIRST_DAY, _FIRST_DAY + _DAYS) + 3) % 7  # Monday is 0
    sunday = math.sqrt(_SUNDAY) if calendar == ForexWeek.key else 0.0
    return np.select([weekday == 5, weekday == 6], [0.0, sunday], 1.0)


@lru_cache(maxsize=128)
def minutes(seed: int, profile: Profile, day: int) -> Bars:
    """The one-minute bars of a UTC day (days since 1970); empty when closed or outside the simulated span."""
    index = day - _FIRST_DAY
    if not 0 <= index < _DAYS:
        return empty_bars()
    ts = day * DAY_S + 60 * np.arange(1440, dtype=np.int64)
    calendar = calendars.get(profile.calendar)
    is_open = calendar.open_mask(ts)
    if not is_open.any():
        return empty_bars()
    levels = _levels(seed, profile)
    start, end = float(levels[index]), float(levels[index + 1])
    if calendar.minutes_per_day < 1440:
        start += _OVERNIGHT * (end - start)
    place = np.flatnonzero(is_open)
    rng = _rng(seed, "minutes", profile.symbol, day)
    sigma = _minute_sigma(seed, profile, index, place, rng)
    steps = _steps(seed, profile, day, place, sigma, rng)
    # The bridge: what is missing to the day's end is shared out in proportion to variance.
    path, variance = np.cumsum(steps), np.cumsum(sigma * sigma)
    path += (end - start - path[-1]) / variance[-1] * variance
    prices = np.exp(np.concatenate(([start], start + path)))
    return _candles(ts[place], prices, sigma, profile, rng)


@lru_cache(maxsize=16)
def _curve(minutes_per_day: int, count: int, first: int) -> Floats:
    """Busy and quiet hours. An exchange is busy at both ends, others with the European and American afternoon."""
    if minutes_per_day < 1440:
        return 0.8 + 0.5 * np.linspace(-1, 1, count) ** 2
    hours = np.arange(first, first + count) / 1440
    return 1 + 0.25 * np.cos((hours - 0.65) * 2 * math.pi)


def _minute_sigma(seed: int, profile: Profile, index: int, place: Ints, rng: np.random.Generator) -> Floats:
    """Size of a move in each open minute: the regime, an hourly mood, and the time of day."""
    usual = calendars.get(profile.calendar).minutes_per_day
    regime = float(_market(seed).regime[index])
    mood = np.interp(place / 60.0, _HOURS, np.exp(0.35 * rng.standard_normal(25)))
    curve = _curve(usual, len(place), int(place[0]))
    return (_daily_sigma(profile) / math.sqrt(usual) * regime) * curve * mood


def _steps(
    seed: int, profile: Profile, day: int, place: Ints, sigma: Floats, rng: np.random.Generator
) -> Floats:
    common = _common_minutes(seed, day)[place]
    own = rng.standard_normal(len(sigma))
    steps = sigma * (profile.correlation * common + math.sqrt(1 - profile.correlation**2) * own)
    jumps = rng.integers(0, len(sigma), rng.poisson(_JUMPS_PER_DAY))
    steps[jumps] += sigma[jumps] * _JUMP_SIGMAS * rng.standard_normal(len(jumps))
    return steps


@lru_cache(maxsize=128)
def _common_minutes(seed: int, day: int) -> Floats:
    return _rng(seed, "market", day).standard_normal(1440)


def _candles(ts: Ints, prices: Floats, sigma: Floats, profile: Profile, rng: np.random.Generator) -> Bars:
    """`prices` are the edges of the minutes: one more than there are minutes."""
    draws = rng.standard_normal((3, len(ts)))
    edges = _on_tick(prices, profile.tick)
    opened, close = edges[:-1], edges[1:]
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    reach = np.abs(draws[:2]) * (0.6 * sigma)
    extremes = _on_tick(np.stack((top * (1 + reach[0]), bottom / (1 + reach[1]))), profile.tick)
    stir = 1 + 1.5 * np.abs(close / opened - 1) / sigma
    volume = _NOTIONAL_PER_MINUTE / profile.price * stir * np.exp(0.6 * draws[2])
    return Bars(
        ts=ts,
        open=opened,
        high=np.maximum(extremes[0], top),
        low=np.minimum(extremes[1], bottom),
        close=close,
        volume=np.round(volume, 4),
    )


def _on_tick(price: Floats, tick: float) -> Floats:
    decimals = max(0, -math.floor(math.log10(tick)))
    return np.round(np.maximum(1, np.round(price / tick)) * tick, decimals)


def between(seed: int, profile: Profile, first_ts: int, last_ts: int) -> list[Bars]:
    """One-minute bars opening from `first_ts` to `last_ts`, both included: a piece for each day."""
    pieces = []
    for day in range(first_ts // DAY_S, last_ts // DAY_S + 1):
        bars = minutes(seed, profile, day)
        piece = bars.take((bars.ts >= first_ts) & (bars.ts <= last_ts))
        if len(piece):
            pieces.append(piece)
    return pieces


def last_at(seed: int, profile: Profile, at: datetime) -> float | None:
    """The price at that second, inside its minute's bar. None while the market is closed."""
    ts = int(at.timestamp())
    minute = ts // 60 * 60
    bars = minutes(seed, profile, ts // DAY_S)
    index = int(np.searchsorted(bars.ts, minute))
    if index >= len(bars) or int(bars.ts[index]) != minute:
        return None
    low, high = float(bars.low[index]), float(bars.high[index])
    walk = np.cumsum(_rng(seed, "seconds", profile.symbol, minute).standard_normal(60))
    done = np.arange(1, 61) / 60
    bridge = (walk - walk[-1] * done) * (high - low) / 10
    path = float(bars.open[index]) + (float(bars.close[index]) - float(bars.open[index])) * done + bridge
    price = _folded(path[ts - minute : ts - minute + 1], low, high)
    return float(np.clip(_on_tick(price, profile.tick), low, high)[0])


def _folded(values: Floats, low: float, high: float) -> Floats:
    """Values beyond the edges are thrown back inside: a price at the edge of its bar keeps moving."""
    width = high - low
    if width <= 0:
        return np.full_like(values, low)
    place = (values - low) % (2 * width)
    return low + np.minimum(place, 2 * width - place)


def when(ts: int) -> datetime:
    return datetime.fromtimestamp(ts, UTC)
