"""Taking the demo away: every row of the demo accounts, and no other."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from assets.trading.models import (
    Account,
    EquityPoint,
    Fill,
    Intent,
    Journal,
    JournalLine,
    LedgerAccount,
    LimitChange,
    Order,
    OrderEvent,
    Position,
    ProtectionRelease,
    ProtectiveStop,
    RiskPoint,
)
from tradingsite.foundation import counting
from tradingsite.foundation.triggers import lifted

_GUARDED = (
    "trading_fill", "trading_orderevent", "trading_intent", "trading_journalline", "trading_journal",
    "trading_ledgeraccount",
)  # fmt: skip


def _rows() -> list[tuple[str, QuerySet[Any]]]:
    """What hangs on demo accounts, the dependent first."""
    demo = Account.objects.filter(is_demo=True).values("pk")
    return [
        ("fills", Fill.objects.filter(account__in=demo)),
        ("order_events", OrderEvent.objects.filter(row__account__in=demo)),
        ("orders", Order.objects.filter(account__in=demo)),
        ("intents", Intent.objects.filter(account__in=demo)),
        ("journal_lines", JournalLine.objects.filter(journal__account__in=demo)),
        ("journals", Journal.objects.filter(account__in=demo)),
        ("ledger_accounts", LedgerAccount.objects.filter(account__in=demo)),
        ("stops", ProtectiveStop.objects.filter(position__account__in=demo)),
        ("limit_changes", LimitChange.objects.filter(account__in=demo)),
        ("protection_releases", ProtectionRelease.objects.filter(account__in=demo)),
        ("risk_points", RiskPoint.objects.filter(account__in=demo)),
        ("positions", Position.objects.filter(account__in=demo)),
        ("equity_points", EquityPoint.objects.filter(account__in=demo)),
        ("accounts", Account.objects.filter(is_demo=True)),
    ]


def count() -> dict[str, int]:
    """How many rows of each kind the demo has."""
    return counting.counts(_rows())


def remove() -> dict[str, int]:
    """Delete them, inside the caller's transaction. The guards of the ledger protect everything else again afterwards."""
    with lifted(*_GUARDED):
        return {name: rows.order_by()._raw_delete(rows.db) for name, rows in _rows()}
