"""The port every feed implements. A feed only fetches and parses; the pump stores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars, empty_bars
from tradingsite.foundation.errors import Unavailable


class FeedError(Unavailable):
    """The venue did not give usable data. The message says why; asking again later may help."""

    default_code = "feed-error"


class BudgetSpent(FeedError):
    """Our own request budget or a block of the venue forbids the call now. Ask again in the next window."""

    default_code = "budget-spent"


class VenueUnreachable(FeedError):
    """No connection, no name resolution, or no answer in time. The caller backs off."""

    default_code = "venue-unreachable"


class UnknownSymbol(FeedError):
    """The venue has no such symbol."""

    default_code = "unknown-symbol"


@dataclass(frozen=True, kw_only=True, slots=True)
class QuoteTick:
    """Prices of one instant. `at` is the venue's time."""

    last: float
    at: datetime
    bid: float | None = None
    ask: float | None = None
    change_24h: float | None = None  # ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a poll brought for one instrument: closed bars of one timeframe, a quote, or an error."""

    instrument: Instrument
    timeframe: str
    side: PriceSide = PriceSide.TRADE
    bars: Bars = field(default_factory=empty_bars)
    quote: QuoteTick | None = None
    error: str = ""


class Feed(Protocol):
    """A source of candles and quotes."""

    name: str

    def poll(self, now: datetime) -> Iterable[Batch]:
        """What is new at `now`. A problem with one instrument is a Batch with `error`, never an exception.

        The generator may call the network between batches: consume it outside transactions.
        """

    def history(
        self, instrument: Instrument, timeframe: str, first_ts: int, last_ts: int, now: datetime
    ) -> Iterable[Bars]:
        """Closed bars opening from `first_ts` to `last_ts` (epoch seconds, both included), in pieces, oldest first.

        Raises FeedError. A feed that has no history yields nothing.
        """

    def forget(self, instrument: Instrument) -> None:
        """Its bars could not be stored: ask the database at the next poll where to go on."""
