"""Basic reads of the trading room: frozen rows, few queries. Pages and API add modules beside this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from assets.trading.models import Account, EquityPoint, Fill, Order
from assets.trading.selectors.valuation import Book, Equity, PositionRow, cash_balances, load
from assets.trading.states import OPEN, WORKING
from tradingsite.foundation.errors import NotFound

__all__ = [
    "Book", "Equity", "EquityRow", "FillRow", "OrderRow", "PositionRow", "account_for", "accounts", "book",
    "cash_balances", "counts", "equity", "equity_by_asset_type", "equity_curve", "fills", "open_orders", "orders",
    "portfolio", "positions",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRow:
    """One order as lists show it."""

    pk: int
    client_id: str
    account: str
    asset_type: str
    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    filled_quantity: Decimal
    limit_price: Decimal | None
    reference_price: Decimal
    reduces: bool
    status: str
    status_code: str
    status_detail: dict[str, Any]
    reasons: list[dict[str, Any]]
    workflow_slug: str
    run_id: int | None
    created_at: datetime
    sent_at: datetime | None
    accepted_at: datetime | None
    finished_at: datetime | None
    valid_until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FillRow:
    """One fill as lists show it. `realised` is before fees, in the quote currency."""

    pk: int
    order_id: int
    trade_id: str
    account: str
    asset_type: str
    symbol: str
    quote: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    slippage_bps: float | None
    at: datetime
    workflow_slug: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EquityRow:
    """One point of an equity curve."""

    at: datetime
    equity: Decimal
    cash: Decimal
    unrealised: Decimal
    peak: Decimal


def _is_demo() -> bool:
    return bool(getattr(settings, "TRADING_FEED", "simulated") == "simulated")


def account_for(asset_type: str) -> Account:
    """The account an asset type trades now: the demo one while the simulated feed is on. Raises NotFound."""
    account = Account.objects.filter(asset_type=asset_type, is_demo=_is_demo()).order_by("mode", "pk").first()
    if account is None:
        raise NotFound(f"There is no account for {asset_type!r}; run manage.py setup.", code="no-account")
    return account


def accounts() -> list[Account]:
    """The accounts in use now, by name."""
    return list(Account.objects.filter(is_demo=_is_demo()))


def book(account: Account, now: datetime) -> Book:
    """Positions, prices and equity of an account in one consistent look."""
    return load(account, now)


def equity(account: Account, now: datetime) -> Equity:
    """What the account is worth at `now`."""
    return load(account, now).equity


def equity_by_asset_type(now: datetime) -> dict[str, Equity]:
    """Equity of every account in use, by asset type. Currencies differ: each says its own."""
    return {account.asset_type: equity(account, now) for account in accounts()}


def positions(account: Account, now: datetime) -> list[PositionRow]:
    """Open positions, valued at `now`."""
    return [row for row in load(account, now).rows if row.quantity]


def portfolio(now: datetime) -> list[PositionRow]:
    """Open positions of all accounts in use."""
    return [row for account in accounts() for row in positions(account, now)]


def orders(
    *,
    account: Account | None = None,
    statuses: Sequence[str] = (),
    symbol: str = "",
    workflow_slug: str = "",
    limit: int = 50,
) -> list[OrderRow]:
    """Newest orders first, one query."""
    rows = Order.objects.select_related("intent", "account", "instrument")
    rows = rows.filter(account=account) if account else rows.filter(account__is_demo=_is_demo())
    if statuses:
        rows = rows.filter(status__in=statuses)
    if symbol:
        rows = rows.filter(instrument__symbol=symbol)
    if workflow_slug:
        rows = rows.filter(intent__workflow_slug=workflow_slug)
    return [order_row(order) for order in rows[:limit]]


def open_orders(account: Account | None = None, *, limit: int = 200) -> list[OrderRow]:
    """Orders that are not finished."""
    return orders(account=account, statuses=OPEN, limit=limit)


def fills(
    *, account: Account | None = None, symbol: str = "", since: datetime | None = None, limit: int = 50
) -> list[FillRow]:
    """Newest fills first, one query."""
    rows = Fill.objects.select_related("account", "instrument", "order__intent")
    rows = rows.filter(account=account) if account else rows.filter(account__is_demo=_is_demo())
    if symbol:
        rows = rows.filter(instrument__symbol=symbol)
    if since is not None:
        rows = rows.filter(at__gte=since)
    return [fill_row(fill) for fill in rows[:limit]]


def equity_curve(account: Account, *, since: datetime | None = None, limit: int = 5000) -> list[EquityRow]:
    """Stored equity points, oldest first, the newest `limit` of them."""
    rows = EquityPoint.objects.filter(account=account).order_by("-at")
    if since is not None:
        rows = rows.filter(at__gte=since)
    points = [
        EquityRow(at=p.at, equity=p.equity, cash=p.cash, unrealised=p.unrealised, peak=p.peak)
        for p in rows[:limit]
    ]
    return points[::-1]


def counts(account: Account | None = None) -> dict[str, int]:
    """How many orders work, are in doubt or were denied, and how many fills there are (replay report,
    overview).
    """
    mine = {"account": account} if account else {"account__is_demo": _is_demo()}
    rows = Order.objects.filter(**mine)
    return {
        "orders": rows.count(),
        "working": rows.filter(status__in=WORKING).count(),
        "denied": rows.filter(status=Order.Status.DENIED).count(),
        "in_doubt": rows.filter(status__in=("sending", "unknown")).count(),
        "fills": Fill.objects.filter(**mine).count(),
    }


def order_row(order: Order) -> OrderRow:
    """The row of an order read with its intent, account and instrument."""
    intent = order.intent
    return OrderRow(
        pk=order.pk, client_id=order.client_id, account=order.account.name, asset_type=order.account.asset_type,
        symbol=order.instrument.symbol, side=order.side, order_type=intent.order_type, quantity=order.quantity,
        filled_quantity=order.filled_quantity, limit_price=intent.limit_price,
        reference_price=intent.reference_price, reduces=intent.reduces, status=order.status,
        status_code=order.status_code, status_detail=order.status_detail, reasons=intent.reasons,
        workflow_slug=intent.workflow_slug, run_id=intent.run_id, created_at=order.created_at, sent_at=order.sent_at,
        accepted_at=order.accepted_at, finished_at=order.finished_at, valid_until=intent.valid_until,
    )  # fmt: skip


def fill_row(fill: Fill) -> FillRow:
    """The row of a fill read with its account, instrument and order's intent."""
    return FillRow(
        pk=fill.pk, order_id=fill.order_id, trade_id=fill.trade_id, account=fill.account.name,
        asset_type=fill.account.asset_type, symbol=fill.instrument.symbol, quote=fill.instrument.quote,
        side=fill.side, quantity=fill.quantity, price=fill.price, fee=fill.fee, fee_asset=fill.fee_asset,
        realised=fill.realised, slippage_bps=fill.slippage_bps, at=fill.at,
        workflow_slug=fill.order.intent.workflow_slug,
    )  # fmt: skip
