"""Prices of currency pairs from FXCM over FIX 4.4: quotes as they come, and bars of bid and ask built from them.

Experimental, like the broker: never run against the real venue. FXCM's FIX has no history, so bars begin with the first
whole one after the subscription, and a bar in which the line was cut is left out. Volume counts quotes. Market data has a
login of its own: the orders' login admits one session only.
"""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from django.conf import settings

from assets.markets import conf, timeframes
from assets.markets.feeds.base import Batch, FeedError, QuoteTick
from assets.markets.feeds.fix.codec import Message, Unreadable, read_number, read_time
from assets.markets.feeds.fix.line import Line, line_of
from assets.markets.feeds.fix.session import Inbox, Login, NoAnswer, NotSent, Session, Timing
from assets.markets.feeds.fix.symbols import to_venue
from assets.markets.feeds.fix.transport import Endpoint, is_loopback
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars, bars_of

VENUE: Final = "fxcm"
_LATE_S: Final = 2  # what the venue's clocks may differ by: so much after its end a bar gets no more quotes
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_SNAPSHOT, _REFUSED, _REQUEST = "W", "Y", "V"
_BID, _ASK = "0", "1"


@dataclass(slots=True)
class _Bar:
    """One bar of one side that still grows."""

    open: float
    high: float
    low: float
    close: float
    count: int = 1

    def add(self, price: float) -> None:
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.count += 1


@dataclass(slots=True)
class _Watch:
    """One subscribed instrument. `from_ts` opens the first bar that is seen whole; `done_ts` the newest that is out."""

    row: Instrument
    from_ts: int
    done_ts: int = 0
    quote: QuoteTick | None = None
    bars: dict[PriceSide, dict[int, _Bar]] = field(
        default_factory=lambda: {PriceSide.BID: {}, PriceSide.ASK: {}}
    )


class FxcmFeed:
    """Pairs whose venue is FXCM. Unreachable: waits 1, 2, 4 ... 60 s, give or take a quarter."""

    name = "fxcm"

    def __init__(self, line: Line | None = None, rng: Random | None = None) -> None:
        self._line = line
        self._rng = rng or Random(conf.read().seed)
        self._failures = 0
        self._silent_until: datetime | None = None
        self._session: Session | None = None
        self._inbox: Inbox | None = None
        self._watched: dict[str, _Watch] = {}  # by the id of the request
        self._refused: dict[int, str] = {}
        self._proven_at: datetime | None = None  # the venue's time up to which nothing is missing

    # --- The port -----------------------------------------------------------------------------------------------

    def poll(self, now: datetime) -> Iterator[Batch]:
        rows = list(Instrument.objects.filter(venue=VENUE, is_active=True, is_demo=False))
        if not rows:
            self.close()
            return
        if self._silent_until is not None and now < self._silent_until:
            return
        try:
            self._subscribe(rows, now)
            self._drain(now)
        except FeedError as error:
            yield from self._back_off(rows, error, now)
            return
        self._failures = 0
        for row in rows:
            if row.pk in self._refused:
                yield Batch(instrument=row, timeframe=row.timeframe, error=self._refused[row.pk])
        for watch in self._watched.values():
            if watch.row.pk not in self._refused:
                yield from self._news(watch)

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterable[Bars]:
        return ()

    def forget(self, instrument: Instrument) -> None:
        """A bar that was not stored is gone: what is not there yet is all we have."""

    def close(self) -> None:
        """Leave the venue; the next poll comes back."""
        self._lose()
        if self._line is not None:
            self._line.close()

    # --- The subscription ---------------------------------------------------------------------------------------

    def _subscribe(self, rows: list[Instrument], now: datetime) -> None:
        """Be connected, and ask for what is not asked for yet. Raises FeedError."""
        try:
            if self._session is None or not self._session.is_live:
                self._lose()
                self._line = self._line or _line_of_settings()
                self._session = self._line.ready()
                self._inbox = self._session.listen()
            known = {watch.row.pk for watch in self._watched.values()} | self._refused.keys()
            for row in rows:
                if row.pk not in known:
                    self._ask(self._session, row, now)
            self._cancel(self._session, {row.pk for row in rows})
        except (NotSent, NoAnswer) as e:
            self._lose()
            raise FeedError(f"FXCM is not reached: {e}"[:200]) from e

    def _ask(self, session: Session, row: Instrument, now: datetime) -> None:
        try:
            symbol = to_venue(row.symbol)
        except ValueError as e:
            self._refused[row.pk] = str(e)
            return
        request_id = f"md{row.pk}"
        length = timeframes.seconds(row.timeframe)
        whole = timeframes.floor(int(now.timestamp()) + _LATE_S, row.timeframe) + length
        self._watched[request_id] = _Watch(row=row, from_ts=whole)
        session.send(_REQUEST, _request(request_id, "1", symbol))

    def _cancel(self, session: Session, wanted: set[int]) -> None:
        for request_id, watch in list(self._watched.items()):
            if watch.row.pk not in wanted:
                del self._watched[request_id]
                session.send(_REQUEST, _request(request_id, "2", to_venue(watch.row.symbol)))

    def _lose(self) -> None:
        """What grew while the line broke is not whole: it is left out."""
        if self._session is not None and self._inbox is not None:
            self._session.stop_listening(self._inbox)
        self._session = self._inbox = self._proven_at = None
        self._watched.clear()
        self._refused.clear()

    # --- What comes ---------------------------------------------------------------------------------------------

    def _drain(self, now: datetime) -> None:
        assert self._inbox is not None and self._session is not None
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            if message is None:
                reason = self._session.reason
                self._lose()
                raise FeedError(f"FXCM's line has ended: {reason}"[:200])
            self._take(message, now)

    def _take(self, message: Message, now: datetime) -> None:
        watch = self._watched.get(message.get(262))
        try:
            if watch is not None and message.kind == _SNAPSHOT:
                self._tick(watch, message, now)
            elif watch is not None and message.kind == _REFUSED:
                self._refused[watch.row.pk] = f"FXCM refuses its prices: {message.get(58)[:120]}"
            # Messages come in the order of their numbers: whatever was sent before this one has come, too.
            self._proven_at = message.time(52)
        except Unreadable:
            return  # a quote that cannot be read is none; the next one counts

    def _tick(self, watch: _Watch, message: Message, now: datetime) -> None:
        prices, is_open = _entries(message)
        bid, ask = prices.get(_BID), prices.get(_ASK)
        if not is_open or bid is None or ask is None or not 0 < bid <= ask:
            return
        at = _quoted_at(message)
        middle = float((bid + ask) / 2)
        if watch.quote is None or at >= watch.quote.at:
            watch.quote = QuoteTick(last=middle, bid=float(bid), ask=float(ask), at=min(at, now))
        ts = timeframes.floor(int(at.timestamp()), watch.row.timeframe)
        if ts < watch.from_ts or ts <= watch.done_ts:
            return
        for side, price in ((PriceSide.BID, float(bid)), (PriceSide.ASK, float(ask))):
            bars = watch.bars[side]
            if ts in bars:
                bars[ts].add(price)
            else:
                bars[ts] = _Bar(price, price, price, price)

    def _news(self, watch: _Watch) -> Iterator[Batch]:
        row = watch.row
        if watch.quote is not None:
            yield Batch(instrument=row, timeframe=row.timeframe, quote=watch.quote)
        if self._proven_at is None:
            return
        until = int((self._proven_at - timedelta(seconds=_LATE_S)).timestamp())
        newest = timeframes.last_closed(until, row.timeframe)
        for side, bars in watch.bars.items():
            closed = sorted(ts for ts in bars if ts <= newest)
            rows = [
                (ts, bar.open, bar.high, bar.low, bar.close, float(bar.count))
                for ts in closed
                for bar in (bars.pop(ts),)
            ]
            if rows:
                yield Batch(instrument=row, timeframe=row.timeframe, side=side, bars=bars_of(rows))
        watch.done_ts = max(watch.done_ts, newest)

    def _back_off(self, rows: list[Instrument], error: FeedError, now: datetime) -> Iterable[Batch]:
        self._failures += 1
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(self._failures - 1, 10))
        wait *= 0.75 + 0.5 * self._rng.random()
        self._silent_until = now + timedelta(seconds=wait)
        return [Batch(instrument=row, timeframe=row.timeframe, error=error.message) for row in rows]


