"""Start-up and recovery are the same code: every order that is neither finished nor resting at the venue gets
an answer.

A new order of a crashed run may still be sent if it is young and the price has not moved. An order that may
have been sent is looked up by its client id, but only after the quarantine in which a late request could
still arrive; it is adopted when found and expires when the venue proves it never had it. It is never sent a
second time: a later decision makes a new one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from assets.trading import brokers, conf
from assets.trading.agreement import PAPER
from assets.trading.brokers.base import Broker, VenueOrder
from assets.trading.market import look
from assets.trading.models import Order
from assets.trading.services import adoption, orders
from assets.trading.states import IN_DOUBT
from orchestrator.models import Workflow
from orchestrator.services import control
from tradingsite.foundation import alerts, audit, clock
from tradingsite.foundation.errors import ConcurrentChange, DomainError, Locked, Unavailable

logger = logging.getLogger(__name__)

_GRACE = timedelta(seconds=10)
"""A younger new order is in the hands of a live worker."""

_MISSES_NEEDED = 2
"""Lookups at a real venue may lag; one "not found" proves nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveryReport:
    """What one pass did. `open` is what is still in doubt."""

    sent: int = 0
    expired: int = 0
    adopted: int = 0
    cancelled: int = 0
    open: int = 0


def recover(now: datetime, *, grace: timedelta = _GRACE, paper: bool | None = None) -> RecoveryReport:
    """One pass over unfinished business; call it at start and every few seconds. Two processes may call it at
    once. `paper`: only what is at the paper venue (no call waits for anybody), or only the rest.

    An order that cannot be helped (no answer, no key) stays open and keeps no other from its turn.
    """
    unfinished = Q(status__in=("new", *IN_DOUBT, "cancel_pending"))
    # Paper orders end with the last bar that may fill them; at a venue nobody ends them but us.
    overdue = Q(status__in=("accepted", "partially_filled"), intent__valid_until__lte=now)
    found = Order.objects.filter(unfinished | (overdue & ~Q(account__broker=PAPER)))
    if paper is not None:
        found = found.filter(Q(account__broker=PAPER) if paper else ~Q(account__broker=PAPER))
    rows = list(found.select_related("intent", "account", "instrument").order_by("pk"))
    counts = {"sent": 0, "expired": 0, "adopted": 0, "cancelled": 0, "open": 0}
    for order in rows:
        try:
            word = _recover_one(order, now, grace)
        except ConcurrentChange:
            # Somebody else resolved it between our read and our write.
            continue
        except DomainError as e:
            word = _cannot(order, now, e)
        if word:
            counts[word] += 1
    return RecoveryReport(**counts)


def _recover_one(order: Order, now: datetime, grace: timedelta) -> str:
    if order.status == Order.Status.NEW:
        return _resume_new(order, now, grace)
    if order.status == Order.Status.CANCEL_PENDING:
        return _cancelled(orders.finish_cancel(order))
    if order.status in IN_DOUBT:
        return _resolve(order, now)
    after = orders.cancel(order.pk, actor=audit.system("validity"), now=now, reason="validity over")
    return _cancelled(after)


def _cannot(order: Order, now: datetime, error: DomainError) -> str:
    """Nothing could be done for this one; an order in doubt is told about when that lasts."""
    logger.info("order %s stays as it is: %s", order.client_id, error)
    current = orders.current(order)
    if current.status in IN_DOUBT:
        return _still_open(current, now, current.sent_at or current.created_at, error.code)
    return "open"


def _resume_new(order: Order, now: datetime, grace: timedelta) -> str:
    if now - order.created_at < grace:
        return ""
    view = look(order.instrument, now)
    reference = order.intent.reference_price
    moved = view.price is None or abs(view.price - reference) > conf.RESEND_BAND_RATIO * reference
    if moved:
        orders.expire(order, "price_moved")
        return "expired"
    try:
        after = orders.send_order(order.pk, guard=_guard_of(order), now=now, order=order, seen=view)
    except Locked:
        # Its workflow was halted, or its entries were paused; the order is closed.
        return "expired"
    return "expired" if after.status == Order.Status.EXPIRED else "sent"


def _guard_of(order: Order) -> orders.Guarding:
    """Its run is gone, but the workflow's standing still counts. An order made by hand has none."""
    pk = Workflow.objects.filter(slug=order.intent.workflow_slug).values_list("pk", flat=True).first()
    if pk is None:
        return orders.no_guard
    may = control.require_orders_allowed if order.intent.reduces else control.require_entries_allowed

    def guard() -> None:
        may(pk)

    return guard


def _cancelled(after: Order) -> str:
    return "cancelled" if after.status == Order.Status.CANCELLED else ""


def _resolve(order: Order, now: datetime) -> str:
    """Sending or unknown: ask the venue, once the quarantine is over."""
    broker = brokers.get(order.account)
    since = order.sent_at or order.created_at
    if now - since < broker.capabilities.quarantine:
        return "open"
    try:
        found = broker.fetch_order(order.client_id) if broker.capabilities.supports_lookup else None
    except Unavailable:
        return _still_open(order, now, since, "venue_silent")
    if found is not None:
        return _adopt(order, found)
    if not broker.capabilities.supports_lookup:
        return _still_open(order, now, since, "no_lookup")
    if not _proven_absent(order, broker):
        return _still_open(order, now, since, "not_found_once")
    orders.expire(order, "not_at_venue")
    alerts.resolve_alert(_alert_key(order), now)
    return "expired"


def _proven_absent(order: Order, broker: Broker) -> bool:
    if broker.capabilities.own_book:
        return True
    if not broker.capabilities.refuses_stale:
        # The request may still arrive whenever it likes: only a person (or the venue's history) can close
        # this.
        return False
    try:
        listed = any(found.client_id == order.client_id for found in broker.open_orders())
    except Unavailable:
        return False
    return not listed and orders.count_miss(order) >= _MISSES_NEEDED


def _adopt(order: Order, found: VenueOrder) -> str:
    """Take over what the venue has: the acceptance, then every trade, once each, then how it ended. When it does not tell
    all trades yet, the order works from now on and the rest is reconciliation's.
    """
    if found.status == "rejected" and not found.filled_quantity:
        orders.settle(order, "reject", code="rejected_at_venue")
    else:
        order = orders.settle(order, "accept", venue_id=found.venue_id, accepted_at=found.accepted_at)
    alerts.resolve_alert(_alert_key(order), clock.now())
    adoption.catch_up(order, found)
    return "adopted"


def _still_open(order: Order, now: datetime, since: datetime, why: str) -> str:
    if now - since >= conf.UNKNOWN_ALERT_AFTER:
        alerts.raise_alert(
            key=_alert_key(order), code="order-in-doubt", severity="critical", subject=order.instrument.symbol,
            params={"order": order.client_id, "why": why}, now=now,
        )  # fmt: skip
    return "open"


def _alert_key(order: Order) -> str:
    return f"order-in-doubt:{order.pk}"
