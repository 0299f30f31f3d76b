"""What trading asks of the market rooms: exact prices, is it open, how old is the data. One look per
decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from assets.markets import calendars, hub, staleness, timeframes
from assets.markets.models import Instrument
from assets.quant.fills import VenueRules
from tradingsite.foundation.money import to_decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One instrument at one instant. `price` is in its quote currency, None when no price was ever seen."""

    price: Decimal | None
    at: datetime | None
    is_open: bool
    closed_reason: str
    word: staleness.Word
    age_s: float | None
    limit_s: float

    @property
    def usable(self) -> bool:
        """There is a price, and it is not older than its limit while the market is open."""
        return self.price is not None and self.word not in (staleness.Word.STALE, staleness.Word.MISSING)


def look_at(
    instruments: Iterable[Instrument], now: datetime, known: hub.Known | None = None
) -> Mapping[int, Look]:
    """A look at each, by instrument id, in few queries; those `known` at `now` are not asked for again."""
    rows = list(instruments)
    if not rows:
        return {}
    prices, ages = hub.prices_and_ages(rows, now, known)
    return {row.pk: _look(row, prices[row.pk], ages[row.pk], now) for row in rows}


def look(instrument: Instrument, now: datetime) -> Look:
    """The market of one instrument at `now`, from nothing newer than `now`."""
    return look_at((instrument,), now)[instrument.pk]


def _look(instrument: Instrument, found: hub.Price | None, age_s: float | None, now: datetime) -> Look:
    price = to_decimal(found.last) if found is not None and found.last > 0 else None
    calendar = calendars.get(instrument.calendar)
    is_open = calendar.is_open(now)
    expected_s = float(timeframes.seconds(instrument.timeframe))
    return Look(
        price=price,
        at=found.at if found is not None else None,
        is_open=is_open,
        closed_reason="" if is_open else calendar.closed_reason(now),
        word=staleness.state(age_s, expected_s, is_open),
        age_s=age_s,
        limit_s=staleness.limit_s(expected_s),
    )


def rules_of(instrument: Instrument) -> VenueRules:
    """The filters of an instrument as the pure model wants them."""
    return VenueRules(
        tick_size=instrument.tick_size,
        lot_step=instrument.lot_step,
        min_quantity=instrument.min_quantity,
        min_notional=instrument.min_notional,
    )
