"""Equity history: one point per account and minute, exact, with the highest point so far."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import OuterRef, Subquery

from assets.trading.models import Account, EquityPoint
from assets.trading.selectors import valuation

EVERY = timedelta(minutes=1)


def snapshot(now: datetime, *, every: timedelta = EVERY) -> int:
    """Write a point for each account whose newest is at least `every` old. Returns how many. One query when
    none is due.
    """
    if not _anything_due(now - every):
        return 0
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at")
    accounts = Account.objects.annotate(
        last_at=Subquery(newest.values("at")[:1]), last_peak=Subquery(newest.values("peak")[:1])
    )
    points = []
    for account in accounts:
        if account.last_at is not None and account.last_at > now - every:
            continue
        worth = valuation.load(account, now).equity
        peak = worth.equity if account.last_peak is None else max(worth.equity, account.last_peak)
        points.append(
            EquityPoint(
                account=account,
                at=now,
                equity=worth.equity,
                cash=worth.cash,
                unrealised=worth.unrealised,
                exposure=worth.exposure,
                peak=peak,
            )
        )
    # Two processes at the same instant: the second adds nothing.
    EquityPoint.objects.bulk_create(points, ignore_conflicts=True)
    return len(points)


def _anything_due(before: datetime) -> bool:
    # Asked every second and at every step of a replay: plain SQL costs a twentieth of building a queryset.
    sql = (
        "SELECT 1 FROM trading_account a WHERE NOT EXISTS "
        "(SELECT 1 FROM trading_equitypoint p WHERE p.account_id = a.id AND p.at > %s) LIMIT 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [connection.ops.adapt_datetimefield_value(before)])
        return cursor.fetchone() is not None
