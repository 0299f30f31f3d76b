"""The port to a venue. One rule above all: a timeout is not a failure, so `place` answers in three ways and
never retries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol, runtime_checkable

from assets.quant.fills import VenueRules, floor_to
from tradingsite.foundation import clock

SEND_WITHIN: Final = timedelta(seconds=5)
"""From the claim of an order to its first byte on the line; later it must not leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """What a venue is asked. `client_id` is the same on every attempt for one intent; `rules` are the filters
    we know.

    `sent_at` is when the order was claimed: recovery counts the quarantine from it. A venue that refuses stale requests
    must be told this time and no later one. `send_before` is the same bound on our monotonic clock, in seconds.
    """

    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None  # None: market
    reduces: bool
    valid_until: datetime
    rules: VenueRules
    sent_at: datetime
    send_before: float = math.inf

    def is_late(self) -> bool:
        """Whether it must not leave any more. A broker of a venue that takes requests of any age asks right before it
        writes, and answers Rejected with the code "too_late": what never left is proven not to be there.
        """
        # A machine that sleeps stops the one clock, somebody who sets it the other.
        return clock.monotonic() > self.send_before or clock.now() - self.sent_at > SEND_WITHIN


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


@runtime_checkable
class PreparingBroker(Protocol):
    """A broker that has work to do before an order is claimed: what may wait must not stand between claim and call."""

    def prepare(self) -> Rejected | None:
        """Take what one order costs from the budget and make the client ready; a refusal when nothing may leave."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Permissions:
    """What a key may do, as the venue says. An unclear answer about withdrawals counts as yes."""

    can_read: bool
    can_trade: bool
    can_withdraw: bool
    is_ip_restricted: bool


@runtime_checkable
class KeyedBroker(Protocol):
    """A broker that is reached with an API key. Both ask the venue and raise Unavailable without a clear answer."""

    def permissions(self) -> Permissions:
        """What the key may do."""
        ...

    def clock_offset(self) -> timedelta:
        """The venue's clock minus ours, measured against the middle of the call."""
        ...


def filter_failure(request: OrderRequest) -> str:
    """The filter a request breaks, as a venue names it; empty when it passes."""
    rules = request.rules
    if request.quantity <= 0 or floor_to(request.quantity, rules.lot_step) != request.quantity:
        return "filter_lot_step"
    if request.quantity < rules.min_quantity:
        return "filter_min_quantity"
    limit = request.limit_price
    if limit is not None and (limit <= 0 or floor_to(limit, rules.tick_size) != limit):
        return "filter_tick_size"
    return ""
