"""The life of an order at its venue. `send_order` is the only caller of `broker.place` in the whole system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from assets.trading import agreement, brokers, conf
from assets.trading.brokers.base import (
    SEND_WITHIN,
    Accepted,
    Broker,
    OrderRequest,
    PreparingBroker,
    Rejected,
    Unknown,
)
from assets.trading.market import Look, look, rules_of
from assets.trading.models import Account, Order, OrderEvent
from assets.trading.states import IN_DOUBT, ORDER, WORKING
from orchestrator.services import control
from tradingsite.foundation import alerts, audit, clock, transitions
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.crash import crash_here
from tradingsite.foundation.errors import ConcurrentChange, Conflict, DomainError, NotFound, Unavailable

if TYPE_CHECKING:
    from assets.trading.services.recovery import RecoveryReport

logger = logging.getLogger(__name__)

Guarding = Callable[[], None]
_RECHECK_AFTER_S = 0.25


def no_guard() -> None:
    """For callers that act for no run (recovery, a person)."""


def send_order(
    order_id: int, *, guard: Guarding, now: datetime, order: Order | None = None, seen: Look | None = None
) -> Order:
    """Send a new order once and record the answer: accepted, rejected, or unknown. Never call it inside a
    transaction.

    Right before the call the switch, the guard (run epoch), the account, the order's age and the age of the
    data are read again; what refuses ends the order as expired with a code. What may take long (key, budget, client)
    is done before the claim; what is late after it is refused by the venue, or withdrawn. An order that is not new any
    more is returned as it is. `order` and `seen` spare a caller that has just read them a second read. Raises what
    `guard` raises, after closing the order.
    """
    order = order or _get(order_id)
    if order.status != Order.Status.NEW:
        return order
    checked_at = clock.monotonic()
    refusal = _refusal(order, seen, now)
    if refusal:
        return _apply(order, "expire", code=refusal)
    _ask_guard(order, guard, "expire")
    broker = _ready(order)
    if isinstance(broker, Rejected):
        return _apply(order, "expire", code=broker.code, detail={"message": broker.message})
    sent_at, send_before = clock.now(), clock.monotonic() + SEND_WITHIN.total_seconds()
    try:
        order = _apply(order, "send", sent_at=sent_at)
    except ConcurrentChange:
        # Another process was faster; its answer counts.
        return _get(order_id)
    if clock.monotonic() - checked_at > _RECHECK_AFTER_S:
        ended = _recheck(order, guard)
        if ended is not None:
            return ended
    crash_here("before_post")
    request = _request(order, sent_at, send_before)
    if request.is_late():
        return _withdraw(order, "too_late")
    outcome = _place(broker, request)
    crash_here("after_post")
    return _record(order, outcome)


def _ready(order: Order) -> Broker | Rejected:
    """The broker with key, budget and client at hand, or why nothing can be sent to it."""
    try:
        broker = brokers.get(order.account)
        refusal = broker.prepare() if isinstance(broker, PreparingBroker) else None
    except DomainError as e:
        return Rejected(code=e.code, message=e.message)
    return broker if refusal is None else refusal


def _recheck(order: Order, guard: Guarding) -> Order | None:
    """This process was slow or asleep since the check. Nothing has left it yet, so it may still say no: then the order
    as it ended.
    """
    current = _get(order.pk)
    if current.status != Order.Status.SENDING:
        # Recovery gave up on it meanwhile.
        return current
    refusal = _refusal(order, None, clock.now())
    if refusal:
        return _withdraw(order, refusal)
    _ask_guard(order, guard, "withdraw")
    return None


def _withdraw(order: Order, code: str) -> Order:
    try:
        return _apply(order, "withdraw", code=code)
    except ConcurrentChange:
        # Recovery gave up on it in this moment.
        return _get(order.pk)


def _get(order_id: int) -> Order:
    order = Order.objects.select_related("intent__run", "account", "instrument").filter(pk=order_id).first()
    if order is None:
        raise NotFound(f"There is no order {order_id}.")
    return order


def _ask_guard(order: Order, guard: Guarding, event: str) -> None:
    try:
        guard()
    except DomainError as e:
        # Our run was taken over: whoever took it decides anew, this order must never leave.
        _apply(order, event, code=e.code)
        raise
    except BaseException:
        _apply(order, event, code="superseded")
        raise


def _refusal(order: Order, seen: Look | None, now: datetime) -> str:
    """Why the order must not leave now; empty when it may. Unreadable counts as stopped."""
    at = max(now, clock.now())
    if at >= order.intent.valid_until or at - order.created_at > conf.NEW_ORDER_MAX_AGE:
        return "too_old"
    try:
        state = control.current()
    except Unavailable as e:
        return e.code
    if not state.orders_allowed:
        return "stopped"
    if not order.intent.reduces and not _may_enter(order, state):
        return "entries_paused"
    refusal = _account_refusal(order, at)
    if refusal:
        return refusal
    # The last of a long batch is sent some time after the look: prices have aged, the market may have closed.
    view = seen if seen is not None and at - now <= conf.LOOK_MAX_AGE else look(order.instrument, at)
    if not view.is_open:
        return "market_closed"
    return "" if view.usable else "data_stale"


def _account_refusal(order: Order, at: datetime) -> str:
    """Fresh from the database: somebody may have halted the account since the gate."""
    names = ("state", "broker", "mode", "asset_type", "reconciled_at", "venue_key__permissions")
    rows = Account.objects.filter(pk=order.account_id).values_list(*names)
    account_state, broker, mode, asset_type, reconciled_at, permissions = rows[0]
    if not agreement.is_allowed(broker, mode, order.account_id, asset_type, at):
        return "live_not_allowed"
    if not agreement.is_key_allowed(permissions):
        return "key_can_withdraw"
    if account_state == Account.State.HALTED:
        return "account_halted"
    if not agreement.is_current(broker, reconciled_at, at):
        return "not_reconciled"
    return "account_reducing" if account_state != Account.State.ACTIVE and not order.intent.reduces else ""


def _may_enter(order: Order, state: control.ControlState) -> bool:
    """The switch and the workflow, as they are now: both may have been paused while the run was under way."""
    if not state.entries_allowed:
        return False
    run = order.intent.run
    return run is None or control.workflow_may_enter(run.workflow_id)


def _request(order: Order, sent_at: datetime, send_before: float) -> OrderRequest:
    return OrderRequest(
        client_id=order.client_id,
        symbol=order.instrument.symbol,
        side=order.side,
        quantity=order.quantity,
        limit_price=order.intent.limit_price,
        reduces=order.intent.reduces,
        valid_until=order.intent.valid_until,
        rules=rules_of(order.instrument),
        sent_at=sent_at,
        send_before=send_before,
    )


def _place(broker: Broker, request: OrderRequest) -> Accepted | Rejected | Unknown:
    try:
        return broker.place(request)
    except Exception as e:
        # Whatever went wrong after the call began, the order may be live: it is recorded as unknown.
        logger.exception("placing order %s ended without an answer", request.client_id)
        return Unknown(reason=f"{type(e).__name__}: {e}"[:200])


def _record(order: Order, outcome: Accepted | Rejected | Unknown) -> Order:
    """Write the venue's answer. A fill that overtook the answer has moved the order already; then that
    stands. An order that has ended here and was accepted there is told and taken back.
    """
    try:
        if isinstance(outcome, Accepted):
            return _apply(order, "accept", venue_id=outcome.venue_id, accepted_at=outcome.at)
        if isinstance(outcome, Rejected):
            return _apply(order, "reject", code=outcome.code, detail={"message": outcome.message})
        return _apply(order, "lose", code="no_answer", detail={"message": outcome.reason})
    except ConcurrentChange:
        current = _get(order.pk)
    if not isinstance(outcome, Accepted) or current.venue_id == outcome.venue_id:
        return current
    if not ORDER.allows(current.status, "reappear"):
        return current
    return finish_cancel(reappear(current, venue_id=outcome.venue_id, accepted_at=outcome.at))


def reappear(order: Order, *, venue_id: str, accepted_at: datetime) -> Order:
    """An order that has ended here lives at its venue: told, and pending until it is taken back and what it did is
    booked. Somebody decided anew meanwhile, so it must not go on. Raises ConcurrentChange, IllegalTransition.
    """
    before = order.status
    with transaction.atomic():
        order = _apply(
            order, "reappear", code="came_back", venue_id=venue_id, accepted_at=accepted_at, finished_at=None
        )
        audit.record(
            action="order.cancel", actor=audit.system("recovery"), object_type="order", object_id=str(order.pk),
            before={"status": before}, after={"status": order.status}, reason="it lives at the venue, it had ended here",
        )  # fmt: skip
        alerts.raise_alert(
            key=f"order-came-back:{order.pk}", code="order-came-back", severity="critical", now=clock.now(),
            subject=order.instrument.symbol, params={"order": order.client_id, "was": str(before)},
        )  # fmt: skip
    return order


_ENDS = frozenset({"deny", "reject", "expire", "withdraw", "cancel"})


def _apply(
    order: Order,
    event: str,
    *,
    code: str = "",
    detail: dict[str, Any] | None = None,
    note: dict[str, Any] | None = None,
    **updates: Any,
) -> Order:
    """One transition with its event row; relations already read stay attached. `note` is for the event row only."""
    at = clock.now()
    if code:
        updates |= {"status_code": code[:64], "status_detail": detail or {}}
    if event in _ENDS:
        updates["finished_at"] = at
    after = transitions.apply(
        order, event, machine=ORDER, now=at, event_model=OrderEvent, updates=updates,
        detail={**({"code": code, **(detail or {})} if code else {}), **(note or {})},
    )  # fmt: skip
    after.intent, after.account, after.instrument = order.intent, order.account, order.instrument
    return after


# --- Cancelling
# -----------------------------------------------------------------------------------------------


def cancel(order_id: int, *, actor: Actor, now: datetime, reason: str = "") -> Order:
    """Take an order back, audited. Cancels always pass: no switch is asked.

    Returns it cancelled, or cancel_pending when the venue answers later. Raises Conflict while it is in doubt
    and IllegalTransition when it has ended.
    """
    order = request_cancel(order_id, actor=actor, reason=reason)
    return order if order.status == Order.Status.CANCELLED else finish_cancel(order)


def request_cancel(order_id: int, *, actor: Actor, reason: str = "") -> Order:
    """What we do ourselves, and who wanted it: both are written, or neither. No venue is asked; see `finish_cancel`.

    Raises as `cancel` does.
    """
    order = _get(order_id)
    if order.status in IN_DOUBT:
        raise Conflict(
            "It is not known yet whether the venue has this order; recovery is asking.", code="order-in-doubt"
        )
    before = order.status
    note = {"actor": actor.name, "reason": reason}
    with transaction.atomic():
        if before == Order.Status.NEW:
            order = _apply(order, "cancel", code="cancelled", note=note)
        elif before != Order.Status.CANCEL_PENDING:
            order = _apply(order, "request_cancel", note=note)
        audit.record(
            action="order.cancel", actor=actor, object_type="order", object_id=str(order.pk),
            before={"status": before}, after={"status": order.status}, reason=reason,
        )  # fmt: skip
    return order


def finish_cancel(order: Order) -> Order:
    """Ask the venue for a pending cancel; what it does not confirm stays pending for recovery.

    At a venue with a book of its own the order ends only after its trades were told: what filled before the cancel is
    booked, or it would be lost.
    """
    from assets.trading.services import adoption

    try:
        broker = brokers.get(order.account)
        done = broker.cancel(order.client_id)
        if not broker.capabilities.own_book:
            found = broker.fetch_order(order.client_id)
            if found is not None:
                adoption.catch_up(order, found)
            return _get(order.pk)
        return _apply(order, "cancel", code="cancelled") if done else order
    except ConcurrentChange:
        # It was filled in between, which is legal.
        return _get(order.pk)
    except DomainError as e:
        # No answer, or nobody to ask (no key): it stays pending, and shields no other order.
        logger.info("order %s stays pending: %s", order.client_id, e)
        return _get(order.pk)


def expire(order: Order, code: str) -> Order:
    """Close an order that is not (any more) at a venue. Raises ConcurrentChange."""
    return _apply(order, "expire", code=code)


def abandon(made: Iterable[Order], error: BaseException) -> None:
    """Expire those of a run's new orders that it has not sent, because `error` ended it."""
    code = error.code if isinstance(error, DomainError) else "superseded"
    for order in made:
        try:
            _apply(order, "expire", code=code)
        except ConcurrentChange:
            # Sent, or closed, before the run was ended.
            continue


