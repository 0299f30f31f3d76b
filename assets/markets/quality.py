"""The quality gate: which bars may enter, and why the others may not. Pure numpy.

Bars come out sorted by opening time, so late and shuffled deliveries give the same result as clean ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from assets.markets.series import Bars, Floats, Ints, Mask, concat, empty_bars


class Reason(StrEnum):
    """Why a bar was refused."""

    UNPARSABLE = "unparsable"  # not numbers at all
    NAN = "nan"  # NaN, infinity or an empty field
    NEGATIVE = "negative"  # a price of zero or less, a volume below zero
    HIGH_BELOW_LOW = "high_below_low"
    OUTSIDE_RANGE = "outside_range"  # open or close outside low..high
    MISALIGNED = "misaligned"  # does not start where bars of this length start
    UNCLOSED = "unclosed"  # ends in the future
    DUPLICATE = "duplicate"  # same opening time as an earlier bar, but other numbers
    SPIKE = "spike"  # far from its neighbours, and neither volume nor the following bars confirm it


_CODES: Final[tuple[Reason | None, ...]] = (None, *Reason)
_CODE: Final = {reason: code for code, reason in enumerate(_CODES) if reason is not None}

_MAX_TS: Final = 1 << 40  # beyond any date we meet; NaN times arrive as a huge number
_SIGMAS: Final = 10.0
_MAD_TO_SIGMA: Final = 1.4826
_WINDOW: Final = 100  # returns the usual size of a move is taken from
_BEFORE: Final = 5  # closes whose median is "the price until then"
_AFTER: Final = 3  # closes that can confirm a new level
_VOLUME_FACTOR: Final = 3.0  # a real crash is traded: volume against the median before it
# Single prints go wild in real markets (a low at half the price happened); measured on 2.2 million real bars, these
# limits refuse none of them.
_PRINT: Final = 0.8  # open, high and low: natural logarithm, a factor of 2.2
_FLOORS: Final = ((300, 0.15), (1800, 0.25), (4 * 3600, 0.4))  # close, by length in seconds
_LONGEST_FLOOR: Final = 0.8
_DECIMAL_SHIFT: Final = float(np.log(10.0))
CONTEXT_BARS: Final = _WINDOW + 1
AFTER_BARS: Final = _AFTER


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The judgement of every bar, sorted by opening time. `codes` is 0 for accepted bars."""

    bars: Bars  # sorted input without equal repeats
    source: Ints  # index of each in the input
    codes: Ints
    repeats: int  # bars that repeated an earlier one exactly

    @property
    def accepted(self) -> Mask:
        return np.equal(self.codes, 0)

    def reason(self, index: int) -> Reason:
        """Reason of a refused bar. Raises ValueError for an accepted one."""
        reason = _CODES[int(self.codes[index])]
        if reason is None:
            raise ValueError(f"bar {index} was accepted")
        return reason


def check(
    bars: Bars,
    *,
    length_s: int,
    grain_s: int,
    now_ts: int,
    before: Bars | None = None,
    after: Bars | None = None,
) -> Verdict:
    """Judge bars of one instrument and timeframe.

    `now_ts` is the time of asking (epoch seconds), `grain_s` what opening times are multiples of. `before` and `after`
    are accepted bars around the new ones (sorted); without them the first and last bars are judged on less evidence.
    """
    order = np.argsort(bars.ts, kind="stable").astype(np.int64)
    ordered = bars.take(order)
    codes = _broken(ordered, length_s=length_s, grain_s=grain_s, now_ts=now_ts)
    repeats = _repeats(ordered, codes)
    kept = ~repeats
    ordered, codes, order = ordered.take(kept), codes[kept], order[kept]
    good = np.flatnonzero(codes == 0)
    spikes = _spikes(
        ordered.take(good.astype(np.int64)), before or empty_bars(), after or empty_bars(), length_s
    )
    codes[good[spikes]] = _CODE[Reason.SPIKE]
    return Verdict(bars=ordered, source=order, codes=codes, repeats=int(repeats.sum()))


def _broken(bars: Bars, *, length_s: int, grain_s: int, now_ts: int) -> Ints:
    """Code of the first rule each bar breaks; rules are applied last to first so that the first one wins."""
    prices = (bars.open, bars.high, bars.low, bars.close)
    finite = np.isfinite(bars.volume) & (bars.ts > -_MAX_TS) & (bars.ts < _MAX_TS)
    positive = bars.volume >= 0
    for price in prices:
        finite &= np.isfinite(price)
        positive &= price > 0
    inside = (
        (bars.open >= bars.low)
        & (bars.open <= bars.high)
        & (bars.close >= bars.low)
        & (bars.close <= bars.high)
    )
    codes = np.zeros(len(bars), dtype=np.int64)
    codes[bars.ts > now_ts - length_s] = _CODE[Reason.UNCLOSED]
    codes[bars.ts % grain_s != 0] = _CODE[Reason.MISALIGNED]
    codes[~inside] = _CODE[Reason.OUTSIDE_RANGE]
    codes[bars.high < bars.low] = _CODE[Reason.HIGH_BELOW_LOW]
    codes[~positive] = _CODE[Reason.NEGATIVE]
    codes[~finite] = _CODE[Reason.NAN]
    return codes


