"""Equity history: one point per account and minute, exact, with the highest point so far."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import OuterRef, Subquery

from assets.trading.models import Account, EquityPoint
from assets.trading.selectors import valuation

EVERY = timedelta(minutes=1)


def snapshot(now: datetime, *, every: timedelta = EVERY) -> int:
    """Write a point for each account whose newest is at least `every` old. Returns how many. One query when
    none is due.
    """
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
                peak=peak,
            )
        )
    # Two processes at the same instant: the second adds nothing.
    EquityPoint.objects.bulk_create(points, ignore_conflicts=True)
    return len(points)
