"""The life of an order at its venue. `send_order` is the only caller of `broker.place` in the whole system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import QuerySet

from assets.trading import agreement, brokers, conf
from assets.trading.brokers.base import Accepted, OrderRequest, Rejected, Unknown
from assets.trading.market import Look, look, rules_of
from assets.trading.models import Account, Order, OrderEvent
from assets.trading.states import IN_DOUBT, ORDER, WORKING
from orchestrator.models import Workflow
from orchestrator.services import control
from tradingsite.foundation import audit, clock, transitions
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
    data are read again; what refuses ends the order as expired with a code. An order that is not new any more
    is returned as it is. `order` and `seen` spare a caller that has just read them a second read. Raises what
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
    try:
        order = _apply(order, "send", sent_at=clock.now())
    except ConcurrentChange:
        # Another process was faster; its answer counts.
        return _get(order_id)
    if clock.monotonic() - checked_at > _RECHECK_AFTER_S:
        # This process was slow or asleep since the check. Nothing has left it yet, so it may still say no.
        current = _get(order.pk)
        if current.status != Order.Status.SENDING:
            # Recovery gave up on it meanwhile.
            return current
        refusal = _refusal(order, None, clock.now())
        if refusal:
            return _apply(order, "withdraw", code=refusal)
        _ask_guard(order, guard, "withdraw")
    crash_here("before_post")
    outcome = _place(order)
    crash_here("after_post")
    return _record(order, outcome)


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
    # Fresh from the database: somebody may have halted the account since the gate.
    rows = Account.objects.filter(pk=order.account_id).values_list("state", "broker", "mode", "reconciled_at")
    account_state, broker, mode, reconciled_at = rows[0]
    if not agreement.is_allowed(broker, mode):
        return "live_not_allowed"
    if account_state == Account.State.HALTED:
        return "account_halted"
    if not agreement.is_current(broker, reconciled_at, at):
        return "not_reconciled"
    if account_state != Account.State.ACTIVE and not order.intent.reduces:
        return "account_reducing"
    # The last of a long batch is sent some time after the look: prices have aged, the market may have closed.
    view = seen if seen is not None and at - now <= conf.LOOK_MAX_AGE else look(order.instrument, at)
    if not view.is_open:
        return "market_closed"
    return "" if view.usable else "data_stale"


def _may_enter(order: Order, state: control.ControlState) -> bool:
    """The switch and the workflow, as they are now: both may have been paused while the run was under way."""
    if not state.entries_allowed:
        return False
    run = order.intent.run
    return run is None or control.workflow_may_enter(run.workflow_id)


def _place(order: Order) -> Accepted | Rejected | Unknown:
    request = OrderRequest(
        client_id=order.client_id,
        symbol=order.instrument.symbol,
        side=order.side,
        quantity=order.quantity,
        limit_price=order.intent.limit_price,
        reduces=order.intent.reduces,
        valid_until=order.intent.valid_until,
        rules=rules_of(order.instrument),
    )
    try:
        return brokers.get(order.account).place(request)
    except Exception as e:
        # Whatever went wrong after the call began, the order may be live: it is recorded as unknown.
        logger.exception("placing order %s ended without an answer", order.client_id)
        return Unknown(reason=f"{type(e).__name__}: {e}"[:200])


def _record(order: Order, outcome: Accepted | Rejected | Unknown) -> Order:
    """Write the venue's answer. A fill that overtook the answer has moved the order already; then that
    stands.
    """
    try:
        if isinstance(outcome, Accepted):
            return _apply(order, "accept", venue_id=outcome.venue_id, accepted_at=outcome.at)
        if isinstance(outcome, Rejected):
            return _apply(order, "reject", code=outcome.code, detail={"message": outcome.message})
        return _apply(order, "lose", code="no_answer", detail={"message": outcome.reason})
    except ConcurrentChange:
        return _get(order.pk)


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
    order = _get(order_id)
    if order.status in IN_DOUBT:
        raise Conflict(
            "It is not known yet whether the venue has this order; recovery is asking.", code="order-in-doubt"
        )
    order = _take_back(order, actor, reason)
    return order if order.status == Order.Status.CANCELLED else finish_cancel(order)


def _take_back(order: Order, actor: Actor, reason: str) -> Order:
    """What we do ourselves, and who wanted it: both are written, or neither."""
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
    """Ask the venue for a pending cancel; what it does not confirm stays pending for recovery."""
    try:
        done = brokers.get(order.account).cancel(order.client_id)
    except Unavailable:
        done = False
    if not done:
        return order
    try:
        return _apply(order, "cancel", code="cancelled")
    except ConcurrentChange:
        # It was filled in between, which is legal.
        return _get(order.pk)


def cancel_entries(*, actor: Actor, now: datetime, reason: str = "", account_id: int | None = None) -> int:
    """Cancel every own order that could still open risk (kill switch). Returns how many were asked for."""
    rows = _entries() if account_id is None else _entries().filter(account_id=account_id)
    return _cancel_all(rows, actor=actor, now=now, reason=reason)


def keep_the_stop(now: datetime) -> int:
    """After a stop, or the halt of an account or workflow, what still rests must not open risk; exits stay.

    Returns how many cancels were asked for. It looks at how things stand, not at what changed: call it every second,
    from as many processes as there are. Raises Unavailable when the switch cannot be read.
    """
    if not control.current().orders_allowed:
        return cancel_entries(actor=audit.system("kill switch"), now=now, reason="stopped")
    actor = audit.system("halt")
    accounts = _entries().filter(account__state=Account.State.HALTED)
    count = _cancel_all(accounts, actor=actor, now=now, reason="account halted")
    halted = Workflow.objects.filter(status__in=(Workflow.Status.HALTED, Workflow.Status.ARCHIVED))
    of_halted = _entries().filter(intent__workflow_slug__in=halted.values("slug"))
    return count + _cancel_all(of_halted, actor=actor, now=now, reason="workflow halted")


def _entries() -> QuerySet[Order]:
    return Order.objects.filter(status__in=("new", "accepted", "partially_filled"), intent__reduces=False)


def _cancel_all(rows: QuerySet[Order], *, actor: Actor, now: datetime, reason: str) -> int:
    count, failure = 0, None
    for pk in list(rows.values_list("pk", flat=True)):
        try:
            cancel(pk, actor=actor, now=now, reason=reason)
            count += 1
        except Conflict:
            # It ended or moved meanwhile.
            continue
        except (DatabaseError, InterfaceError):
            raise
        except Exception as e:  # noqa: BLE001 - one order nobody can cancel must not shield the others; raised below
            failure = failure or e
    if failure is not None:
        raise failure
    return count


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
    """Write what a venue was found to know about an order (recovery only); a cancel nobody here asked for is audited.
    Raises ConcurrentChange.
    """
    with transaction.atomic():
        after = _apply(order, event, code=code, **updates)
        if event == "cancel":
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


def recover(now: datetime) -> RecoveryReport:
    """See `services.recovery.recover`."""
    from assets.trading.services import recovery

    return recovery.recover(now)


def working(account_id: int | None = None) -> list[Order]:
    """Orders at the venue, oldest first."""
    rows = Order.objects.filter(status__in=WORKING).select_related("intent", "account", "instrument")
    return list((rows if account_id is None else rows.filter(account_id=account_id)).order_by("pk"))
