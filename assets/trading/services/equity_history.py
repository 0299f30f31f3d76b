"""Thinning of old equity points: one a minute at first, later the last of each hour, then the last of each day.

Every point carries the highest equity so far, so no peak is lost with the points between.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from assets.trading.models import Account, EquityPoint
from tradingsite.foundation import retention
from tradingsite.foundation.retention import Guard

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_READ: Final = 5_000  # points looked at in one piece
_MOST: Final = 200_000  # points deleted in one run; the next goes on


def thin(now: datetime, guard: Guard) -> dict[str, int]:
    """Drop what the settings do not keep; the newest point of an account always stays."""
    minutes = now - timedelta(days=settings.EQUITY_MINUTE_DAYS)
    hours = min(minutes, now - timedelta(days=settings.EQUITY_HOUR_DAYS))
    gone = 0
    for account_id in Account.objects.order_by("pk").values_list("pk", flat=True):
        for until, bucket_s in ((hours, _DAY_S), (minutes, _HOUR_S)):
            for keys in _superfluous(account_id, until, bucket_s):
                if gone >= _MOST:
                    return {"equity_points": gone}
                gone += _delete(keys, guard)
    return {"equity_points": gone}


def _superfluous(account_id: int, until: datetime, bucket_s: int) -> Iterator[list[int]]:
    """Keys of the points that are not the last of their bucket, up to the last whole bucket before `until`."""
    end = datetime.fromtimestamp(until.timestamp() // bucket_s * bucket_s, UTC)
    points = EquityPoint.objects.filter(account_id=account_id, at__lt=end).order_by("at")
    rows = list(points.values_list("pk", "at")[:_READ])
    while len(rows) > 1:
        buckets = [int(at.timestamp() // bucket_s) for _pk, at in rows]
        keys = [rows[i][0] for i in range(len(rows) - 1) if buckets[i] == buckets[i + 1]]
        if keys:
            yield keys
        if len(rows) < _READ:
            return
        # The last one read is judged by what follows it.
        rows = list(points.filter(at__gte=rows[-1][1]).values_list("pk", "at")[:_READ])


def _delete(keys: list[int], guard: Guard) -> int:
    for start in range(0, len(keys), retention.LARGEST_PORTION):
        guard()
        with transaction.atomic():
            part = keys[start : start + retention.LARGEST_PORTION]
            EquityPoint.objects.filter(pk__in=part).delete()
    return len(keys)


def register() -> None:
    """Called while apps load."""
    retention.register("trading", thin)