def _repeats(bars: Bars, codes: Ints) -> Mask:
    """Which bars equal an earlier one of the same time. Others of the same time get the code DUPLICATE in `codes`.

    The first sound bar of a time stands; broken ones do not count.
    """
    repeats = np.zeros(len(bars), dtype=np.bool_)
    sound = np.flatnonzero(codes == 0)
    if len(sound) < 2:
        return repeats
    ts = bars.ts[sound]
    again = np.flatnonzero(ts[1:] == ts[:-1]) + 1
    if not len(again):
        return repeats
    first = sound[np.searchsorted(ts, ts[again], side="left")]
    later = sound[again]
    same = np.ones(len(again), dtype=np.bool_)
    for column in bars.columns()[1:]:
        same &= column[first] == column[later]
    repeats[later[same]] = True
    codes[later[~same]] = _CODE[Reason.DUPLICATE]
    return repeats


def _floor(length_s: int) -> float:
    """A move of the close (natural logarithm) below which no bar is suspicious. Longer bars move more."""
    return next((floor for longest, floor in _FLOORS if length_s <= longest), _LONGEST_FLOOR)


def _spikes(bars: Bars, before: Bars, after: Bars, length_s: int) -> Mask:
    """Bars that leave the price level and are confirmed neither by what follows nor by volume.

    A cheap vectorised look finds candidates; only those are judged with medians. A refused bar is not evidence for the
    next one.
    """
    spikes = np.zeros(len(bars), dtype=np.bool_)
    if not len(bars):
        return spikes
    joined = concat((before, bars, after))
    start = len(before)
    close = np.log(joined.close)
    limit = _floor(length_s)
    jump = np.abs(np.diff(close, prepend=close[0])) > limit
    # The bar after a candidate is judged, too: a burst of bad ticks has no jump inside.
    for _ in range(_AFTER):
        jump[1:] |= jump[:-1]
    body_high, body_low = np.maximum(joined.open, joined.close), np.minimum(joined.open, joined.close)
    with np.errstate(divide="ignore"):
        wick = (np.log(joined.high / body_high) > limit) | (np.log(body_low / joined.low) > limit)
        gap = np.abs(np.log(joined.open / joined.close)) > limit
    candidates = np.flatnonzero(jump | wick | gap)
    good = np.ones(len(joined), dtype=np.bool_)
    logs = np.log(np.stack((joined.open, joined.high, joined.low, joined.close)))
    for index in candidates[(candidates >= start) & (candidates < start + len(bars))]:
        if _is_spike(logs, joined.volume, good, int(index), limit):
            good[index] = False
            spikes[index - start] = True
    return spikes


def _is_spike(logs: Floats, volume: Floats, good: Mask, index: int, floor: float) -> bool:
    past = _last_good(good, index, _WINDOW + 1)
    if not len(past):
        return False
    close = logs[3]
    level = float(np.median(close[past[-_BEFORE:]]))
    limit = _limit(close[past], floor)
    # Levels a bar may belong to: the ones before it, and the one its followers are on. One follower is no evidence,
    # bad ticks come in pairs.
    levels = [level, float(close[past[-1]])]
    following = close[index + 1 : index + 1 + _AFTER]
    if len(following) > 1:
        levels.append(float(np.median(following)))
    settled, printed = _distance(logs[:, index], levels)
    if settled <= limit and printed <= max(limit, _PRINT):
        return False
    if abs(max(settled, printed) - _DECIMAL_SHIFT) < 0.1:
        return True  # a shifted decimal point is no crash, however much was traded
    usual = float(np.median(volume[past]))
    return not (usual > 0 and volume[index] >= _VOLUME_FACTOR * usual)


def _last_good(good: Mask, index: int, count: int) -> Ints:
    window = np.flatnonzero(good[max(0, index - 4 * count) : index]) + max(0, index - 4 * count)
    return window[-count:].astype(np.int64)


def _limit(past: Floats, floor: float) -> float:
    """Ten usual moves, at least `floor`. With little history only more than a doubling is suspicious."""
    if len(past) < 11:
        return max(floor, _PRINT)
    moves = np.diff(past)
    mad = float(np.median(np.abs(moves - np.median(moves))))
    return max(floor, _SIGMAS * _MAD_TO_SIGMA * mad)


def _distance(bar: Floats, levels: list[float]) -> tuple[float, float]:
    """How far the close, and how far the other prices of a bar lie outside the levels, as logarithms.

    A bar on its way from one level to the other is at home on both.
    """
    _opened, high, low, close = (float(value) for value in bar)
    lowest, highest = min(levels), max(levels)
    return max(close - highest, lowest - close, 0.0), max(high - highest, lowest - low, 0.0)
