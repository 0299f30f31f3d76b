"""When a message may go out: quiet hours in the reader's time zone, and digests. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

BACKOFF: Final = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
ATTEMPTS: Final = len(BACKOFF) + 1


def zone_of(name: str) -> ZoneInfo:
    """The time zone, UTC for a name nobody knows."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def after_quiet(now: datetime, start: time | None, end: time | None, zone: ZoneInfo) -> datetime:
    """`now` when it is not quiet, else the end of the quiet hours (which may pass midnight; start = end: never quiet)."""
    if start is None or end is None or start == end:
        return now
    local = now.astimezone(zone)
    clock_time = local.time()
    if start < end:
        is_quiet, days = start <= clock_time < end, 0
    else:
        is_quiet, days = clock_time >= start or clock_time < end, 1 if clock_time >= start else 0
    if not is_quiet:
        return now
    last = datetime.combine(local.date() + timedelta(days=days), end, tzinfo=zone)
    return max(now, last.astimezone(UTC))


def retry_at(now: datetime, attempt: int) -> datetime | None:
    """When to try again after the failed attempt number `attempt` (from 1); None: give up."""
    return now + BACKOFF[attempt - 1] if attempt <= len(BACKOFF) else None
