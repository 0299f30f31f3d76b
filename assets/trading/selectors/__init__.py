"""Basic reads of the trading room: frozen rows, few queries. Pages and API have modules beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from assets.trading.models import Account, EquityPoint, Fill, Order
from assets.trading.selectors.valuation import Book, Equity, PositionRow, cash_balances, load
from assets.trading.states import WORKING
from tradingsite.foundation import statements
from tradingsite.foundation.errors import NotFound

__all__ = [
    "Book", "Equity", "EquityRow", "PositionRow", "account_for", "accounts", "book", "cash_balances", "counts",
    "equity",
    "equity_by_asset_type", "equity_curve", "load", "positions",
]  # fmt: skip


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
    tail = "WHERE asset_type = %s AND is_demo = %s ORDER BY mode, CASE WHEN broker = 'paper' THEN 0 ELSE 1 END, id LIMIT 1"
    found = statements.instances(Account, tail, (asset_type, _is_demo()))
    if not found:
        raise NotFound(f"There is no account for {asset_type!r}; run manage.py setup.", code="no-account")
    return found[0]


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
