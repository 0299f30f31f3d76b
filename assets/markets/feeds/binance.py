"""Real prices of Binance's spot market, without credentials: closed candles, gaps repaired, quotes in one call."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

from assets.markets import conf, rawsql, timeframes
from assets.markets.feeds.base import (
    Batch,
    BudgetSpent,
    FeedError,
    QuoteTick,
    UnknownSymbol,
    VenueUnreachable,
)
from assets.markets.feeds.binance_client import MAX_BARS, VENUE, BinanceClient, SymbolFacts
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars

_FIRST_BARS: Final = MAX_BARS  # history fetched when nothing is stored; `data_backfill` fetches the rest
_PER_POLL: Final = 8  # candle calls a poll: a poll must not take much longer than a second
_QUOTES_EVERY: Final = timedelta(seconds=2)
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_LATE_S: Final = 2  # a bar is asked for this long after its close: venues need a moment to finish it
_PAUSE: Final = timedelta(seconds=5)
_CHECK_EVERY: Final = timedelta(hours=6)


class BinanceFeed:
    """Polls instruments whose venue is Binance. Unreachable: waits 1, 2, 4 ... 60 s, give or take a quarter."""

    name = "binance"

    def __init__(self, client: BinanceClient | None = None, rng: Random | None = None) -> None:
        self._client = client or BinanceClient()
        self._rng = rng or Random(conf.read().seed)
        self._failures = 0
        self._silent_until: datetime | None = None
        self._quoted_at: datetime | None = None
        self._asked: dict[int, int] = {}  # instrument -> bar we asked for last
        self._pause_until: dict[int, datetime] = {}
        self._refused: dict[int, str] = {}  # instrument -> why the venue's symbol is not what we think
        self._checked_at: datetime | None = None

    # --- The port -----------------------------------------------------------------------------------------------

    def poll(self, now: datetime) -> Iterator[Batch]:
        rows = list(Instrument.objects.filter(venue=VENUE, is_active=True, is_demo=False))
        if not rows or (self._silent_until is not None and now < self._silent_until):
            return
        try:
            self._check_symbols(rows, now)
            rows = yield from self._refuse(rows)
            yield from self._candles(rows, now)
            yield from self._quotes(rows, now)
        except BudgetSpent as error:
            # The budget says itself when it is free again; everybody's state says that we wait.
            yield from (_failed(row, error) for row in rows)
        except FeedError as error:
            yield from self._back_off(rows, error, now)
        else:
            self._failures = 0

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterator[Bars]:
        length = timeframes.seconds(timeframe)
        last_ts = min(last_ts, timeframes.last_closed(int(now.timestamp()), timeframe))
        since = first_ts
        while since <= last_ts:
            bars = self._client.klines(instrument.symbol, timeframe, now, since_ts=since, limit=MAX_BARS)
            wanted = bars.take((bars.ts >= since) & (bars.ts <= last_ts))
            if len(wanted):
                yield wanted
            if not len(bars) or int(bars.ts.max()) < since:
                return
            since = int(bars.ts.max()) + length

    def forget(self, instrument: Instrument) -> None:
        self._asked.pop(instrument.pk, None)

    # --- Candles ------------------------------------------------------------------------------------------------

    def _candles(self, rows: list[Instrument], now: datetime) -> Iterator[Batch]:
        now_ts = int(now.timestamp()) - _LATE_S
        newest = rawsql.newest([row.pk for row in rows], now_ts)
        due = []
        for row in rows:
            last = timeframes.last_closed(now_ts, row.timeframe)
            stored = newest[row.pk].get((row.timeframe, PriceSide.TRADE.value))
            if (stored is None or stored < last) and self._may_ask(row.pk, last, now):
                due.append((stored or 0, row, last))
        # Who waits longest goes first; the others come with the next polls.
        for stored, row, last in sorted(due, key=lambda item: item[0])[:_PER_POLL]:
            yield self._closed_bars(row, stored, last, now)

    def _may_ask(self, pk: int, last: int, now: datetime) -> bool:
        """Not again for a bar we had, and with a pause when the venue did not have it yet (or is frozen)."""
        pause = self._pause_until.get(pk)
        return self._asked.get(pk, 0) < last and (pause is None or now >= pause)

    def _closed_bars(self, row: Instrument, stored: int, last: int, now: datetime) -> Batch:
        """Bars after `stored`, up to the newest closed one. Starting with the stored one closes gaps by itself."""
        missing = (last - stored) // timeframes.seconds(row.timeframe) + 1
        # A gap longer than one answer is filled from its old end: no hole is left behind.
        since = stored or None
        try:
            bars = self._client.klines(
                row.symbol, row.timeframe, now, since_ts=since, limit=min(missing + 1, _FIRST_BARS)
            )
        except (BudgetSpent, VenueUnreachable):
            raise
        except FeedError as error:
            return _failed(row, error)
        closed = bars.take(bars.ts <= last)
        if len(closed) and int(closed.ts.max()) >= last:
            self._asked[row.pk] = last
        elif missing <= MAX_BARS:
            self._pause_until[row.pk] = now + _PAUSE
        return Batch(instrument=row, timeframe=row.timeframe, bars=closed)

    # --- Quotes -------------------------------------------------------------------------------------------------

    def _quotes(self, rows: list[Instrument], now: datetime) -> Iterator[Batch]:
        if not rows or (self._quoted_at is not None and now - self._quoted_at < _QUOTES_EVERY):
            return
        self._quoted_at = now
        found = self._client.quotes([row.symbol for row in rows], now)
        for row in rows:
            tick = found.get(row.symbol)
            if tick is not None:
                yield Batch(instrument=row, timeframe=row.timeframe, quote=_not_ahead(tick, now))

    # --- Which symbols ------------------------------------------------------------------------------------------

    def _check_symbols(self, rows: list[Instrument], now: datetime) -> None:
        """Does the venue's BTCUSDT trade BTC for USDT? A wrong mapping would trade the wrong thing."""
        if self._checked_at is not None and now - self._checked_at < _CHECK_EVERY:
            return
        facts: dict[str, SymbolFacts] = {}
        for row in rows:
            try:
                facts |= self._client.symbols([row.symbol], now)
            except UnknownSymbol as error:
                self._refused[row.pk] = error.message
        for row in rows:
            fact = facts.get(row.symbol)
            if fact is None:
                continue
            self._refused.pop(row.pk, None)
            if (fact.base, fact.quote) != (row.base, row.quote):
                self._refused[row.pk] = (
                    f"the venue trades {fact.base}/{fact.quote}, not {row.base}/{row.quote}"
                )
            elif not fact.is_trading:
                self._refused[row.pk] = "the venue does not trade it at the moment"
        self._checked_at = now

    def _refuse(self, rows: list[Instrument]) -> Generator[Batch, None, list[Instrument]]:
        """Yields the refused ones with the reason; returns the others."""
        good = []
        for row in rows:
            if row.pk in self._refused:
                yield Batch(instrument=row, timeframe=row.timeframe, error=self._refused[row.pk])
            else:
                good.append(row)
        return good

    # --- Waiting ------------------------------------------------------------------------------------------------

    def _back_off(self, rows: list[Instrument], error: FeedError, now: datetime) -> Iterable[Batch]:
        self._failures += 1
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(self._failures - 1, 10))
        wait *= 0.75 + 0.5 * self._rng.random()
        self._silent_until = now + timedelta(seconds=wait)
        return [_failed(row, error) for row in rows]


def _failed(row: Instrument, error: FeedError) -> Batch:
    return Batch(instrument=row, timeframe=row.timeframe, error=error.message)


def _not_ahead(tick: QuoteTick, now: datetime) -> QuoteTick:
    """A venue whose clock is ahead of ours must not give us prices of the future."""
    return tick if tick.at <= now else QuoteTick(
        last=tick.last, bid=tick.bid, ask=tick.ask, change_24h=tick.change_24h, at=now
    )  # fmt: skip
