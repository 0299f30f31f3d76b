"""Invariants that need a venue's word. It is asked before the database's snapshot opens: nobody waits for a venue inside, and
asking writes (budgets) what a snapshot must not.

Between the answer and the snapshot life goes on. What was booked since, and what the venue did just now and nobody could
have booked yet, is no contradiction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from assets.trading import brokers
from assets.trading.brokers.base import Broker, VenueOrder
from assets.trading.models import Account, Fill, Order, Position
from assets.trading.states import FINISHED, IN_DOUBT, WORKING
from tradingsite.foundation import clock
from tradingsite.foundation.errors import DomainError
from tradingsite.foundation.invariants import Check

ZERO: Final = Decimal(0)
_SETTLED: Final = timedelta(seconds=60)
_JUST_NOW: Final = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What one venue said. `failed` is a sentence instead. `ended`: of our orders it no longer lists, when each last traded."""

    account: Account
    asked_at: datetime
    failed: str = ""
    listed: Mapping[str, VenueOrder] = field(default_factory=dict)
    ended: Mapping[str, datetime | None] = field(default_factory=dict)
    held: Mapping[str, Decimal] | None = None  # None: something moved while it was asked


def ask_for_orders(now: datetime) -> Check:
    """No order with our prefix rests at a venue without being ours and open here; none of ours is finished there."""
    told = [_orders_of(account, now) for account in Account.objects.exclude(broker="paper")]

    def check(now: datetime) -> list[str]:
        return [
            line for item in told for line in ([item.failed] if item.failed else _judge_orders(item, now))
        ]

    return check


def ask_for_holdings(now: datetime) -> Check:
    """A position equals the venue's holding within one lot where the venue has its own book."""
    told = [_holdings_of(account) for account in Account.objects.exclude(broker="paper")]

    def check(now: datetime) -> list[str]:
        return [line for item in told for line in ([item.failed] if item.failed else _judge_holdings(item))]

    return check


# --- Asking -------------------------------------------------------------------------------------------------------


def _orders_of(account: Account, now: datetime) -> _Told:
    asked_at = clock.now()
    try:
        broker = brokers.get(account)
        listed = {order.client_id: order for order in broker.open_orders()}
        ended = {client_id: _last_trade(broker, client_id) for client_id in _gone(account, listed, now)}
    except DomainError as e:
        failed = f"The venue of {account.name} does not answer, its orders are not known ({e.code})."
        return _Told(account=account, asked_at=asked_at, failed=failed)
    return _Told(account=account, asked_at=asked_at, listed=listed, ended=ended)


def _gone(account: Account, listed: Mapping[str, VenueOrder], now: datetime) -> list[str]:
    rows = Order.objects.filter(account=account, status__in=WORKING, accepted_at__lt=now - _SETTLED)
    return [pk for pk in rows.values_list("client_id", flat=True) if pk not in listed]


def _last_trade(broker: Broker, client_id: str) -> datetime | None:
    found = broker.fetch_order(client_id)
    return max((trade.at for trade in found.trades), default=None) if found is not None else None


def _holdings_of(account: Account) -> _Told:
    asked_at = clock.now()
    try:
        broker = brokers.get(account)
        # The venue gives no snapshot of both: what moved between the two lists may be in the balances or not.
        before = {order.client_id: order for order in broker.open_orders()}
        held = broker.balances()
        after = {order.client_id: order for order in broker.open_orders()}
    except DomainError as e:
        # A failed query is not "flat": it proves nothing either way.
        failed = f"The venue of {account.name} does not answer, its holdings are not known ({e.code})."
        return _Told(account=account, asked_at=asked_at, failed=failed)
    return _Told(account=account, asked_at=asked_at, listed=after, held=held if before == after else None)


# --- Judging, inside the snapshot ---------------------------------------------------------------------------------


def _judge_orders(told: _Told, now: datetime) -> list[str]:
    name = told.account.name
    ours = [client_id for client_id in told.listed if client_id.startswith("ts")]
    rows = Order.objects.filter(account=told.account, client_id__in=ours)
    local = {row.client_id: row for row in rows}
    found = []
    for client_id in ours:
        order = local.get(client_id)
        if order is None:
            found.append(f"Order {client_id} rests at the venue of {name} and is unknown here.")
        elif order.status in FINISHED and not (
            order.finished_at and order.finished_at > told.asked_at - _JUST_NOW
        ):
            found.append(f"Order {client_id} rests at the venue of {name} but is {order.status} here.")
    gone = Order.objects.filter(account=told.account, status__in=WORKING, client_id__in=list(told.ended))
    for client_id in gone.values_list("client_id", flat=True):
        traded_at = told.ended[client_id]
        if traded_at is None or traded_at < told.asked_at - _SETTLED:
            found.append(f"Order {client_id} works here but rests no longer at the venue of {name}.")
    return found


def _judge_holdings(told: _Told) -> list[str]:
    if told.held is None or _moves(told):
        return []
    rows = Position.objects.filter(account=told.account).select_related("instrument")
    return [
        f"{p.instrument.symbol} of {told.account.name} is {p.quantity} here and {there} there."
        for p in rows
        if abs((there := told.held.get(p.instrument.base, ZERO)) - p.quantity) > p.instrument.lot_step
    ]


def _moves(told: _Told) -> bool:
    """Whether something was booked around the time of asking, or happened at the venue and is not booked yet."""
    mine = {"account": told.account}
    if Fill.objects.filter(**mine, booked_at__gt=told.asked_at - _JUST_NOW).exists():
        return True
    for order in Order.objects.filter(**mine, status__in=(*WORKING, *IN_DOUBT)):
        there = told.listed.get(order.client_id)
        if order.status in IN_DOUBT or there is None or there.filled_quantity != order.filled_quantity:
            return True
    return False
