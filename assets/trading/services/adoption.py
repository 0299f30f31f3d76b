"""What a venue knows about one of our orders becomes what we know: its trades, each once, then how it ended there."""

from __future__ import annotations

from decimal import Decimal

from assets.trading.brokers.base import VenueOrder
from assets.trading.models import Order
from assets.trading.services import fills, orders
from assets.trading.states import WORKING
from tradingsite.foundation.errors import ConcurrentChange, Unavailable
from tradingsite.foundation.money import EXACT

_END = {"cancelled": "cancel", "expired": "expire", "rejected": "cancel"}
"""A venue may take an order in and reject it afterwards: for us it has ended without more fills."""


def catch_up(order: Order, found: VenueOrder) -> bool:
    """Book the venue's trades of an order, each once, then how it ended there. True when something was new.

    Raises Unavailable (code trades-incomplete) when the trades told are not all there were: lists of trades lag behind
    orders. What is told is booked; the order stays open here until the rest is told, or it would never be booked.
    """
    before = (order.status, order.filled_quantity)
    for trade in found.trades:
        fills.book(order, trade.trade_id, trade.quantity, trade.price, trade.fee, trade.fee_asset, trade.at)
    _require_all(found)
    order = orders.current(order)
    if found.status in _END and order.status in WORKING:
        asked = order.status == Order.Status.CANCEL_PENDING and found.status == "cancelled"
        try:
            order = orders.settle(
                order, _END[found.status], code="cancelled" if asked else f"{found.status}_at_venue"
            )
        except ConcurrentChange:
            order = orders.current(order)
    return (order.status, order.filled_quantity) != before


def _require_all(found: VenueOrder) -> None:
    told = Decimal(0)
    for trade in found.trades:
        told = EXACT.add(told, trade.quantity)
    # An order that is open may have traded between its own read and that of its trades.
    more = told > found.filled_quantity and found.status != "open"
    if told < found.filled_quantity or more:
        raise Unavailable(
            f"The venue says {found.client_id} filled {found.filled_quantity}, the trades it tells sum to {told}.",
            code="trades-incomplete",
        )
