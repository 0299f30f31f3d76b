"""How the hub finds bars: from the database or from memory, combining stored and computed timeframes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from assets.markets import rawsql, timeframes
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars, concat, empty_bars
from assets.quant import resample

Kinds = rawsql.Newest
Bar = rawsql.Bar

_LOOKBACK_BARS: Final = 2_000  # kept in memory before the start of a preloaded span, for each timeframe
_MAX_FINE_ROWS: Final = 200_000  # bars read at most to compute a coarser series


@dataclass(frozen=True, slots=True)
class _Column:
    """Bars of one kind in memory. `is_cut` says that older ones exist in the database."""

    bars: Bars
    is_cut: bool


@dataclass(frozen=True, slots=True)
class _Memory:
    pks: frozenset[int]
    columns: dict[tuple[int, str, int], _Column]
    kinds: dict[int, tuple[tuple[str, int], ...]]


_memory: _Memory | None = None
_generation = 0


def is_preloaded() -> bool:
    return _memory is not None


def generation() -> int:
    """Changes whenever bars start or stop coming from memory: caches of what was read before must be dropped."""
    return _generation


@contextmanager
def in_memory(instruments: Sequence[Instrument], start_ts: int, end_ts: int) -> Iterator[None]:
    """Hold the bars of these instruments in memory until the block ends. May be nested: the innermost counts."""
    global _memory, _generation
    before = _memory
    _memory = _load([row.pk for row in instruments], start_ts, end_ts)
    _generation += 1
    try:
        yield
    finally:
        _memory = before
        _generation += 1


def _load(pks: list[int], start_ts: int, end_ts: int) -> _Memory:
    columns: dict[tuple[int, str, int], _Column] = {}
    kinds: dict[int, tuple[tuple[str, int], ...]] = {}
    for pk, found in rawsql.newest(pks, end_ts).items():
        kinds[pk] = tuple(found)
        for timeframe, side in found:
            history = rawsql.tail(pk, timeframe, side, start_ts - 1, _LOOKBACK_BARS)
            inside = rawsql.between(pk, timeframe, side, start_ts, end_ts - timeframes.seconds(timeframe))
            columns[pk, timeframe, side] = _Column(concat((history, inside)), len(history) == _LOOKBACK_BARS)
    return _Memory(frozenset(pks), columns, kinds)


# --- What both sources answer -----------------------------------------------------------------------------------


def newest(pks: Iterable[int], end_ts: int) -> dict[int, Kinds]:
    """The newest bar of every stored kind that is closed at `end_ts`, by instrument."""
    wanted = list(dict.fromkeys(pks))
    if _memory is None or not _memory.pks.issuperset(wanted):
        return rawsql.newest(wanted, end_ts)
    return {pk: _newest_in(_memory, pk, end_ts) for pk in wanted}


def _newest_in(memory: _Memory, pk: int, end_ts: int) -> Kinds:
    found: Kinds = {}
    for timeframe, side in memory.kinds[pk]:
        ts = memory.columns[pk, timeframe, side].bars.ts
        index = int(np.searchsorted(ts, end_ts - timeframes.SECONDS[timeframe], side="right"))
        if index:
            found[timeframe, side] = int(ts[index - 1])
    return found


def close_at(pk: int, timeframe: str, side: int, open_ts: int) -> float:
    """Close of a bar that is known to exist."""
    return float(_tail(pk, timeframe, side, open_ts, 1).close[-1])


def closes(bars: Iterable[Bar]) -> dict[Bar, float]:
    """Closes of bars that are known to exist, looked up together."""
    wanted = list(bars)
    memory = _memory
    if memory is None or not memory.pks.issuperset(pk for pk, *_rest in wanted):
        return rawsql.closes(wanted)
    return {bar: close_at(*bar) for bar in wanted}


def _tail(pk: int, timeframe: str, side: int, last_ts: int, limit: int) -> Bars:
    """The newest `limit` stored bars opening at or before `last_ts`."""
    if _memory is not None and pk in _memory.pks:
        column = _memory.columns.get((pk, timeframe, side))
        if column is None:
            return empty_bars()
        index = int(np.searchsorted(column.bars.ts, last_ts, side="right"))
        if index >= limit or not column.is_cut:
            return column.bars.take(slice(max(0, index - limit), index))
    return rawsql.tail(pk, timeframe, side, last_ts, limit)


# --- Series -----------------------------------------------------------------------------------------------------


def bars(row: Instrument, timeframe: str, *, end_ts: int, limit: int, side: PriceSide | None) -> Bars:
    """The newest `limit` bars closed at `end_ts`; see `hub.series`."""
    timeframes.seconds(timeframe)
    if limit <= 0:
        return empty_bars()
    if side is not None:
        return _bars(row, timeframe, int(side), end_ts, limit)
    trades = _bars(row, timeframe, PriceSide.TRADE, end_ts, limit)
    if len(trades):
        return trades
    return _middle(
        _bars(row, timeframe, PriceSide.BID, end_ts, limit),
        _bars(row, timeframe, PriceSide.ASK, end_ts, limit),
    )


def _middle(bid: Bars, ask: Bars) -> Bars:
    """Bars half way between bid and ask, where both exist."""
    _, left, right = np.intersect1d(bid.ts, ask.ts, assume_unique=True, return_indices=True)
    bid, ask = bid.take(left.astype(np.int64)), ask.take(right.astype(np.int64))
    return Bars(
        ts=bid.ts,
        open=(bid.open + ask.open) / 2,
        high=(bid.high + ask.high) / 2,
        low=(bid.low + ask.low) / 2,
        close=(bid.close + ask.close) / 2,
        volume=bid.volume + ask.volume,
    )


def _bars(row: Instrument, timeframe: str, side: int, end_ts: int, limit: int) -> Bars:
    length = timeframes.SECONDS[timeframe]
    stored = _tail(row.pk, timeframe, side, end_ts - length, limit)
    is_current = len(stored) and end_ts - int(stored.ts[-1]) < 2 * length
    if len(stored) == limit and is_current:
        return stored
    finer = _finer_kind(row.pk, timeframe, side, end_ts)
    if finer is None:
        return stored
    return _combine(row, timeframe, finer, side, end_ts, limit, stored)


def _finer_kind(pk: int, timeframe: str, side: int, end_ts: int) -> str | None:
    kinds = newest([pk], end_ts)[pk]
    return next((name for name in timeframes.finer(timeframe) if (name, side) in kinds), None)


def _combine(
    row: Instrument, timeframe: str, finer: str, side: int, end_ts: int, limit: int, stored: Bars
) -> Bars:
    """Stored bars, and computed ones where none is stored."""
    length, fine_length = timeframes.SECONDS[timeframe], timeframes.SECONDS[finer]
    ratio = length // fine_length
    rows = (limit + 1) * ratio
    anchor = timeframes.anchor(timeframe)
    if len(stored):
        # Stored bars may start at another hour than midnight; computed ones must lie on the same grid.
        anchor += (int(stored.ts[-1]) - anchor) % length
        if len(stored) == limit:
            rows = min(rows, (end_ts - int(stored.ts[-1])) // fine_length + 1)
    rows = min(rows, _MAX_FINE_ROWS)
    fine = _bars(row, finer, side, end_ts, rows)
    columns = resample.resample(
        *fine.columns(), length_s=fine_length, target_s=length, end_ts=end_ts, anchor_s=anchor
    )
    computed = Bars(
        ts=columns[0], open=columns[1], high=columns[2], low=columns[3], close=columns[4], volume=columns[5]
    )
    begins_inside = len(fine) and (int(fine.ts[0]) - anchor) % length != 0
    if begins_inside and (len(fine) == rows or row.calendar == "24x7"):
        computed = computed.take(slice(1, None))  # its first minutes are missing
    merged = concat((computed.take(~np.isin(computed.ts, stored.ts)), stored))
    order = np.argsort(merged.ts, kind="stable")
    return merged.take(order[-limit:].astype(np.int64))