def _request(request_id: str, what: str, symbol: str) -> list[tuple[int, str]]:
    """MarketDataRequest for the best bid and ask: 1 subscribes, 2 ends that."""
    return [
        (262, request_id), (263, what), (264, "1"), (265, "0"), (146, "1"), (55, symbol), (267, "2"), (269, _BID),
        (269, _ASK),
    ]  # fmt: skip


def _entries(message: Message) -> tuple[dict[str, Decimal], bool]:
    """Prices by type of entry, and whether the market is open (QuoteCondition B: closed). Raises Unreadable."""
    prices: dict[str, Decimal] = {}
    kind = ""
    for tag, value in message.pairs:
        if tag == 269:
            kind = value
        elif tag == 270 and kind:
            prices[kind] = read_number(value)
    return prices, "B" not in message.all(276)


def _quoted_at(message: Message) -> datetime:
    """When the quote was made; when it was sent, if the venue does not say. Raises Unreadable."""
    day, time = message.get(272), message.get(273)
    return read_time(f"{day}-{time}") if day and time else message.time(52)


def _line_of_settings() -> Line:
    """Raises FeedError when settings are missing."""
    host, port, sender = settings.FXCM_FIX_HOST, settings.FXCM_FIX_PORT, settings.FXCM_FIX_MD_SENDER
    user, password = settings.FXCM_FIX_MD_USER, settings.FXCM_FIX_MD_PASSWORD
    if not (host and port and sender and user and password and settings.FXCM_FIX_TARGET_SUB):
        raise FeedError(
            "FXCM's prices need TRADING_FXCM_FIX_HOST, _PORT, _TARGET_SUB, _MD_SENDER, _MD_USER, _MD_PASSWORD."
        )
    endpoint = Endpoint(
        host=host, port=port, sender=sender, target=settings.FXCM_FIX_TARGET, target_sub=settings.FXCM_FIX_TARGET_SUB,
        tls=not is_loopback(host),
    )  # fmt: skip
    name = hashlib.sha256(f"{host}:{port}:{sender}".encode()).hexdigest()[:16]
    path = settings.VAR_DIR / "locks" / f"fxcm-{name}.lock"
    return line_of(endpoint, Login(user=user, password=password), Timing(other_process_s=0.0), path)
