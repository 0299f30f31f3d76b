"""Closed bars in columns, as charts and notebooks want them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from assets.markets import hub, timeframes
from tradingsite.foundation.api.shapes import OneOf

DEFAULT_BARS: Final = 300
MOST_BARS: Final = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class CandleColumns:
    """Closed bars, oldest first, in columns of equal length. `ts` is when a bar opens, epoch seconds UTC."""

    instrument: Annotated[str, "symbol"]
    tf: Annotated[str, OneOf(*timeframes.NAMES)]
    seconds: Annotated[int, "length of a bar"]
    ts: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    older: Annotated[str | None, "address of the bars before these"]


def columns(
    symbol: str, tf: str, *, now: datetime, limit: int, before: datetime | None = None
) -> CandleColumns:
    """The newest `limit` bars closed at `before` (at the latest now). Raises NotFound for an unknown symbol."""
    instrument = hub.by_symbol(symbol)
    tf = tf or instrument.timeframe
    end = now if before is None else min(now, before)
    series = hub.series(instrument, tf, end=end, limit=limit)
    older = None
    if len(series) == limit:
        first = datetime.fromtimestamp(int(series.ts[0]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        older = "?" + urlencode({"instrument": symbol, "tf": tf, "limit": limit, "before": first})
    return CandleColumns(
        instrument=symbol, tf=tf, seconds=timeframes.seconds(tf), ts=series.ts.tolist(), open=series.open.tolist(),
        high=series.high.tolist(), low=series.low.tolist(), close=series.close.tolist(),
        volume=series.volume.tolist(), older=older,
    )  # fmt: skip
