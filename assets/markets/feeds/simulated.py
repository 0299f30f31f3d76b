"""The demo feed: seeded prices for the simulated twins, with history at the first start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from assets.markets import calendars, conf, rawsql, timeframes, universe
from assets.markets.feeds import simulation
from assets.markets.feeds.base import Batch, QuoteTick
from assets.markets.feeds.simulation import Profile
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars, concat
from assets.quant import resample
from tradingsite.foundation import clock

_DAY: Final = 86400
# How far back history reaches at the first start, in seconds. Markets that close need more days of minutes.
_DEPTH: Final = {"1m": 3 * _DAY, "1h": 90 * _DAY, "1d": 730 * _DAY}
_HISTORY_BARS: Final = 3  # more than so many missing bars are history and may wait for their turn
_HISTORY_S: Final = 0.6  # time a poll may spend on history: quotes must keep coming
_DEPTH_MINUTES_CLOSING: Final = 7 * _DAY


class SimulatedFeed:
    """Quotes every second and closed bars of 1m, 1h and 1d for instruments with `is_demo`, and for no others."""

    name = "simulated"

    def __init__(self, seed: int | None = None) -> None:
        self._seed = conf.read().seed if seed is None else seed
        self._sent: dict[tuple[int, str], int] = {}
        self._forgotten: set[int] = set()

    def poll(self, now: datetime) -> Iterator[Batch]:
        rows = list(Instrument.objects.filter(is_demo=True, is_active=True))
        self._remember(rows, now)
        ready: list[tuple[Instrument, Profile]] = []
        for row in rows:
            problem = _problem(row, now)
            profile = profile_of(row)
            if problem or profile is None:
                yield Batch(instrument=row, timeframe="1m", error=problem)
                continue
            ready.append((row, profile))
            yield Batch(instrument=row, timeframe="1m", quote=self._quote(row, profile, now))
        started = clock.monotonic()
        # Minutes of all instruments first: they are what a workflow needs; years of days can wait some seconds.
        for timeframe in _DEPTH:
            for row, profile in ready:
                yield from self._closed(row, profile, timeframe, now, started)

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterable[Bars]:
        profile = profile_of(instrument) if instrument.is_demo else None
        if profile is None:
            return
        yield self._bars(profile, timeframe, first_ts, min(last_ts, _last_closed(now, timeframe)))

    def forget(self, instrument: Instrument) -> None:
        self._forgotten.add(instrument.pk)  # not now: a poll may be under way

    def _remember(self, rows: list[Instrument], now: datetime) -> None:
        """What is stored already, asked once for each instrument."""
        unknown = [row.pk for row in rows if (row.pk, "1m") not in self._sent or row.pk in self._forgotten]
        self._forgotten.clear()
        for pk, kinds in rawsql.newest(unknown, int(now.timestamp())).items():
            for timeframe in _DEPTH:
                self._sent[pk, timeframe] = kinds.get((timeframe, PriceSide.TRADE.value), 0)

    def _closed(
        self, row: Instrument, profile: Profile, timeframe: str, now: datetime, started: float
    ) -> Iterator[Batch]:
        """What has closed since it was last sent; much of it only while there is time in this poll."""
        length = timeframes.seconds(timeframe)
        last = _last_closed(now, timeframe)
        sent = self._sent[row.pk, timeframe]
        if last <= sent:
            return
        is_history = last - sent > _HISTORY_BARS * length
        if is_history and clock.monotonic() - started > _HISTORY_S:
            return
        first = max(sent + length, last - _depth(row, timeframe))
        self._sent[row.pk, timeframe] = last
        bars = self._bars(profile, timeframe, timeframes.floor(first, timeframe), last)
        if len(bars):
            yield Batch(instrument=row, timeframe=timeframe, bars=bars)

    def _bars(self, profile: Profile, timeframe: str, first_ts: int, last_ts: int) -> Bars:
        length = timeframes.seconds(timeframe)
        fine = concat(simulation.between(self._seed, profile, first_ts, last_ts + length - 60))
        if timeframe == "1m":
            return fine
        columns = resample.resample(*fine.columns(), length_s=60, target_s=length, end_ts=last_ts + length)
        ts, opened, high, low, close, volume = columns
        return Bars(ts=ts, open=opened, high=high, low=low, close=close, volume=volume)

    def _quote(self, row: Instrument, profile: Profile, now: datetime) -> QuoteTick | None:
        last = simulation.last_at(self._seed, profile, now)
        if last is None:
            return None
        half = last * row.half_spread_bps / 10_000
        before = simulation.last_at(self._seed, profile, now - timedelta(days=1))
        return QuoteTick(
            last=last,
            bid=last - half,
            ask=last + half,
            at=now.replace(microsecond=0),
            change_24h=None if before is None else last / before - 1,
        )


def _problem(row: Instrument, now: datetime) -> str:
    """Why this instrument cannot be simulated; empty when it can."""
    if universe.find(row.symbol) is None:
        return "nobody declares this instrument any more"
    if calendars.get(row.calendar).closed_reason(now) == "calendar_missing":
        return f"the calendar {row.calendar} has no days; run manage.py sync_calendars"
    return ""


def profile_of(row: Instrument) -> Profile | None:
    """How this instrument moves; None when its asset type does not declare it."""
    spec = universe.find(row.symbol)
    if spec is None:
        return None
    return Profile(
        symbol=row.symbol,
        price=spec.demo_price,
        volatility=spec.demo_volatility,
        correlation=spec.demo_correlation,
        calendar=row.calendar,
        tick=float(row.tick_size),
    )


def _last_closed(now: datetime, timeframe: str) -> int:
    return timeframes.last_closed(int(now.timestamp()), timeframe)


def _depth(row: Instrument, timeframe: str) -> int:
    if timeframe == "1m" and row.calendar != "24x7":
        return _DEPTH_MINUTES_CLOSING
    return _DEPTH[timeframe]
