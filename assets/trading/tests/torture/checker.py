"""The venue's truth log against the database. Every sentence is a violation; none may ever be said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from assets.trading.tests.torture import world
from assets.trading.tests.torture.venue import read_truth

_PLACES = {  # how an order may stand here when the venue has it so
    "open": {"accepted", "partially_filled"},
    "filled": {"filled"},
    "cancelled": {"cancelled", "expired"},
}


@dataclass
class Truth:
    """What the log says of one client id."""

    posts: int = 0
    accepted: int = 0
    status: str = ""
    trades: dict[str, tuple[Decimal, Decimal, Decimal]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Violation:
    """`client_id` names the order it is about, when it is about one."""

    text: str
    client_id: str = ""


def read(folder: Path) -> dict[str, Truth]:
    found: dict[str, Truth] = {}
    wanted: dict[int, Decimal] = {}
    symbols: dict[int, str] = {}
    for line in read_truth(folder / "truth.jsonl"):
        if line["e"] == "torn":
            continue
        one = found.setdefault(line["client"], Truth())
        one.lines.append(line)
        if line["e"] == "POST":
            one.posts += 1
        elif line["e"] == "accepted":
            one.accepted += 1
            one.status = "open"
            wanted[line["id"]], symbols[line["id"]] = Decimal(line["quantity"]), line["symbol"]
        elif line["e"] == "filled":
            quantity, price, fee = (Decimal(line[name]) for name in ("quantity", "price", "fee"))
            one.trades[f"{symbols[line['id']]}-{line['trade']}"] = quantity, price, fee
            wanted[line["id"]] -= quantity
            if wanted[line["id"]] <= 0:
                one.status = "filled"
        elif line["e"] == "cancelled":
            one.status = "cancelled"
    return found


def doubled(folder: Path) -> list[Violation]:
    """What must never be seen at any instant, quiet or not: an order the venue has twice, or was sent twice."""
    found = []
    for client_id, one in read(folder).items():
        if one.accepted > 1:
            text = f"DUPLICATE: accepted {one.accepted} times at the venue."
            found.append(Violation(text=text, client_id=client_id))
        if one.posts > 1:
            found.append(Violation(text=f"Posted {one.posts} times.", client_id=client_id))
    return found


def compare(folder: Path, balances: dict[str, Decimal]) -> list[Violation]:
    """Both books, order by order and trade by trade, when nothing is under way. `balances` are the venue's."""
    truth = read(folder)
    return [*doubled(folder), *_orders(truth), *_trades(truth), *_money(balances), *_doubts(), *_invariants()]


def _orders(truth: dict[str, Truth]) -> list[Violation]:
    from assets.trading.models import Intent, Order

    found = []
    ours = {row.client_id: row for row in Order.objects.all()}
    if Intent.objects.count() != len(ours):
        found.append(Violation(text=f"{Intent.objects.count()} intents and {len(ours)} orders."))
    for client_id, one in truth.items():
        order = ours.get(client_id)
        if order is None:
            found.append(Violation(text="The venue knows it, nobody here does.", client_id=client_id))
        elif one.accepted and order.status not in _PLACES[one.status]:
            found.append(Violation(text=f"{one.status} there, {order.status} here.", client_id=client_id))
    never = {"denied", "expired", "rejected", "cancelled"}
    for client_id, order in ours.items():
        if not truth.get(client_id, Truth()).accepted and order.status not in never:
            found.append(Violation(text=f"{order.status} here, and never at the venue.", client_id=client_id))
    return found


def _trades(truth: dict[str, Truth]) -> list[Violation]:
    from assets.trading.models import Fill

    booked: dict[str, dict[str, tuple[Decimal, Decimal, Decimal]]] = {}
    rows = Fill.objects.values_list("order__client_id", "trade_id", "quantity", "price", "fee")
    for client_id, trade_id, *amounts in rows.iterator():
        booked.setdefault(client_id, {})[trade_id] = tuple(amounts)
    found = []
    for client_id in {*booked, *(name for name, one in truth.items() if one.trades)}:
        there, here = truth.get(client_id, Truth()).trades, booked.get(client_id, {})
        if there != here:
            wrong = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
            text = f"Trades differ: {', '.join(wrong[:5])}; {len(there)} there, {len(here)} here."
            found.append(Violation(text=text, client_id=client_id))
    return found


def _money(balances: dict[str, Decimal]) -> list[Violation]:
    from assets.trading.models import Account
    from assets.trading.selectors import valuation

    ours = valuation.cash_balances(Account.objects.get(name=world.ACCOUNT).pk)
    zero = Decimal(0)
    return [
        Violation(text=f"{balances.get(asset, zero)} {asset} there, {ours.get(asset, zero)} here.")
        for asset in sorted(balances.keys() | ours.keys())
        if balances.get(asset, zero) != ours.get(asset, zero)
    ]


def _doubts() -> list[Violation]:
    from assets.trading.models import Order

    rows = Order.objects.filter(status__in=("new", "sending", "unknown", "cancel_pending"))
    return [
        Violation(text=f"Still {status} although everything is quiet.", client_id=client_id)
        for client_id, status in rows.values_list("client_id", "status")
    ]


def _invariants() -> list[Violation]:
    from tradingsite.foundation import clock, invariants

    return [
        Violation(text=f"{item.code}: {text}")
        for item in invariants.run(clock.now(), only=world.CODES)
        for text in item.violations
    ]


def describe(violation: Violation, folder: Path) -> str:
    """The violation with all that is known about its order."""
    from assets.trading.models import Order

    lines = [f"VIOLATION {violation.client_id} {violation.text}"]
    if not violation.client_id:
        return lines[0]
    order = Order.objects.select_related("intent").filter(client_id=violation.client_id).first()
    if order is not None:
        intent = order.intent
        lines.append(
            f"  intent {intent.key} {intent.side} {intent.quantity} limit {intent.limit_price} at {intent.created_at}"
        )
        lines.append(
            f"  order {order.pk} {order.status} {order.status_code} filled {order.filled_quantity} {order.status_detail}"
        )
        lines += [
            f"  event {e.at.isoformat()} {e.event} {e.from_status}->{e.to_status} {e.detail}"
            for e in order.events.order_by("pk")
        ]
    told = read(folder).get(violation.client_id, Truth())
    return "\n".join([*lines, *(f"  venue {line}" for line in told.lines)])


def figures() -> Counter[str]:
    """Orders by state, how many left for the venue, and what people would have been told."""
    from django.db.models import Count

    from assets.trading.models import Fill, Order
    from tradingsite.foundation.models import Alert

    found: Counter[str] = Counter(
        dict(Order.objects.order_by().values_list("status").annotate(n=Count("pk")))
    )
    found["intents"] = Order.objects.count()
    found["sent"] = Order.objects.filter(sent_at__isnull=False).count()
    found["fills"] = Fill.objects.count()
    for code, n in Alert.objects.order_by().values_list("code").annotate(n=Count("pk")):
        found[f"alert {code}"] = n
    return found
