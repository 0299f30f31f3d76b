"""The one door to market data. Every read says `end` or `now`, and nothing newer than that is ever seen.

In real time the answers come from the database; inside `preloaded(...)` from memory, with the same results. A timeframe
that is not stored (or whose newest bars are not) is computed from finer bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from assets.markets import calendars, reader, staleness, timeframes
from assets.markets.models import Instrument, PriceSide, Quote
from assets.markets.series import CandleSeries, series_of
from tradingsite.foundation import clock
from tradingsite.foundation.errors import NotFound

__all__ = [
    "CandleSeries", "Freshness", "Newest", "Price", "active_instruments", "age_of", "age_s", "ages", "by_id",
    "by_symbol",
    "freshness", "newest", "preloaded", "price", "prices", "prices_and_ages", "series", "series_many", "use_universe",
]  # fmt: skip

InstrumentRef = Instrument | int


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What an instrument costs. `at` is the time of the information: a bar's close, or the venue's quote time."""

    bid: float
    ask: float
    last: float
    at: datetime

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Newest:
    """The newest closed bar of an instrument, whatever its length."""

    timeframe: str
    open_ts: int
    close_ts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """How current the data of an instrument is. `limit_s` is the age from which it is stale."""

    age_s: float | None
    expected_s: float
    limit_s: float
    word: staleness.Word


# --- Bars -----------------------------------------------------------------------------------------------------


def series(
    instrument: InstrumentRef, timeframe: str, *, end: datetime, limit: int, side: PriceSide | None = None
) -> CandleSeries:
    """The newest `limit` bars that are closed at `end` (opening time + length <= end), oldest first, maybe fewer.

    Without `side` these are trade prices, or the middle of bid and ask where only those are stored.
    Raises UnknownTimeframe, NotFound for an id that does not exist, ValueError when `end` has no time zone.
    """
    row = _resolve(instrument)
    bars = reader.bars(row, timeframe, end_ts=_seconds(end), limit=limit, side=side)
    return series_of(row.symbol, timeframe, bars)


def series_many(
    instruments: Iterable[InstrumentRef], timeframe: str, *, end: datetime, limit: int
) -> dict[int, CandleSeries]:
    """`series` for several instruments, by id."""
    rows = [_resolve(instrument) for instrument in instruments]
    return {row.pk: series(row, timeframe, end=end, limit=limit) for row in rows}


def newest(instruments: Iterable[InstrumentRef], now: datetime) -> dict[int, Newest | None]:
    """The newest closed bar of each, in one query. Cheap enough to ask every second: has anything closed?"""
    ids = [_pk(instrument) for instrument in instruments]
    found = reader.newest(ids, _seconds(now))
    return {pk: _latest(found[pk]) for pk in ids}


# --- Prices ---------------------------------------------------------------------------------------------------


def price(instrument: InstrumentRef, now: datetime) -> Price | None:
    """The newest price known at `now`: a quote in real time, else the last closed bar. None when there is neither."""
    row = _resolve(instrument)
    return prices([row], now)[row.pk]


def prices(instruments: Iterable[InstrumentRef], now: datetime) -> dict[int, Price | None]:
    """`price` for several instruments in few queries."""
    rows = [_resolve(instrument) for instrument in instruments]
    ids = [row.pk for row in rows]
    bars = reader.newest(ids, _seconds(now))
    quotes = _quotes(ids, now)
    closes = reader.closes(bar for pk in ids for bar in _newest_bars(pk, bars[pk]))
    return {row.pk: _newer(quotes.get(row.pk), _bar_price(row, bars[row.pk], closes)) for row in rows}


Known = Mapping[int, tuple[Price | None, float | None]]  # price and age by instrument, at one instant


def prices_and_ages(
    instruments: Iterable[InstrumentRef], now: datetime, known: Known | None = None
) -> tuple[dict[int, Price | None], dict[int, float | None]]:
    """`prices` and `ages` together, asking for the newest bars once, and not at all for those `known` at `now`."""
    known = known or {}
    rows = [_resolve(instrument) for instrument in instruments]
    found, ages_of = _ask([row for row in rows if row.pk not in known], now)
    for row in rows:
        if row.pk in known:
            found[row.pk], ages_of[row.pk] = known[row.pk]
    return found, ages_of


