"""The risk of each account, noted every two minutes: for the page, which cannot read months of bars, and for later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Max

from assets.trading.models import Account, RiskPoint
from assets.trading.selectors import risk
from tradingsite.foundation import retention
from tradingsite.foundation.retention import Guard

EVERY: Final = timedelta(minutes=2)
KEPT_FOR: Final = timedelta(days=30)


def note(now: datetime) -> int:
    """Write a point per account in use when the newest is old enough. Returns how many. One query when none is due."""
    newest = RiskPoint.objects.aggregate(at=Max("at"))["at"]
    if newest is not None and timedelta(0) <= now - newest < EVERY:
        return 0
    points = [
        RiskPoint(
            account_id=row.pk, at=now, score=row.score, parts=dict(row.parts), value_at_risk=market.value_at_risk,
            shortfall=market.shortfall, samples=market.samples, exit_share=market.exit_share, regime=market.regime,
        )
        for row, market in risk.measure(now)
    ]  # fmt: skip
    RiskPoint.objects.bulk_create(points, ignore_conflicts=True)
    return len(points)


def _forget(now: datetime, guard: Guard) -> dict[str, int]:
    gone = 0
    for pk in Account.objects.values_list("pk", flat=True):
        gone += retention.delete(RiskPoint.objects.filter(account_id=pk, at__lt=now - KEPT_FOR), guard=guard)
    return {"risk_points": gone}


def register() -> None:
    """Called while apps load."""
    retention.register("trading risk", _forget)
