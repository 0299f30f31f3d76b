"""Instruments as the API shows them: the venue's filters exact, prices as measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from django.db.models import Q, QuerySet

from assets.markets import hub
from assets.markets.models import Instrument
from assets.markets.selectors import pages
from assets.markets.staleness import Word
from tradingsite.foundation.api.shapes import OneOf


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceItem:
    """The newest price and the time of that information."""

    bid: float
    ask: float
    last: float
    at: datetime
    change_24h: Annotated[float | None, "ratio"]


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentItem:
    """Something that can be traded. Filters and fees are exact decimals; prices are measurements."""

    id: int
    symbol: str
    name: str
    asset_type: str
    venue: str
    base: str
    quote: str
    calendar: str
    timeframe: Annotated[str, "the finest one that is stored"]
    tick_size: Decimal
    lot_step: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    fee_rate: Annotated[Decimal, "taker fee, fraction of the notional"]
    half_spread_bps: float
    slippage_bps: float
    is_active: bool
    is_demo: bool
    is_open: Annotated[bool, "whether its market is open now"]
    freshness: Annotated[str, OneOf(*Word)]
    price: PriceItem | None


def rows(
    *, asset_type: str = "", demo: bool | None = None, active: bool | None = True, q: str = ""
) -> QuerySet[Instrument]:
    """Instruments; by default those traded now (the simulated ones while the simulated feed is on)."""
    found = Instrument.objects.select_related("latest_quote")
    found = found.filter(is_demo=pages.is_demo_feed() if demo is None else demo)
    if active is not None:
        found = found.filter(is_active=active)
    if asset_type:
        found = found.filter(asset_type=asset_type)
    return found.filter(Q(symbol__icontains=q) | Q(name__icontains=q)) if q else found


def one(symbol: str, now: datetime) -> InstrumentItem:
    """By symbol. Raises NotFound."""
    return items([hub.by_symbol(symbol)], now)[0]


def items(found: Sequence[Instrument], now: datetime) -> list[InstrumentItem]:
    """The rows with their newest prices, looked up together."""
    prices = {row.pk: row for row in pages._priced(found, now)[0]}
    return [_item(row, prices[row.pk], now) for row in found]


def _item(row: Instrument, seen: pages.InstrumentRow, now: datetime) -> InstrumentItem:
    price = None
    if seen.last is not None and seen.bid is not None and seen.ask is not None and seen.at is not None:
        price = PriceItem(bid=seen.bid, ask=seen.ask, last=seen.last, at=seen.at, change_24h=seen.change)
    return InstrumentItem(
        id=row.pk, symbol=row.symbol, name=row.name, asset_type=row.asset_type, venue=row.venue, base=row.base,
        quote=row.quote, calendar=row.calendar, timeframe=row.timeframe, tick_size=row.tick_size,
        lot_step=row.lot_step, min_quantity=row.min_quantity, min_notional=row.min_notional, fee_rate=row.fee_rate,
        half_spread_bps=row.half_spread_bps, slippage_bps=row.slippage_bps, is_active=row.is_active,
        is_demo=row.is_demo, is_open=pages.is_open(row.calendar, now), freshness=seen.freshness, price=price,
    )  # fmt: skip
