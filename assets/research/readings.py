"""What one instrument looks like now: price, volatility, trend. Computed once per closed bar, kept in this process.

A reading is good until a newer bar can have closed: between two closes nothing is read and nothing is computed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.conf import settings

from assets.markets import calendars, hub, reader, timeframes
from assets.markets.models import Instrument
from assets.markets.series import CandleSeries
from assets.quant import trend
from assets.quant import volatility as vol

log = logging.getLogger(__name__)

_HALF_LIVES = 4  # of history: what is older weighs less than a fifteenth
_MIN_BARS = 64


@dataclass(slots=True, eq=False)
class Reading:
    """One instrument at its newest closed bar. NaN is unknown."""

    pk: int
    symbol: str
    venue: str
    calendar: str
    latest: hub.Newest
    bar_s: int
    series: CandleSeries
    scale: vol.Scale
    price: float
    log_price: float
    volatility: float
    trend: float
    year_s: float  # open seconds of a year
    anchors: dict[datetime, float | None] = field(default_factory=dict)

    @property
    def closed_at(self) -> datetime:
        """When the newest bar closed."""
        return datetime.fromtimestamp(self.latest.close_ts, UTC)

    def sigma(self, seconds: float) -> float:
        """One sigma of the log price over so many open seconds; NaN when unknown."""
        return self.volatility * math.sqrt(seconds / self.year_s)


_readings: dict[int, Reading] = {}
_anchors: dict[tuple[int, str, int], float | None] = {}
_active: dict[tuple[str, str], tuple[datetime, list[Instrument]]] = {}
_generation = -1
_ACTIVE_FOR_S = 10.0  # a newly added instrument is noticed within so many seconds


def forget() -> None:
    """Drop everything kept (tests that write other bars at the same times)."""
    _readings.clear()
    _anchors.clear()
    _active.clear()


def active(asset_type: str, now: datetime) -> list[Instrument]:
    """`hub.active_instruments`, read from the database once in ten seconds of `now`."""
    if hub.is_restricted():
        return hub.active_instruments(asset_type)
    key = (asset_type, str(settings.TRADING_FEED))
    known = _active.get(key)
    if known is None or not 0.0 <= (now - known[0]).total_seconds() < _ACTIVE_FOR_S:
        known = _active[key] = (now, hub.active_instruments(asset_type))
    return known[1]


def read(instruments: Iterable[Instrument], now: datetime) -> Mapping[int, Reading | None]:
    """The reading of each, by id; None without a usable bar. At most one query unless a bar has closed."""
    global _generation
    if reader.generation() != _generation:
        forget()
        _generation = reader.generation()
    rows = list(instruments)
    now_ts = now.timestamp()
    unsure = [row for row in rows if not _is_current(_readings.get(row.pk), now_ts)]
    if unsure:
        newest = hub.newest(unsure, now)
        for row in unsure:
            _refresh(row, newest[row.pk], now)
    return {row.pk: _usable(_readings.get(row.pk), now_ts) for row in rows}


def _is_current(known: Reading | None, now_ts: float) -> bool:
    """Whether no newer bar can have closed, nor time have gone back."""
    return known is not None and known.latest.close_ts <= now_ts < known.latest.close_ts + known.bar_s


def _usable(known: Reading | None, now_ts: float) -> Reading | None:
    return known if known is not None and known.latest.close_ts <= now_ts else None


def _refresh(row: Instrument, latest: hub.Newest | None, now: datetime) -> None:
    if latest is None:
        _readings.pop(row.pk, None)
        return
    known = _readings.get(row.pk)
    if known is not None and known.latest == latest and known.symbol == row.symbol:
        return
    try:
        found = _measure(row, latest, now)
    except ValueError as e:
        # One instrument with impossible bars must not blind the others: it is unknown, and the log says why.
        log.warning("%s cannot be read at %s: %s", row.symbol, now.isoformat(), e)
        found = None
    if found is None:
        _readings.pop(row.pk, None)
    else:
        _readings[row.pk] = found


def _measure(row: Instrument, latest: hub.Newest, now: datetime) -> Reading | None:
    bar_s = timeframes.seconds(latest.timeframe)
    calendar = calendars.get(row.calendar)
    day_s = calendar.minutes_per_day * 60.0
    scale = vol.scale(bar_s=bar_s, trading_day_s=day_s, days_per_year=calendar.periods_per_year)
    limit = max(_MIN_BARS, math.ceil(_HALF_LIVES * scale.half_life_bars)) + 1
    series = hub.series(row, latest.timeframe, end=now, limit=limit)
    if not len(series):
        return None
    returns = vol.log_returns(series.close, series.ts, float(bar_s))
    price = float(series.close[-1])
    return Reading(
        pk=row.pk, symbol=row.symbol, venue=row.venue, calendar=row.calendar, latest=latest, bar_s=bar_s,
        series=series, scale=scale, price=price, log_price=math.log(price), volatility=vol.ewma(returns, scale),
        trend=_trend(series, scale), year_s=calendar.periods_per_year * day_s,
    )  # fmt: skip


def _trend(series: CandleSeries, scale: vol.Scale) -> float:
    """How straight the last half-life of volatility went, at least 20 bars."""
    window = min(max(20, round(scale.half_life_bars)), len(series))
    return trend.straightness(series.close, window) if window >= 20 else math.nan


def log_move(reading: Reading, row: Instrument, since: datetime) -> float | None:
    """|log price now / log price at `since`|, both from closed bars; None when nothing was known at `since`."""
    if since >= reading.closed_at:
        return 0.0
    if since not in reading.anchors:
        reading.anchors[since] = _price_at(row, reading.latest.timeframe, since)
    anchor = reading.anchors[since]
    return None if anchor is None else abs(reading.log_price - anchor)


def _price_at(row: Instrument, timeframe: str, at: datetime) -> float | None:
    """Log close of the newest bar of that length closed at `at`."""
    key = (row.pk, timeframe, int(at.timestamp()))
    if key not in _anchors:
        if len(_anchors) > 20_000:
            _anchors.clear()
        series = hub.series(row, timeframe, end=at, limit=1)
        _anchors[key] = math.log(float(series.close[-1])) if len(series) and series.close[-1] > 0 else None
    return _anchors[key]
