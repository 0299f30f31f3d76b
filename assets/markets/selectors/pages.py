"""Reads shaped for pages: instruments with prices and freshness, bars with indicators for the chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.db.models import Max
from django.utils.translation import gettext as _

from assets.markets import calendars, hub, staleness, timeframes
from assets.markets.models import Instrument, Quote
from assets.quant import indicators
from tradingsite.foundation.errors import Invalid, NotFound
from tradingsite.foundation.web import pulse, version_of

CHART_TIMEFRAMES: Final = ("1m", "5m", "15m", "1h", "4h", "1d", "1w")
DEFAULT_BARS: Final = 250
MOST_BARS: Final = 5000
WARM_UP: Final = 60  # bars before the first shown one, so that averages start where they should


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentRow:
    """One instrument as lists show it. `change` is the last 24 hours' ratio, None when it is not known."""

    pk: int
    symbol: str
    name: str
    asset_type: str
    venue: str
    base: str
    quote: str
    timeframe: str
    tick_size: Decimal
    lot_step: Decimal
    last: float | None
    bid: float | None
    ask: float | None
    at: datetime | None
    age_s: float | None
    freshness: str
    change: float | None
    calendar: str
    is_demo: bool

    @property
    def spread_bps(self) -> float | None:
        if not self.bid or not self.ask:
            return None
        return (self.ask - self.bid) / ((self.ask + self.bid) / 2) * 10_000


def is_demo_feed() -> bool:
    """Whether prices come from the simulated feed, so that demo instruments are the active ones."""
    return str(getattr(settings, "TRADING_FEED", "simulated")) == "simulated"


def newest_data_at() -> datetime | None:
    """When the newest price came in. One query."""
    return Quote.objects.filter(instrument__is_demo=is_demo_feed()).aggregate(at=Max("received_at"))["at"]


MARKET_PULSE: Final = ("SELECT MAX(received_at) FROM markets_quote", "SELECT MAX(at) FROM markets_quote")


def newest_pulse() -> tuple[str, ...]:
    """One question for `web.pulse`: when the newest price of the active world came in."""
    return (_NEWEST_DEMO,) if is_demo_feed() else (_NEWEST_REAL,)


_NEWEST: Final = "SELECT MAX(q.received_at) FROM markets_quote q JOIN markets_instrument i ON i.id = q.instrument_id WHERE "
_NEWEST_DEMO: Final = f"{_NEWEST} i.is_demo"
_NEWEST_REAL: Final = f"{_NEWEST} NOT i.is_demo"


def version() -> str:
    """Changes with every new price. One query."""
    return version_of(*pulse(*MARKET_PULSE))


def instruments(now: datetime, asset_type: str = "") -> tuple[InstrumentRow, ...]:
    """Active instruments with their newest price. Three queries whatever their number."""
    rows = Instrument.objects.select_related("latest_quote").filter(is_active=True, is_demo=is_demo_feed())
    if asset_type:
        rows = rows.filter(asset_type=asset_type)
    return _priced(list(rows.order_by("asset_type", "symbol")), now)[0]


def instruments_and_prices(now: datetime, asset_type: str) -> tuple[tuple[InstrumentRow, ...], hub.Known]:
    """`instruments`, and their prices for whoever values them on the same page."""
    rows = Instrument.objects.select_related("latest_quote").filter(is_active=True, is_demo=is_demo_feed())
    return _priced(list(rows.filter(asset_type=asset_type).order_by("symbol")), now)


def instrument(pk: int, now: datetime) -> InstrumentRow:
    """One instrument, active or not. Raises NotFound."""
    return _priced([_found(pk)], now)[0][0]


def _found(pk: int) -> Instrument:
    row = Instrument.objects.select_related("latest_quote").filter(pk=pk).first()
    if row is None:
        raise NotFound(_("There is no instrument %(id)s.") % {"id": pk})
    return row


def _priced(rows: Sequence[Instrument], now: datetime) -> tuple[tuple[InstrumentRow, ...], hub.Known]:
    prices, ages = hub.prices_and_ages(rows, now)
    shown = tuple(_row(row, prices[row.pk], ages[row.pk], _change(row), now) for row in rows)
    return shown, {row.pk: (prices[row.pk], ages[row.pk]) for row in rows}


def _change(row: Instrument) -> float | None:
    quote: Quote | None = getattr(row, "latest_quote", None)
    return quote.change_24h if quote is not None else None


def _row(
    row: Instrument, price: hub.Price | None, age: float | None, change: float | None, now: datetime
) -> InstrumentRow:
    expected = float(timeframes.seconds(row.timeframe))
    return InstrumentRow(
        pk=row.pk,
        symbol=row.symbol,
        name=row.name,
        asset_type=row.asset_type,
        venue=row.venue,
        base=row.base,
        quote=row.quote,
        timeframe=row.timeframe,
        tick_size=row.tick_size,
        lot_step=row.lot_step,
        last=price.last if price else None,
        bid=price.bid if price else None,
        ask=price.ask if price else None,
        at=price.at if price else None,
        age_s=age,
        freshness=staleness.state(age, expected, is_open(row.calendar, now)).value,
        change=change,
        calendar=row.calendar,
        is_demo=row.is_demo,
    )


def is_open(calendar: str, now: datetime) -> bool:
    """Whether the market is open; a calendar we do not know counts as closed."""
    try:
        return calendars.get(calendar).is_open(now)
    except calendars.CalendarMissing:
        return False


