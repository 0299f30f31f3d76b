"""The same desk at every venue: make orders of one instrument, move its price, see what the venue has."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from assets.markets.models import Instrument
from assets.trading.brokers.base import Accepted, Broker, OrderRequest
from assets.trading.market import rules_of
from assets.trading.models import Account, Intent, Order
from tradingsite.foundation import clock
from tradingsite.foundation.ids import client_order_id

D = Decimal
_numbers = itertools.count(1)


class Desk(Protocol):
    """What the suite needs of a venue. The instrument trades at 100; lot 0.001, at least 5 in money."""

    broker: Broker
    account: Account
    instrument: Instrument
    now: datetime

    def fill(self, order: Order, quantity: Decimal) -> None:
        """Let the venue execute a part of an order that rests there."""

    def truth(self, what: str, client_id: str) -> int:
        """How often the venue did something ("accepted", "filled", "cancelled") to an order."""


def make(
    desk: Desk, side: str = "buy", quantity: str = "1", limit: str | None = None, **values: Any
) -> Order:
    """An order row as `intents.commit` makes it."""
    now = clock.now()
    key = f"conformance-{next(_numbers)}"
    intent = Intent.objects.create(
        account=desk.account, instrument=desk.instrument, key=key, side=side, quantity=D(quantity),
        order_type="market" if limit is None else "limit", limit_price=None if limit is None else D(limit),
        reference_price=D(100), created_at=now, valid_until=now + timedelta(minutes=5),
    )  # fmt: skip
    return Order.objects.create(
        intent=intent, account=desk.account, instrument=desk.instrument, client_id=client_order_id(key), side=side,
        quantity=D(quantity), filled_quantity=D(0), created_at=now, **values,
    )  # fmt: skip


def request_of(order: Order) -> OrderRequest:
    return OrderRequest(
        client_id=order.client_id, symbol=order.instrument.symbol, side=order.side, quantity=order.quantity,
        limit_price=order.intent.limit_price, reduces=order.intent.reduces, valid_until=order.intent.valid_until,
        rules=rules_of(order.instrument), sent_at=order.sent_at or clock.now(),
    )  # fmt: skip


def place(desk: Desk, **values: Any) -> Order:
    """Place and record, as `send_order` does; fails the test unless accepted."""
    order = make(desk, **values)
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Accepted), answer
    Order.objects.filter(pk=order.pk).update(
        status="accepted", venue_id=answer.venue_id, accepted_at=answer.at, sent_at=clock.now()
    )
    order.refresh_from_db()
    return order