def current(order: Order) -> Order:
    """The order as it is stored now."""
    return _get(order.pk)


def settle(order: Order, event: str, *, code: str = "", **updates: Any) -> Order:
    """Write what a venue was found to know about an order; a cancel nobody here asked for is audited.
    Raises ConcurrentChange.
    """
    with transaction.atomic():
        after = _apply(order, event, code=code, **updates)
        if event == "cancel" and order.status != Order.Status.CANCEL_PENDING:
            audit.record(
                action="order.cancelled_at_venue", actor=audit.system("recovery"), object_type="order",
                object_id=str(order.pk), before={"status": order.status}, after={"status": after.status}, reason=code,
            )  # fmt: skip
    return after


def count_miss(order: Order) -> int:
    """Remember one more "not found" of an order in doubt; how many there are now."""
    misses = int(order.status_detail.get("misses", 0)) + 1
    detail = {**order.status_detail, "misses": misses}
    Order.objects.filter(pk=order.pk, status=order.status).update(status_detail=detail)
    return misses


def recover(now: datetime, *, paper: bool | None = None) -> RecoveryReport:
    """See `services.recovery.recover`."""
    from assets.trading.services import recovery

    return recovery.recover(now, paper=paper)


def working(account_id: int | None = None) -> list[Order]:
    """Orders at the venue, oldest first."""
    rows = Order.objects.filter(status__in=WORKING).select_related("intent", "account", "instrument")
    return list((rows if account_id is None else rows.filter(account_id=account_id)).order_by("pk"))