@dataclass(frozen=True, slots=True)
class MarketHours:
    """How a calendar stands now."""

    is_open: bool
    session: str
    reason: str
    next_open_at: datetime | None
    next_close_at: datetime | None


def hours(calendar: str, now: datetime) -> MarketHours:
    """Open or closed, and until when. A missing calendar is told as closed with its reason."""
    try:
        found = calendars.get(calendar)
        opened = found.is_open(now)
        return MarketHours(
            opened,
            found.session(now) if opened else "",
            "" if opened else found.closed_reason(now),
            None if opened else found.next_open(now),
            found.next_close(now) if opened else None,
        )
    except calendars.CalendarMissing:
        return MarketHours(False, "", "calendar_missing", None, None)


def timeframe_or_default(row: InstrumentRow, wanted: str) -> str:
    """The timeframe asked for, or the instrument's own. Raises Invalid for one the chart does not offer."""
    if not wanted:
        return row.timeframe if row.timeframe in CHART_TIMEFRAMES else "1h"
    if wanted not in CHART_TIMEFRAMES:
        raise Invalid(
            _("A timeframe is one of %(known)s, was %(value)s.")
            % {"known": ", ".join(CHART_TIMEFRAMES), "value": wanted[:10]}
        )
    return wanted


def offered(row: InstrumentRow) -> tuple[str, ...]:
    """Timeframes that can be made from what is stored: its own and everything longer."""
    own = timeframes.seconds(row.timeframe)
    return tuple(name for name in CHART_TIMEFRAMES if timeframes.seconds(name) >= own)


def instrument_with_chart(pk: int, wanted: str, now: datetime) -> tuple[InstrumentRow, str, dict[str, Any]]:
    """An instrument, the timeframe to show and its bars. Raises NotFound, Invalid like `timeframe_or_default`."""
    source = _found(pk)
    row = _priced([source], now)[0][0]
    timeframe = timeframe_or_default(row, wanted)
    return row, timeframe, _chart(source, timeframe, now, DEFAULT_BARS, None)


def chart(
    row: InstrumentRow, timeframe: str, now: datetime, *, limit: int = DEFAULT_BARS, before: int | None = None
) -> dict[str, Any]:
    """Closed bars with indicators, in columns, oldest first. `before` (epoch seconds) loads older ones.

    Numbers are JSON numbers; an indicator that has no value yet is null.
    """
    return _chart(row.pk, timeframe, now, limit, before) | {"symbol": row.symbol}


def _chart(
    source: hub.InstrumentRef, timeframe: str, now: datetime, limit: int, before: int | None
) -> dict[str, Any]:
    end = now if before is None else datetime.fromtimestamp(before, UTC)
    series = hub.series(source, timeframe, end=end, limit=min(limit, MOST_BARS) + WARM_UP)
    if before is not None and len(series):
        keep = int(np.searchsorted(series.ts, before))
    else:
        keep = len(series)
    close = series.close[:keep]
    start = max(0, keep - limit)
    bands = indicators.bollinger(close, 20, 2.0) if keep >= 20 else None
    empty = np.full(keep, np.nan)
    columns = {
        "ema20": indicators.ema(close, 20) if keep else empty,
        "ema50": indicators.ema(close, 50) if keep else empty,
        "bb_upper": bands.upper if bands else empty,
        "bb_lower": bands.lower if bands else empty,
        "rsi14": indicators.rsi(close, 14) if keep > 15 else empty,
    }
    shown = slice(start, keep)
    return {
        "symbol": series.symbol,
        "timeframe": timeframe,
        "seconds": timeframes.seconds(timeframe),
        "ts": series.ts[shown].tolist(),
        "open": series.open[shown].tolist(),
        "high": series.high[shown].tolist(),
        "low": series.low[shown].tolist(),
        "close": series.close[shown].tolist(),
        "volume": series.volume[shown].tolist(),
        "indicators": {name: _nulls(values[shown]) for name, values in columns.items()},
        "more": start > 0,
    }


def _nulls(values: Any) -> list[float | None]:
    return [value if value == value else None for value in np.asarray(values, dtype=float).tolist()]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the table under the chart."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    change: float | None


@dataclass(frozen=True, slots=True)
class ChartSummary:
    """What the chart shows, for the sentence and the table. `change`, `high`, `low` over the shown bars."""

    bars: tuple[Bar, ...]
    count: int
    last: float | None
    change: float | None
    high: float | None
    low: float | None


def summary(columns: dict[str, Any], rows: int = 50) -> ChartSummary:
    """The newest `rows` bars, newest first, with figures over all bars given."""
    ts, close = columns["ts"], columns["close"]
    count = len(ts)
    bars = tuple(
        Bar(
            at=datetime.fromtimestamp(ts[index], UTC),
            open=columns["open"][index],
            high=columns["high"][index],
            low=columns["low"][index],
            close=close[index],
            volume=columns["volume"][index],
            change=close[index] / close[index - 1] - 1 if index and close[index - 1] else None,
        )
        for index in range(count - 1, max(-1, count - 1 - rows), -1)
    )
    if not count:
        return ChartSummary((), 0, None, None, None, None)
    change = close[-1] / close[0] - 1 if close[0] else None
    return ChartSummary(bars, count, close[-1], change, max(columns["high"]), min(columns["low"]))
