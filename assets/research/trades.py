"""What a workflow has bought and sold before, from the ledger: schedules are derived from it, never remembered.

A working order counts like a fill of its rest, so that a slow venue does not make a strategy buy twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assets.trading.models import Fill, Order
from assets.trading.states import OPEN
from tradingsite.foundation import statements


@dataclass(frozen=True, kw_only=True, slots=True)
class PastTrade:
    """`value` is in the quote currency, above 0 for purchases. `code` is the first reason of its intent."""

    symbol: str
    at: datetime
    value: float
    code: str


def since(account_id: int, slug: str, start: datetime, now: datetime) -> tuple[PastTrade, ...]:
    """Trades of the workflow `slug` from `start` up to `now`, oldest first. Two queries."""
    fills = Fill.objects.filter(
        account_id=account_id, order__intent__workflow_slug=slug, at__gte=start, at__lte=now
    ).values_list("instrument__symbol", "at", "quantity", "price", "side", "order__intent__reasons")
    working = Order.objects.filter(
        account_id=account_id, intent__workflow_slug=slug, status__in=OPEN, created_at__gte=start, created_at__lte=now
    ).values_list(
        "instrument__symbol", "created_at", "quantity", "filled_quantity", "intent__reference_price", "side",
        "intent__reasons",
    )  # fmt: skip
    found = [
        PastTrade(symbol=symbol, at=at, value=_signed(side, float(quantity * price)), code=_code(reasons))
        for symbol, at, quantity, price, side, reasons in fills.order_by("at", "pk")
    ]
    found += [
        PastTrade(
            symbol=symbol, at=at, value=_signed(side, float((whole - done) * price)), code=_code(reasons)
        )
        for symbol, at, whole, done, price, side, reasons in working.order_by("created_at", "pk")
    ]
    return tuple(sorted(found, key=lambda trade: trade.at))


def newest_at(
    account_id: int, slug: str, now: datetime, *, codes: frozenset[str] | None = None
) -> datetime | None:
    """When the workflow last traded (or has an order working) for one of these reasons; None: never."""
    fills = Fill.objects.filter(account_id=account_id, order__intent__workflow_slug=slug, at__lte=now)
    orders = Order.objects.filter(
        account_id=account_id, intent__workflow_slug=slug, status__in=OPEN, created_at__lte=now
    )
    times = [
        at
        for at, reasons in [
            *fills.order_by("-at").values_list("at", "order__intent__reasons")[:200],
            *orders.order_by("-created_at").values_list("created_at", "intent__reasons")[:200],
        ]
        if codes is None or _code(reasons) in codes
    ]
    return max(times, default=None)


def working_symbols(account_id: int) -> frozenset[str]:
    """Symbols in which the account has an order that may still fill."""
    marks = ", ".join(["%s"] * len(OPEN))
    sql = (
        "SELECT i.symbol FROM trading_order o JOIN markets_instrument i ON i.id = o.instrument_id "  # noqa: S608
        f"WHERE o.account_id = %s AND o.status IN ({marks})"
    )
    return frozenset(symbol for (symbol,) in statements.rows(sql, (account_id, *OPEN)))


def _signed(side: str, value: float) -> float:
    return value if side == "buy" else -value


def _code(reasons: Any) -> str:
    """The first reason's code; empty when there is none."""
    first = reasons[0] if isinstance(reasons, list) and reasons else {}
    return str(first.get("code", "")) if isinstance(first, dict) else ""
