"""Trading's part of what must hold whatever happened. Each check answers with sentences that name the rows."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Q, QuerySet

from assets.trading import conf, venue_checks
from assets.trading.models import Account, Fill, Journal, JournalLine, Order, OrderEvent, Position
from assets.trading.selectors import valuation
from assets.trading.services import rebuild
from assets.trading.states import FINISHED
from orchestrator.models import ProcessBeat
from orchestrator.services import switch_history
from tradingsite.foundation import invariants
from tradingsite.foundation.fields import ExactSum
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.money import EXACT

ZERO = Decimal(0)
_STOP_WITHIN = timedelta(seconds=10)
_RECENT = timedelta(days=1)
_ASSET = "ledger_account__asset"


def journals_balance(now: datetime) -> list[str]:
    """Every posted journal sums to exactly 0 in each asset, and so does the whole ledger."""
    lines = JournalLine.objects.order_by()
    by_journal = lines.values("journal_id", _ASSET).annotate(total=ExactSum("amount")).exclude(total=ZERO)
    whole = (
        lines.values("journal__account__name", _ASSET).annotate(total=ExactSum("amount")).exclude(total=ZERO)
    )
    open_count = Journal.objects.filter(posted=False).count()
    return [
        *(f"Journal {row['journal_id']} sums to {row['total']:f} {row[_ASSET]}." for row in by_journal[:20]),
        *(
            f"The ledger of {row['journal__account__name']} sums to {row['total']:f} {row[_ASSET]}."
            for row in whole
        ),
        *([f"{open_count} journals were written but never posted."] if open_count else []),
    ]


def cash_follows_from_positions(now: datetime) -> list[str]:
    """Ledger balance per account and asset = opening + fills - fees, difference 0."""
    found: list[str] = []
    for account in Account.objects.all():
        ledger = valuation.cash_balances(account.pk)
        expected = _expected_cash(account)
        for asset in sorted(ledger.keys() | expected.keys()):
            have, want = ledger.get(asset, ZERO), expected.get(asset, ZERO)
            if have != want:
                found.append(f"{account.name} has {have} {asset} in the ledger, its fills say {want}.")
    return found


def _expected_cash(account: Account) -> dict[str, Decimal]:
    expected = {account.currency: account.opening_balance}

    def add(asset: str, amount: Decimal) -> None:
        expected[asset] = EXACT.add(expected.get(asset, ZERO), amount)

    for position in Position.objects.filter(account=account).select_related("instrument"):
        add(position.instrument.base, position.quantity)
        add(position.instrument.quote, position.realised - position.cost - position.fees)
    for asset, amount in valuation.foreign_fees(account.pk).items():
        add(asset, -amount)
    return expected


def fills_stay_inside_intents(now: datetime) -> list[str]:
    """Each intent has one order at most, and its fills never exceed the intended quantity."""
    # One order per intent and one id per order are UNIQUE constraints; what is left are the amounts.
    orders = (
        Order.objects.filter(filled_quantity__gt=ZERO).order_by().annotate(total=ExactSum("fills__quantity"))
    )
    found = []
    for pk, quantity, filled, total in orders.values_list(
        "pk", "quantity", "filled_quantity", "total"
    ).iterator():
        if filled > quantity:
            found.append(f"Order {pk} wanted {quantity} and has {filled}.")
        if total != filled:
            found.append(f"Order {pk} says it filled {filled}, its fills sum to {total}.")
    return found


def finished_orders_say_when(now: datetime) -> list[str]:
    """A finished order has its time and one last event; an open one has no end."""
    wrong = Order.objects.filter(
        Q(status__in=FINISHED, finished_at=None) | (~Q(status__in=FINISHED) & ~Q(finished_at=None))
    )
    return [
        f"Order {pk} is {status} and its end does not fit."
        for pk, status in wrong.values_list("pk", "status")[:20]
    ]


def trades_are_booked_once(now: datetime) -> list[str]:
    """Each venue trade id is booked exactly once: one fill, one posted journal."""
    doubles = Fill.objects.order_by().values("account_id", "trade_id").annotate(n=Count("pk")).filter(n__gt=1)
    fills, journals = Fill.objects.count(), Journal.objects.filter(kind="fill", posted=True).count()
    return [
        *(
            f"Trade {row['trade_id']} of account {row['account_id']} is booked {row['n']} times."
            for row in doubles
        ),
        *([f"{fills} fills but {journals} fill journals."] if fills != journals else []),
    ]


def positions_follow_from_fills(now: datetime) -> list[str]:
    """Position = what its fills say."""
    return [
        f"{item.symbol} of account {item.account_id} is stored as {item.stored.quantity}, its fills say "
        f"{item.derived.quantity} (cost {item.stored.cost} and {item.derived.cost})."
        for item in rebuild.compare()
    ]


def nothing_is_sent_after_a_stop(now: datetime) -> list[str]:
    """After a stop no order starts towards a venue later than one second, whatever the switch says today."""
    history = switch_history.read()
    if not history.times:
        return []
    sent = OrderEvent.objects.filter(event="send", at__gt=history.times[0]).order_by("pk")
    found = []
    for pk, at, reduces in sent.values_list("row_id", "at", "row__intent__reduces").iterator():
        since = history.stopped_since(at, grace=conf.STOP_GRACE, entry=not reduces)
        if since is not None:
            found.append(f"Order {pk} was sent at {at.isoformat()}, after the stop at {since.isoformat()}.")
    return found[:20]


def cancels_are_audited(now: datetime) -> list[str]:
    """Every cancel of an order, by whomever, has an audit row."""
    # What ends as cancelled after a request was audited with the request.
    asked = OrderEvent.objects.filter(
        Q(event="request_cancel") | (Q(event="cancel") & ~Q(from_status=Order.Status.CANCEL_PENDING))
    )
    rows = AuditEvent.objects.filter(object_type="order", action__startswith="order.cancel")
    audited = set(rows.values_list("object_id", flat=True))
    return [
        f"Order {pk} was cancelled and no audit row says by whom."
        for pk in asked.order_by("pk").values_list("row_id", flat=True).distinct()
        if str(pk) not in audited
    ][:20]


def limits_hold(now: datetime) -> list[str]:
    """Limits hold: size of entries, orders per minute, no short where none is allowed."""
    short = Position.objects.filter(account__allows_short=False, quantity__lt=ZERO).select_related(
        "account", "instrument"
    )
    found = [f"{p.account.name} is short {p.quantity} {p.instrument.symbol} and must not be." for p in short]
    recent = Order.objects.filter(created_at__gte=now - _RECENT).exclude(status=Order.Status.DENIED)
    found += _too_large(recent) + _too_many(recent)
    return found


def _too_large(recent: QuerySet[Order]) -> list[str]:
    rows = recent.filter(intent__reduces=False).exclude(account__max_order_notional=ZERO)
    found = []
    for order in rows.select_related("intent", "account").iterator():
        rate = Decimal(order.intent.sizing.get("rate") or 1)
        notional = order.quantity * order.intent.reference_price * rate
        if notional > order.account.max_order_notional:
            found.append(
                f"Order {order.pk} was {notional:.2f}, the limit is {order.account.max_order_notional}."
            )
    return found


def _too_many(recent: QuerySet[Order]) -> list[str]:
    rows = recent.order_by().values_list("account__name", "account__max_orders_per_minute", "created_at")
    minutes = Counter(
        (name, limit, at.replace(second=0, microsecond=0)) for name, limit, at in rows.iterator()
    )
    return [
        f"{name} made {count} orders in the minute of {minute:%H:%M}, the limit is {limit}."
        for (name, limit, minute), count in minutes.items()
        if count > limit
    ]


def positions_have_stops(now: datetime) -> list[str]:
    """No position without a stop once its keeper has had ten seconds; no stop on the wrong side of a position."""
    # Whoever stands still keeps nothing: time counts while the feed, where the keeper lives, is seen at work.
    feed = ProcessBeat.objects.filter(role="feed").order_by("-beat_at").first()
    began, seen = (feed.started_at, feed.beat_at) if feed is not None else (None, now)
    bare = Position.objects.filter(opened_at__isnull=False).exclude(stops__status__in=("active", "hit"))
    found = []
    for position in bare.select_related("account", "instrument"):
        booked = Fill.objects.filter(account=position.account, instrument=position.instrument).aggregate(
            at=Max("booked_at")
        )["at"]
        if booked is not None and max(booked, began or booked) + _STOP_WITHIN < min(seen, now):
            found.append(f"{position.account.name} holds {position.instrument.symbol} without a stop.")
    return found


def register() -> None:
    """Called once while apps load."""
    for code, check in (
        ("I1", journals_balance), ("I2", cash_follows_from_positions), ("I3", fills_stay_inside_intents),
        ("I5", finished_orders_say_when), ("I6", trades_are_booked_once),
        ("I7", positions_follow_from_fills), ("I8", positions_have_stops),
        ("I12", nothing_is_sent_after_a_stop),
        ("I14", cancels_are_audited), ("I15", limits_hold),
    ):  # fmt: skip
        invariants.register(code, check)
    invariants.register_asking("I4", venue_checks.ask_for_orders)
    invariants.register_asking("I7", venue_checks.ask_for_holdings)
