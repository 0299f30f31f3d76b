"""Reads of the replay driver."""

from __future__ import annotations

from datetime import datetime

from assets.markets import timeframes
from assets.markets.models import Candle, Instrument


def bar_closes(start: datetime, end: datetime) -> list[int]:
    """Epoch seconds in (start, end] at which a bar of some instrument's own timeframe closes, ascending."""
    closes: set[int] = set()
    for pk, timeframe in Instrument.objects.values_list("pk", "timeframe"):
        length_s = timeframes.seconds(timeframe)
        opens = Candle.objects.filter(
            instrument_id=pk,
            timeframe=timeframe,
            open_ts__gt=int(start.timestamp()) - length_s,
            open_ts__lte=int(end.timestamp()) - length_s,
        ).values_list("open_ts", flat=True)
        closes.update(ts + length_s for ts in opens)
    return sorted(closes)
