"""Stored candles delivered again as the clock passes their closing times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from assets.markets import rawsql, timeframes
from assets.markets.feeds.base import Batch, QuoteTick
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars

_FIRST_LOOK_S: Final = 3600


class ReplayFeed:
    """Bars that closed since the last poll, from the database. For a virtual clock; storing them changes nothing."""

    name = "replay"

    def __init__(self) -> None:
        self._polled_at: int | None = None

    def poll(self, now: datetime) -> Iterator[Batch]:
        now_ts = int(now.timestamp())
        since = now_ts - _FIRST_LOOK_S if self._polled_at is None else self._polled_at
        for row in Instrument.objects.filter(is_active=True, is_demo=False):
            for (timeframe, side), open_ts in rawsql.newest([row.pk], now_ts)[row.pk].items():
                length = timeframes.seconds(timeframe)
                if open_ts + length <= since:
                    continue
                bars = rawsql.between(row.pk, timeframe, side, since - length + 1, now_ts - length)
                at = datetime.fromtimestamp(open_ts + length, UTC)
                quote = QuoteTick(last=float(bars.close[-1]), at=at) if len(bars) else None
                yield Batch(instrument=row, timeframe=timeframe, side=PriceSide(side), bars=bars, quote=quote)
        self._polled_at = now_ts

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterable[Bars]:
        return ()

    def forget(self, instrument: Instrument) -> None:
        """Nothing is remembered about single instruments."""
