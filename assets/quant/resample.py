"""Longer bars from shorter ones. Pure; never invents a bar for a gap and never lets an unfinished bar out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Columns = tuple[Ints, Floats, Floats, Floats, Floats, Floats]


def resample(
    ts: Ints,
    opened: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    *,
    length_s: int,
    target_s: int,
    end_ts: int,
    anchor_s: int = 0,
) -> Columns:
    """Bars of `target_s` seconds out of sorted bars of `length_s` seconds, as columns in the same order.

    `end_ts` (epoch seconds) is the instant of asking: only bars closed by then are read and only buckets that have
    ended by then come out. Buckets start at multiples of `target_s` after `anchor_s`; one without bars is left out.
    Raises ValueError when `target_s` is not a multiple of `length_s`.
    """
    if target_s % length_s:
        raise ValueError(f"bars of {target_s} s cannot be made of bars of {length_s} s")
    known = int(np.searchsorted(ts, end_ts - length_s, side="right"))
    buckets = (ts[:known] - anchor_s) // target_s * target_s + anchor_s
    complete = int(np.searchsorted(buckets, end_ts - target_s, side="right"))
    buckets = buckets[:complete]
    if not complete:
        none = np.empty(0, dtype=np.float64)
        return np.empty(0, dtype=np.int64), none, none, none, none, none
    first = np.flatnonzero(np.concatenate(([True], buckets[1:] != buckets[:-1])))
    last = np.concatenate((first[1:], [complete])) - 1
    return (
        buckets[first].astype(np.int64),
        opened[:complete][first],
        np.maximum.reduceat(high[:complete], first),
        np.minimum.reduceat(low[:complete], first),
        close[:complete][last],
        np.add.reduceat(volume[:complete], first),
    )