def _ask(
    rows: Sequence[Instrument], now: datetime
) -> tuple[dict[int, Price | None], dict[int, float | None]]:
    if not rows:
        return {}, {}
    ids = [row.pk for row in rows]
    bars = reader.newest(ids, _seconds(now))
    quotes = _quotes(ids, now)
    closes = reader.closes(bar for pk in ids for bar in _newest_bars(pk, bars[pk]))
    found: dict[int, Price | None] = {
        row.pk: _newer(quotes.get(row.pk), _bar_price(row, bars[row.pk], closes)) for row in rows
    }
    return found, {row.pk: _age(row, _latest(bars[row.pk]), now) for row in rows}


def _newer(quote: Price | None, bar: Price | None) -> Price | None:
    if quote is None or bar is None:
        return quote or bar
    return quote if quote.at >= bar.at else bar


def _quotes(ids: Sequence[int], now: datetime) -> dict[int, Price]:
    # On a virtual clock the stored quotes belong to another time.
    if reader.is_preloaded() or not isinstance(clock.current(), clock.RealClock | clock.FixedClock):
        return {}
    found: dict[int, Price] = {}
    for quote in Quote.objects.filter(instrument_id__in=ids, at__lte=now).select_related("instrument"):
        half = quote.instrument.half_spread_bps / 10_000
        bid = quote.last * (1 - half) if quote.bid is None else quote.bid
        ask = quote.last * (1 + half) if quote.ask is None else quote.ask
        found[quote.instrument_id] = Price(bid=bid, ask=ask, last=quote.last, at=quote.at)
    return found


def _newest_bars(pk: int, kinds: reader.Kinds) -> list[reader.Bar]:
    """The bars of the newest instant: trade, bid and ask, as far as they are stored."""
    latest = _latest(kinds)
    if latest is None:
        return []
    sides = [side.value for side in PriceSide if kinds.get((latest.timeframe, side)) == latest.open_ts]
    return [(pk, latest.timeframe, side, latest.open_ts) for side in sides]


def _bar_price(row: Instrument, kinds: reader.Kinds, found: Mapping[reader.Bar, float]) -> Price | None:
    latest = _latest(kinds)
    if latest is None:
        return None
    at = datetime.fromtimestamp(latest.close_ts, UTC)
    closes = {PriceSide(bar[2]): found[bar] for bar in _newest_bars(row.pk, kinds)}
    bid, ask = closes.get(PriceSide.BID), closes.get(PriceSide.ASK)
    if bid is not None and ask is not None and bid <= ask:
        return Price(bid=bid, ask=ask, last=closes.get(PriceSide.TRADE, (bid + ask) / 2), at=at)
    last = next(iter(closes.values()))
    half = row.half_spread_bps / 10_000
    return Price(bid=last * (1 - half), ask=last * (1 + half), last=last, at=at)


# --- Age ------------------------------------------------------------------------------------------------------


def age_s(instrument: InstrumentRef, now: datetime) -> float | None:
    """Seconds since the newest closed bar closed, by its own time. Time in which the market is closed does not count.

    None when there is no bar.
    """
    row = _resolve(instrument)
    return ages([row], now)[row.pk]


def ages(instruments: Iterable[InstrumentRef], now: datetime) -> dict[int, float | None]:
    """`age_s` for several instruments in one query."""
    rows = [_resolve(instrument) for instrument in instruments]
    latest = newest(rows, now)
    return {row.pk: _age(row, latest[row.pk], now) for row in rows}


def age_of(instrument: Instrument, latest: Newest, now: datetime) -> float:
    """`age_s` for a caller that has asked `newest` already. No query."""
    age = _age(instrument, latest, now)
    assert age is not None  # there is a bar
    return age


def freshness(instrument: InstrumentRef, now: datetime) -> Freshness:
    """Age, limit and word (fresh, late, stale, missing, closed) of an instrument's data."""
    row = _resolve(instrument)
    expected = float(timeframes.seconds(row.timeframe))
    age = age_s(row, now)
    is_open = calendars.get(row.calendar).is_open(now)
    return Freshness(
        age_s=age,
        expected_s=expected,
        limit_s=staleness.limit_s(expected),
        word=staleness.state(age, expected, is_open),
    )


