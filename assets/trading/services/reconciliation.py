"""What the venue says against what we have: orders, their trades, balances. Our books follow the venue, never the reverse.

A pass asks the venue first, outside any transaction. No answer proves nothing: the account then simply is not reconciled,
and an account that is not reconciled sends nothing. What differs and cannot be explained by trades we had missed becomes a
`Discrepancy`: from then on the account sends nothing until it is gone or a person has explained it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import IntegrityError, transaction

from assets.trading import brokers
from assets.trading.agreement import PAPER
from assets.trading.brokers.base import Broker, VenueOrder
from assets.trading.models import Account, Discrepancy, Fill, Order
from assets.trading.selectors.valuation import cash_balances
from assets.trading.services import fills, orders
from assets.trading.states import IN_DOUBT, WORKING
from tradingsite.foundation import alerts, audit
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import ConcurrentChange, Conflict, NotFound, Unavailable
from tradingsite.foundation.secrets import Undecryptable

QUIET: Final = timedelta(seconds=10)
"""Balances are compared only when nothing was traded for so long: a venue's answers are not one snapshot."""

ZERO: Final = Decimal(0)

Kind = Discrepancy.Kind
Status = Discrepancy.Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Something that differs. `ours` and `theirs` are texts; "-" is nothing."""

    kind: str
    subject: str
    ours: str
    theirs: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileReport:
    """What one pass found. `ok`: the venue answered and nothing differs that is not ignored. `why` is empty or a code."""

    ok: bool
    why: str = ""
    caught_up: int = 0
    differences: tuple[Difference, ...] = field(default_factory=tuple)


def begin() -> int:
    """At the start of the system: nothing is known of any venue until it was asked. Returns how many accounts wait."""
    return Account.objects.exclude(broker=PAPER).update(reconciled_at=None)


def reconcile_all(now: datetime) -> dict[str, ReconcileReport]:
    """One pass over every account at a venue, by name."""
    rows = Account.objects.exclude(broker=PAPER).order_by("pk")
    return {account.name: reconcile(account, now) for account in rows}


def reconcile(account: Account, now: datetime) -> ReconcileReport:
    """One pass over one account; idempotent. Never call it inside a transaction.

    Without an answer, or without a key that opens, nothing changes: what agreed lately counts until it is too old.
    """
    try:
        broker = brokers.get(account)
        theirs = {row.client_id: row for row in broker.open_orders()}
        caught_up, missing = _catch_up_all(account, broker, theirs)
        strangers = _strangers(account, broker, theirs)
        balances = _balances(account, broker, now)
    except (Unavailable, NotFound, Undecryptable) as e:
        return ReconcileReport(ok=False, why=e.code)
    differences = [*missing, *strangers, *(balances or ())]
    blocking = _note(account, differences, now, knows_balances=balances is not None)
    Account.objects.filter(pk=account.pk).update(reconciled_at=None if blocking else now)
    return ReconcileReport(
        ok=not blocking,
        why="" if not blocking else "discrepancy",
        caught_up=caught_up,
        differences=tuple(differences),
    )


# --- Orders -------------------------------------------------------------------------------------------------------


def _catch_up_all(
    account: Account, broker: Broker, theirs: Mapping[str, VenueOrder]
) -> tuple[int, list[Difference]]:
    """Orders that rest at the venue as far as we know: book what we missed. Those in doubt are recovery's business."""
    rows = Order.objects.filter(account=account, status__in=WORKING).select_related(
        "intent", "account", "instrument"
    )
    count, missing = 0, []
    for order in rows.order_by("pk"):
        seen = theirs.get(order.client_id)
        if seen is not None and seen.filled_quantity == order.filled_quantity:
            continue
        found = broker.fetch_order(order.client_id)
        if found is None:
            missing.append(
                Difference(
                    kind=Kind.ORDER_MISSING, subject=order.client_id, ours=str(order.status), theirs="-"
                )
            )
            continue
        count += catch_up(order, found)
    return count, missing


def catch_up(order: Order, found: VenueOrder) -> bool:
    """Book the venue's trades of an order, each once, then how it ended there. True when something was new."""
    before = (order.status, order.filled_quantity)
    for trade in found.trades:
        fills.book(order, trade.trade_id, trade.quantity, trade.price, trade.fee, trade.fee_asset, trade.at)
    order = orders.current(order)
    if found.status in ("cancelled", "expired") and order.status in WORKING:
        event = "cancel" if found.status == "cancelled" else "expire"
        try:
            order = orders.settle(order, event, code=f"{found.status}_at_venue")
        except ConcurrentChange:
            order = orders.current(order)
    return (order.status, order.filled_quantity) != before


def _strangers(account: Account, broker: Broker, theirs: Mapping[str, VenueOrder]) -> list[Difference]:
    """Orders that are open at the venue and not with us: never ours, or ended here while they live there."""
    known = {
        row.client_id: row
        for row in Order.objects.filter(account=account, client_id__in=list(theirs)).select_related(
            "intent", "account", "instrument"
        )
    }
    found = []
    for client_id, row in theirs.items():
        order = known.get(client_id)
        if order is None:
            found.append(Difference(kind=Kind.FOREIGN_ORDER, subject=client_id, ours="-", theirs=_told(row)))
        elif order.status not in (*WORKING, *IN_DOUBT):
            # It arrived after we had given it up. It must not open anything any more: take it back, book what it did.
            broker.cancel(client_id)
            late = broker.fetch_order(client_id)
            if late is not None:
                catch_up(order, late)
            if late is None or late.status == "open":
                found.append(
                    Difference(
                        kind=Kind.ZOMBIE_ORDER, subject=client_id, ours=str(order.status), theirs=_told(row)
                    )
                )
    return found


