"""The port to a venue. One rule above all: a timeout is not a failure, so `place` answers in three ways and
never retries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from assets.quant.fills import VenueRules


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """What a venue is asked. `client_id` is the same on every attempt for one intent; `rules` are the filters
    we know.
    """

    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None  # None: market
    reduces: bool
    valid_until: datetime
    rules: VenueRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The venue has it."""

    venue_id: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The venue does not have it and never will, proven by a code on this broker's whitelist."""

    code: str
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """Everything else: timeout, cut connection, 5xx, unreadable answer. The order may be live."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueTrade:
    """One execution as the venue reports it."""

    trade_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueOrder:
    """An order as the venue reports it. `status`: open, filled, cancelled, rejected or expired. Trades: oldest first."""

    client_id: str
    venue_id: str
    symbol: str
    status: str
    quantity: Decimal
    filled_quantity: Decimal
    accepted_at: datetime
    trades: tuple[VenueTrade, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """Pure facts about a venue.

    `quarantine` is how long a sent request may still arrive: only after it "not found" proves anything.
    `refuses_stale` says the venue itself refuses requests older than that; without it nothing is ever resent.
    `own_book` says our order rows are the venue's book (paper), so `balances` has no truth besides the
    ledger.
    """

    order_types: frozenset[str]
    supports_lookup: bool
    refuses_stale: bool
    quarantine: timedelta
    max_client_id: int
    own_book: bool = False


class Broker(Protocol):
    """One venue account. Raises `foundation.errors.Unavailable` from reads that got no answer: never take it
    for "nothing".
    """

    capabilities: Capabilities

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        """Send once. Never raises for what the network does; never retries."""
        ...

    def cancel(self, client_id: str) -> bool:
        """Ask for a cancel. True: cancelled now; False: the answer will come with the next `fetch_order`."""
        ...

    def fetch_order(self, client_id: str) -> VenueOrder | None:
        """The order as the venue has it; None only when the venue answered that it has none."""
        ...

    def open_orders(self) -> tuple[VenueOrder, ...]:
        """All orders of this account that may still fill."""
        ...

    def balances(self) -> dict[str, Decimal]:
        """Holdings per asset, zeros left out."""
        ...
