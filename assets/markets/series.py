"""Arrays of bars: what crosses borders inside the app instead of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """Columns of equal length. `ts` is the opening time in epoch seconds. Nothing is promised about order or sanity."""

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, index: Ints | Mask | slice) -> Bars:
        return Bars(
            ts=self.ts[index],
            open=self.open[index],
            high=self.high[index],
            low=self.low[index],
            close=self.close[index],
            volume=self.volume[index],
        )

    def columns(self) -> tuple[Ints, Floats, Floats, Floats, Floats, Floats]:
        return (self.ts, self.open, self.high, self.low, self.close, self.volume)

    def rows(self) -> list[tuple[int, float, float, float, float, float]]:
        """Plain Python tuples, for SQL."""
        return list(zip(*(column.tolist() for column in self.columns()), strict=True))


def bars_of(rows: Sequence[Sequence[float]]) -> Bars:
    """Bars from rows of (ts, open, high, low, close, volume)."""
    if not rows:
        return empty_bars()
    table = np.asarray(rows, dtype=np.float64)
    return from_table(table)


def from_table(table: NDArray[np.float64]) -> Bars:
    """Bars from a float table with 6 columns. Epoch seconds are exact in float64."""
    return Bars(
        ts=table[:, 0].astype(np.int64),
        open=np.ascontiguousarray(table[:, 1]),
        high=np.ascontiguousarray(table[:, 2]),
        low=np.ascontiguousarray(table[:, 3]),
        close=np.ascontiguousarray(table[:, 4]),
        volume=np.ascontiguousarray(table[:, 5]),
    )


def empty_bars() -> Bars:
    none = np.empty(0, dtype=np.float64)
    return Bars(ts=np.empty(0, dtype=np.int64), open=none, high=none, low=none, close=none, volume=none)


def concat(parts: Iterable[Bars]) -> Bars:
    """All parts after each other."""
    pieces = [part for part in parts if len(part)]
    if not pieces:
        return empty_bars()
    if len(pieces) == 1:
        return pieces[0]
    joined = [np.concatenate(columns) for columns in zip(*(piece.columns() for piece in pieces), strict=True)]
    return Bars(
        ts=joined[0].astype(np.int64),
        open=joined[1],
        high=joined[2],
        low=joined[3],
        close=joined[4],
        volume=joined[5],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleSeries:
    """Closed bars of one instrument, oldest first, opening times strictly rising. All arrays are read-only views."""

    symbol: str
    timeframe: str
    ts: Ints  # opening time, epoch seconds UTC
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def last_ts(self) -> int | None:
        """Opening time of the newest bar."""
        return int(self.ts[-1]) if len(self.ts) else None


def series_of(symbol: str, timeframe: str, bars: Bars) -> CandleSeries:
    """Bars that are known to be clean and sorted, as a series nobody can write to."""

    def frozen(column: Floats) -> Floats:
        view = column.view()
        view.flags.writeable = False
        return view

    ts = bars.ts.view()
    ts.flags.writeable = False
    return CandleSeries(
        symbol=symbol,
        timeframe=timeframe,
        ts=ts,
        open=frozen(bars.open),
        high=frozen(bars.high),
        low=frozen(bars.low),
        close=frozen(bars.close),
        volume=frozen(bars.volume),
    )