def _age(row: Instrument, latest: Newest | None, now: datetime) -> float | None:
    if latest is None:
        return None
    calendar = calendars.get(row.calendar)
    closed_at = datetime.fromtimestamp(latest.close_ts, UTC)
    if timeframes.seconds(latest.timeframe) < timeframes.DAY_S:
        return calendar.open_seconds(closed_at, now)
    # A daily bar closes hours after its session. What matters is whether days are missing, so whole days without
    # trading are taken off the age by the clock.
    wall = (now - closed_at).total_seconds()
    last_moment = closed_at - timedelta(seconds=1)
    days = (now.astimezone(UTC).date() - last_moment.date()).days
    idle = max(0, days - calendar.trading_days_between(last_moment, now))
    return max(0.0, wall - idle * timeframes.DAY_S)


def _latest(kinds: reader.Kinds) -> Newest | None:
    """The kind whose bar closed last; of several the finest."""
    best: Newest | None = None
    for (timeframe, _side), open_ts in kinds.items():
        length = timeframes.seconds(timeframe)
        close_ts = open_ts + length
        if best is None or (close_ts, -length) > (best.close_ts, -timeframes.seconds(best.timeframe)):
            best = Newest(timeframe=timeframe, open_ts=open_ts, close_ts=close_ts)
    return best


# --- Which instruments ----------------------------------------------------------------------------------------


class _Universe:
    """The restriction put in force by `use_universe`; leaving the `with` block lifts it."""

    def __init__(self, instruments: Sequence[Instrument] | None) -> None:
        global _restricted
        self._before = _restricted
        _restricted = instruments

    def __enter__(self) -> _Universe:
        return self

    def __exit__(self, *_: object) -> None:
        global _restricted
        _restricted = self._before


_restricted: Sequence[Instrument] | None = None


def use_universe(instruments: Sequence[Instrument] | None) -> _Universe:
    """From now on only these instruments are active (replay, backtest). As a context manager it ends with the block."""
    return _Universe(instruments)


def is_restricted() -> bool:
    """Whether `use_universe` is in force: then `active_instruments` costs nothing."""
    return _restricted is not None


def active_instruments(asset_type: str) -> list[Instrument]:
    """Instruments of a type that are traded now: the simulated twins when the simulated feed is on, else the real."""
    if _restricted is not None:
        return [row for row in _restricted if row.asset_type == asset_type]
    is_demo = getattr(settings, "TRADING_FEED", "simulated") == "simulated"
    return list(Instrument.objects.filter(asset_type=asset_type, is_active=True, is_demo=is_demo))


def by_symbol(symbol: str) -> Instrument:
    """Raises NotFound."""
    for row in _restricted or ():
        if row.symbol == symbol:
            return row
    try:
        return Instrument.objects.get(symbol=symbol)
    except Instrument.DoesNotExist:
        raise NotFound(f"There is no instrument {symbol!r}.", code="unknown-instrument") from None


def by_id(pk: int) -> Instrument:
    """Raises NotFound."""
    for row in _restricted or ():
        if row.pk == pk:
            return row
    try:
        return Instrument.objects.get(pk=pk)
    except Instrument.DoesNotExist:
        raise NotFound(f"There is no instrument {pk}.", code="unknown-instrument") from None


@contextmanager
def preloaded(instruments: Iterable[Instrument], start: datetime, end: datetime) -> Iterator[None]:
    """Keep the candles of these instruments in memory: those of `start` to `end` and a good number before `start`.

    Reads that need older bars than that still find them (in the database), so results never depend on this.
    """
    with reader.in_memory(list(instruments), _seconds(start), _seconds(end)):
        yield


def _resolve(instrument: InstrumentRef) -> Instrument:
    return instrument if isinstance(instrument, Instrument) else by_id(instrument)


def _pk(instrument: InstrumentRef) -> int:
    return instrument.pk if isinstance(instrument, Instrument) else instrument


def _seconds(at: datetime) -> int:
    """Whole seconds, rounded down: half a second does not close a bar. Raises ValueError without a time zone."""
    return int(clock.as_utc(at).timestamp() // 1)
