"""Prices of US funds from Alpaca: closed bars of many funds in one call, gaps repaired, and one call for the quotes.

Bars are made of IEX's trades only: a quiet fund has minutes without a bar. Trades outside the calendar's hours are left out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import numpy as np

from assets.markets import calendars, conf, rawsql, timeframes
from assets.markets.feeds.alpaca_data import MAX_BARS, MAX_SYMBOLS, VENUE, AlpacaData, InvalidSymbols
from assets.markets.feeds.base import Batch, BudgetSpent, FeedError, QuoteTick, VenueUnreachable
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars, concat, empty_bars

_FIRST_BARS: Final = 1000  # history fetched when nothing is stored; `data_backfill` fetches the rest
_CLOSED_HOURS: Final = 8  # so much longer is the time in which a market of 6.5 hours a day has those bars
_PER_POLL: Final = 8  # candle calls a poll: a poll must not take much longer than a second
_QUOTES_EVERY: Final = timedelta(seconds=3)
_QUOTES_CLOSED: Final = timedelta(minutes=1)
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_LATE_S: Final = 2  # a bar is asked for this long after its close: venues need a moment to finish it
_PAUSE: Final = timedelta(seconds=5)
_GIVE_UP_S: Final = 20  # a bar that is not there so long after its close had no trade
_CHECK_EVERY: Final = timedelta(hours=6)  # a symbol the venue did not know is tried again
_INSIDE_HOURS_S: Final = 1800  # bars up to this length lie wholly inside or outside the hours


class AlpacaFeed:
    """Polls instruments whose venue is Alpaca. Unreachable: waits 1, 2, 4 ... 60 s, give or take a quarter."""

    name = "alpaca"

    def __init__(self, client: AlpacaData | None = None, rng: Random | None = None) -> None:
        self._client = client or AlpacaData()
        self._rng = rng or Random(conf.read().seed)
        self._failures = 0
        self._silent_until: datetime | None = None
        self._quoted_at: datetime | None = None
        self._asked: dict[int, int] = {}  # instrument -> bar we asked for last
        self._pause_until: dict[int, datetime] = {}
        self._refused: dict[int, tuple[str, datetime]] = {}  # instrument -> why, and when the venue said so

    # --- The port -----------------------------------------------------------------------------------------------

    def poll(self, now: datetime) -> Iterator[Batch]:
        rows = list(Instrument.objects.filter(venue=VENUE, is_active=True, is_demo=False))
        if not rows or (self._silent_until is not None and now < self._silent_until):
            return
        try:
            good = yield from self._refuse(rows, now)
            yield from self._candles(good, now)
            yield from self._quotes(good, now)
        except BudgetSpent as error:
            # The budget says itself when it is free again; everybody's state says that we wait.
            yield from (_failed(row, error) for row in rows)
        except InvalidSymbols as error:
            self._refused |= {row.pk: (error.message, now) for row in rows if row.symbol in error.symbols}
            if not any(row.symbol in error.symbols for row in rows):
                yield from self._back_off(rows, error, now)
        except FeedError as error:
            yield from self._back_off(rows, error, now)
        else:
            self._failures = 0

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterator[Bars]:
        last_ts = min(last_ts, timeframes.last_closed(int(now.timestamp()), timeframe))
        token = ""
        while first_ts <= last_ts:
            page = self._client.bars(
                [instrument.symbol], timeframe, first_ts=first_ts, last_ts=last_ts, token=token
            )
            found = _within(instrument, timeframe, page.bars.get(instrument.symbol, empty_bars()))
            wanted = found.take((found.ts >= first_ts) & (found.ts <= last_ts))
            if len(wanted):
                yield wanted
            if not page.token or page.token == token:
                return
            token = page.token

    def forget(self, instrument: Instrument) -> None:
        self._asked.pop(instrument.pk, None)

    # --- Candles ------------------------------------------------------------------------------------------------

    def _candles(self, rows: list[Instrument], now: datetime) -> Iterator[Batch]:
        now_ts = int(now.timestamp()) - _LATE_S
        newest = rawsql.newest([row.pk for row in rows], now_ts)
        near: dict[tuple[str, int], list[tuple[int, Instrument]]] = {}
        far: list[tuple[int, Instrument, int]] = []
        for row in rows:
            last = _expected(row, now_ts)
            stored = newest[row.pk].get((row.timeframe, PriceSide.TRADE.value))
            if (stored is not None and stored >= last) or not self._may_ask(row.pk, last, now):
                continue
            if stored is None or _missing(row, stored, last) > MAX_BARS // MAX_SYMBOLS:
                far.append((stored or 0, row, last))
            else:
                near.setdefault((row.timeframe, last), []).append((stored, row))
        calls = [([row], stored, last) for stored, row, last in sorted(far, key=lambda item: item[0])]
        for (_timeframe, last), found in near.items():
            found.sort(key=lambda item: item[0])
            for start in range(0, len(found), MAX_SYMBOLS):
                part = found[start : start + MAX_SYMBOLS]
                calls.insert(0, ([row for _stored, row in part], part[0][0], last))
        # What is up to date stays so; who waits longest goes first among the others, the rest with the next polls.
        for asked, since, last in calls[:_PER_POLL]:
            yield from self._closed_bars(asked, since, last, now)

    def _may_ask(self, pk: int, last: int, now: datetime) -> bool:
        """Not again for a bar we had, and with a pause when the venue did not have it yet (or is frozen)."""
        pause = self._pause_until.get(pk)
        return self._asked.get(pk, 0) < last and (pause is None or now >= pause)

    def _closed_bars(self, rows: list[Instrument], since: int, last: int, now: datetime) -> Iterator[Batch]:
        """Bars from `since` to the newest closed one. Starting with the stored one closes gaps by itself."""
        timeframe = rows[0].timeframe
        length = timeframes.seconds(timeframe)
        # A gap longer than one answer is filled from its old end: no hole is left behind.
        first_ts = since or last - _FIRST_BARS * length * _CLOSED_HOURS
        try:
            found, is_whole = self._pages([row.symbol for row in rows], timeframe, first_ts, last)
        except (BudgetSpent, VenueUnreachable, InvalidSymbols):
            raise
        except FeedError as error:
            yield from (_failed(row, error) for row in rows)
            return
        is_late = int(now.timestamp()) - (last + length) >= _GIVE_UP_S
        for row in rows:
            bars = _within(row, timeframe, found.get(row.symbol, empty_bars()))
            closed = bars.take(bars.ts <= last)
            if (len(closed) and int(closed.ts.max()) >= last) or (is_whole and is_late):
                self._asked[row.pk] = last
            elif is_whole:
                self._pause_until[row.pk] = now + max(_PAUSE, timedelta(seconds=length / 60))
            yield Batch(instrument=row, timeframe=timeframe, bars=closed)

    def _pages(
        self, symbols: Sequence[str], timeframe: str, first_ts: int, last_ts: int
    ) -> tuple[dict[str, Bars], bool]:
        """The first pages, and whether that is all. Bars of one symbol may begin on one page and end on the next."""
        found: dict[str, list[Bars]] = {}
        token = ""
        for _page in range(2):
            page = self._client.bars(symbols, timeframe, first_ts=first_ts, last_ts=last_ts, token=token)
            for symbol, bars in page.bars.items():
                found.setdefault(symbol, []).append(bars)
            token = page.token
            if not token:
                break
        return {symbol: concat(parts) for symbol, parts in found.items()}, not token

    # --- Quotes -------------------------------------------------------------------------------------------------

    def _quotes(self, rows: list[Instrument], now: datetime) -> Iterator[Batch]:
        is_open = any(calendars.get(row.calendar).is_open(now) for row in rows)
        every = _QUOTES_EVERY if is_open else _QUOTES_CLOSED
        if not rows or (self._quoted_at is not None and now - self._quoted_at < every):
            return
        self._quoted_at = now
        found = self._client.quotes([row.symbol for row in rows])
        for row in rows:
            tick = found.get(row.symbol)
            if tick is not None:
                yield Batch(instrument=row, timeframe=row.timeframe, quote=_not_ahead(tick, now))
            else:
                yield Batch(
                    instrument=row, timeframe=row.timeframe, error=f"Alpaca has no price of {row.symbol}."
                )

    # --- Which symbols, and waiting -----------------------------------------------------------------------------

    def _refuse(self, rows: list[Instrument], now: datetime) -> Generator[Batch, None, list[Instrument]]:
        """Yields the refused ones with the reason; returns the others."""
        good = []
        for row in rows:
            why, since = self._refused.get(row.pk, ("", now))
            if why and now - since < _CHECK_EVERY:
                yield Batch(instrument=row, timeframe=row.timeframe, error=why)
            else:
                good.append(row)
        return good

    def _back_off(self, rows: list[Instrument], error: FeedError, now: datetime) -> Iterable[Batch]:
        self._failures += 1
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(self._failures - 1, 10))
        wait *= 0.75 + 0.5 * self._rng.random()
        self._silent_until = now + timedelta(seconds=wait)
        return [_failed(row, error) for row in rows]


def _expected(row: Instrument, now_ts: int) -> int:
    """Opening time of the newest closed bar there can be: outside the hours, the last one before the close."""
    last = timeframes.last_closed(now_ts, row.timeframe)
    if timeframes.seconds(row.timeframe) > _INSIDE_HOURS_S:
        return last
    calendar = calendars.get(row.calendar)
    if calendar.is_open(datetime.fromtimestamp(last, UTC)):
        return last
    edge = calendar.last_edge(datetime.fromtimestamp(last, UTC))
    return last if edge is None else timeframes.floor(int(edge.timestamp()) - 1, row.timeframe)


def _missing(row: Instrument, stored: int, last: int) -> float:
    """How many bars there may be after the stored one: only open hours count."""
    start, end = (datetime.fromtimestamp(ts, UTC) for ts in (stored, last))
    return calendars.get(row.calendar).open_seconds(start, end) / timeframes.seconds(row.timeframe)


def _within(row: Instrument, timeframe: str, bars: Bars) -> Bars:
    if timeframes.seconds(timeframe) > _INSIDE_HOURS_S or not len(bars):
        return bars
    return bars.take(np.asarray(calendars.get(row.calendar).open_mask(bars.ts), dtype=np.bool_))


def _failed(row: Instrument, error: FeedError) -> Batch:
    return Batch(instrument=row, timeframe=row.timeframe, error=error.message)


def _not_ahead(tick: QuoteTick, now: datetime) -> QuoteTick:
    """A venue whose clock is ahead of ours must not give us prices of the future."""
    return tick if tick.at <= now else QuoteTick(
        last=tick.last, bid=tick.bid, ask=tick.ask, change_24h=tick.change_24h, at=now
    )  # fmt: skip
