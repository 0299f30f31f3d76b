"""Reads of the replay report."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count

from assets.trading.models import Account, Fill, JournalLine, Order
from assets.trading.selectors import equity
from tradingsite.foundation.fields import ExactSum


def order_count() -> int:
    """Orders that were sent to a broker; denied ones are counted by `denial_counts`."""
    return Order.objects.exclude(status=Order.Status.DENIED).count()


def denial_counts() -> dict[str, int]:
    denied = Order.objects.filter(status=Order.Status.DENIED).order_by()
    return dict(denied.values_list("status_code").annotate(n=Count("pk")))


def fill_count() -> int:
    return Fill.objects.count()


def equity_by_asset_type(now: datetime) -> dict[str, str]:
    return {
        account.asset_type: format(equity(account, now).equity, "f")
        for account in Account.objects.order_by("pk")
    }


def ledger_imbalance() -> Decimal:
    """The largest absolute sum of all lines in one asset. Exactly zero unless money appeared or vanished."""
    sums = JournalLine.objects.order_by().values("ledger_account__asset").annotate(total=ExactSum("amount"))
    return max((abs(row["total"]) for row in sums), default=Decimal(0))


def fingerprint_rows() -> list[Any]:
    orders = Order.objects.order_by("pk").values_list(
        "client_id", "side", "quantity", "status", "status_code"
    )
    fills = Fill.objects.order_by("pk").values_list("trade_id", "quantity", "price", "fee", "at")
    return [*orders, *fills]
