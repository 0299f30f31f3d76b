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

from django.db import DatabaseError, IntegrityError, InterfaceError, transaction
from django.db.models import F

from assets.trading import agreement, brokers
from assets.trading.agreement import PAPER
from assets.trading.brokers.base import Broker, VenueOrder
from assets.trading.models import Account, Discrepancy, Fill, Order
from assets.trading.selectors.valuation import cash_balances
from assets.trading.services import live_gate, orders
from assets.trading.services.adoption import catch_up
from assets.trading.states import IN_DOUBT, ORDER, WORKING
from tradingsite.foundation import alerts, audit, clock
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import ConcurrentChange, Conflict, DomainError, NotFound

QUIET: Final = timedelta(seconds=10)
"""Balances are compared only when nothing was traded for so long: a venue's answers are not one snapshot."""

BALANCES_MAX_AGE: Final = timedelta(minutes=10)
"""Orders that agree prove nothing about money: so long after balances were last compared, books no longer agree."""

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
    """At the start of the system: nothing is known of any venue until it was asked. Returns how many accounts wait.

    A pass that is under way began before it and proves nothing any more.
    """
    return Account.objects.exclude(broker=PAPER).update(
        reconciled_at=None, balances_compared_at=None, reconcile_pass=F("reconcile_pass") + 1
    )


def reconcile_all(now: datetime) -> dict[str, ReconcileReport]:
    """One pass over every account at a venue, by name. What goes wrong with one keeps no other from its turn."""
    live_gate.review(now)
    reports: dict[str, ReconcileReport] = {}
    failure: Exception | None = None
    for account in Account.objects.exclude(broker=PAPER).order_by("pk"):
        try:
            reports[account.name] = reconcile(account, now)
        except (DatabaseError, InterfaceError):
            raise
        except Exception as e:  # noqa: BLE001 - a bug in one broker must not stop the others; raised below
            failure = failure or e
    if failure is not None:
        raise failure
    return reports


def reconcile(account: Account, now: datetime) -> ReconcileReport:
    """One pass over one account; idempotent. Never call it inside a transaction.

    Without an answer, or without a key that opens, nothing changes: what agreed lately counts until it is too old.
    Of two passes at once the one that began last says what holds; the other is "overtaken".
    """
    number = _begin_pass(account)
    report = _pass(account, number, now)
    _say_whether_current(account, report, now)
    return report


def _begin_pass(account: Account) -> int:
    mine = Account.objects.filter(pk=account.pk)
    with transaction.atomic():
        mine.update(reconcile_pass=F("reconcile_pass") + 1)
        return mine.values_list("reconcile_pass", flat=True)[0]


def _pass(account: Account, number: int, now: datetime) -> ReconcileReport:
    try:
        broker = brokers.get(account)
        listed_at = clock.now()
        theirs = {row.client_id: row for row in broker.open_orders()}
        caught_up, missing = _catch_up_all(account, broker, theirs)
        came_back, strangers = _strangers(account, broker, theirs, listed_at)
        balances = _balances(account, broker, now)
    except DomainError as e:
        return ReconcileReport(ok=False, why=e.code)
    differences = [*missing, *strangers, *(balances or ())]
    why = _conclude(account, number, differences, now, knows_balances=balances is not None)
    return ReconcileReport(
        ok=not why, why=why, caught_up=caught_up + came_back, differences=tuple(differences)
    )


def _conclude(
    account: Account, number: int, differences: list[Difference], now: datetime, *, knows_balances: bool
) -> str:
    """Write what a pass found, unless a newer one has begun. Returns why the books do not agree; empty when they do."""
    mine = Account.objects.filter(pk=account.pk, reconcile_pass=number)
    with transaction.atomic():
        # The UPDATE takes the row's lock: whoever begins now waits until all of this is written.
        if not mine.update(
            **({"balances_compared_at": now} if knows_balances else {"reconcile_pass": number})
        ):
            return "overtaken"
        blocking = _note(account, differences, now, knows_balances=knows_balances)
        compared_at = mine.values_list("balances_compared_at", flat=True)[0]
        # A time in the future (a clock set back) proves nothing.
        known = compared_at is not None and timedelta(0) <= now - compared_at <= BALANCES_MAX_AGE
        mine.update(reconciled_at=now if known and not blocking else None)
        if blocking:
            live_gate.revoke(account, "discrepancy", actor=audit.system("reconciliation"), now=now)
    if blocking:
        return "discrepancy"
    return "" if known else "balances-not-compared"


def _say_whether_current(account: Account, report: ReconcileReport, now: datetime) -> None:
    """An account that sends nothing because its books do not count as equal is told, with the reason of the last pass."""
    key = f"not-reconciled:{account.pk}"
    reconciled_at = Account.objects.filter(pk=account.pk).values_list("reconciled_at", flat=True).first()
    # What differs has an alert of its own; an overtaken pass leaves the word to the newer one.
    if report.why == "discrepancy" or agreement.is_current(account.broker, reconciled_at, now):
        alerts.resolve_alert(key, now)
    elif report.why != "overtaken":
        alerts.raise_alert(
            key=key,
            code="not-reconciled",
            severity="warning",
            subject=account.name,
            params={"why": report.why},
            now=now,
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


def _strangers(
    account: Account, broker: Broker, theirs: Mapping[str, VenueOrder], listed_at: datetime
) -> tuple[int, list[Difference]]:
    """Orders that are open at the venue and not with us: never ours, or ended here while they live there.

    What ended here after the venue was asked is left to the next pass: its list says nothing of that.
    """
    known = {
        row.client_id: row
        for row in Order.objects.filter(account=account, client_id__in=list(theirs)).select_related(
            "intent", "account", "instrument"
        )
    }
    count, found = 0, []
    for client_id, row in theirs.items():
        order = known.get(client_id)
        if order is None:
            found.append(Difference(kind=Kind.FOREIGN_ORDER, subject=client_id, ours="-", theirs=_told(row)))
        elif order.finished_at is not None and order.finished_at > listed_at:
            continue
        elif order.status not in (*WORKING, *IN_DOUBT):
            was, late = str(order.status), _take_back(order, broker, row)
            if late is None or late.status == "open":
                found.append(
                    Difference(kind=Kind.ZOMBIE_ORDER, subject=client_id, ours=was, theirs=_told(row))
                )
            elif ORDER.allows(was, "reappear"):
                count += 1
    return count, found


def _take_back(order: Order, broker: Broker, row: VenueOrder) -> VenueOrder | None:
    """It arrived after we had given it up. It must not open anything any more: take it back, book what it did.

    Whatever is not told now stays open here, so that a later pass books it.
    """
    if ORDER.allows(order.status, "reappear"):
        try:
            order = orders.reappear(order, venue_id=row.venue_id, accepted_at=row.accepted_at)
        except ConcurrentChange:
            order = orders.current(order)
    broker.cancel(row.client_id)
    late = broker.fetch_order(row.client_id)
    if late is not None:
        catch_up(order, late)
    return late


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