def _told(row: VenueOrder) -> str:
    return f"{row.symbol} {row.filled_quantity}/{row.quantity} {row.status}"


# --- Balances -----------------------------------------------------------------------------------------------------


def _balances(account: Account, broker: Broker, now: datetime) -> list[Difference] | None:
    """Assets whose amounts differ; None when they could not be compared: something moved lately, or moves right now.

    The venue gives no snapshot of orders and balances together, so the orders are read on both sides of the balances.
    """
    before = _open_amounts(broker)
    held = broker.balances()
    if _open_amounts(broker) != before:
        return None
    resting = Order.objects.filter(account=account, status__in=(*WORKING, *IN_DOUBT))
    if resting.exclude(client_id__in=before, status__in=WORKING).exists():
        return None  # sent since the pass began, or in doubt: what it did may be in the balances and not yet with us
    if Fill.objects.filter(account=account, booked_at__gt=now - QUIET).exists():
        return None
    ours = cash_balances(account.pk)
    pairs = (
        (asset, ours.get(asset, ZERO), held.get(asset, ZERO)) for asset in sorted(ours.keys() | held.keys())
    )
    return [
        Difference(kind=Kind.BALANCE, subject=asset, ours=str(mine), theirs=str(venue))
        for asset, mine, venue in pairs
        if mine != venue
    ]


def _open_amounts(broker: Broker) -> dict[str, Decimal]:
    return {row.client_id: row.filled_quantity for row in broker.open_orders()}


# --- The inbox ----------------------------------------------------------------------------------------------------


def _note(
    account: Account, differences: Iterable[Difference], now: datetime, *, knows_balances: bool
) -> list[Difference]:
    """Keep the inbox in step with what differs now; returns what blocks (all that no person chose to ignore).

    Balances that were not compared stay as they were: not looking is not finding them equal.
    """
    rows = {
        (row.kind, row.subject): row
        for row in Discrepancy.objects.filter(account=account).exclude(status=Status.RESOLVED)
    }
    blocking = []
    for item in differences:
        row = rows.pop((item.kind, item.subject), None)
        if row is None:
            _open(account, item, now)
            blocking.append(item)
            continue
        # Whoever ignored it ignored this very difference: another amount is another matter.
        changed = (row.ours, row.theirs) != (item.ours, item.theirs)
        status = Status.OPEN if changed else row.status
        Discrepancy.objects.filter(pk=row.pk).update(
            ours=item.ours, theirs=item.theirs, last_seen_at=now, status=status
        )
        if status == Status.OPEN:
            blocking.append(item)
    kept = [] if knows_balances else [row for row in rows.values() if row.kind == Kind.BALANCE]
    blocking += [
        Difference(kind=row.kind, subject=row.subject, ours=row.ours, theirs=row.theirs)
        for row in kept
        if row.status == Status.OPEN
    ]
    gone = [row.pk for row in rows.values() if row not in kept]
    Discrepancy.objects.filter(pk__in=gone).update(status=Status.RESOLVED, resolved_at=now, resolution="gone")
    _tell(account, blocking, now)
    return blocking


def _open(account: Account, item: Difference, now: datetime) -> None:
    try:
        with transaction.atomic():
            Discrepancy.objects.create(
                account=account, kind=item.kind, subject=item.subject, ours=item.ours, theirs=item.theirs,
                first_seen_at=now, last_seen_at=now,
            )  # fmt: skip
    except IntegrityError:
        # Another process saw it in the same moment.
        return


def _tell(account: Account, blocking: list[Difference], now: datetime) -> None:
    key = f"discrepancy:{account.pk}"
    if not blocking:
        alerts.resolve_alert(key, now)
        return
    first = blocking[0]
    alerts.raise_alert(
        key=key, code="books-differ", severity="critical", subject=account.name, now=now,
        params={"count": len(blocking), "kind": first.kind, "what": first.subject, "ours": first.ours, "theirs": first.theirs},
    )  # fmt: skip


def ignore(pk: int, *, actor: Actor, now: datetime, reason: str) -> Discrepancy:
    """A person has looked at it and knows why: as long as it stays as it is, it does not block. Needs a reason."""
    row = Discrepancy.objects.filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no discrepancy {pk}.")
    if not reason.strip():
        raise Conflict("Say why this may be ignored; it goes into the audit log.", code="reason-needed")
    with transaction.atomic():
        changed = Discrepancy.objects.filter(
            pk=pk, status=Status.OPEN, ours=row.ours, theirs=row.theirs
        ).update(status=Status.IGNORED, resolution=reason.strip()[:200])
        if not changed:
            raise Conflict("It has changed meanwhile; look again.", code="changed")
        audit.record(
            action="discrepancy.ignore", actor=actor, object_type="discrepancy", object_id=str(pk),
            before={"ours": row.ours, "theirs": row.theirs}, after={"status": Status.IGNORED}, reason=reason.strip(),
        )  # fmt: skip
    row.refresh_from_db()
    return row
