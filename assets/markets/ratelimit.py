"""The request budget of a venue, shared by all processes through one row. Every change is one UPDATE."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db.models import Case, F, PositiveIntegerField, Q, Value, When
from django.db.models.functions import Greatest

from assets.markets.models import RateBudget


@dataclass(frozen=True, slots=True)
class Limit:
    """Weight allowed in a window of so many seconds. Windows begin at multiples of their length, as venues count."""

    weight: int
    window_s: int


_COUNT: Final = PositiveIntegerField()
DEFAULT_LIMIT: Final = Limit(1200, 60)
_limits: dict[str, Limit] = {}


def configure(venue: str, limit: Limit) -> None:
    """Set the budget of a venue (used when its row is made, and adjusts an existing row)."""
    _limits[venue] = limit
    RateBudget.objects.filter(venue=venue).update(limit=limit.weight, window_s=limit.window_s)


def spend(venue: str, weight: int, now: datetime) -> bool:
    """Take `weight` from the budget. False (and nothing taken) when it would not fit or the venue has blocked us."""
    limit = _ensure(venue, now)
    started = _window(now, limit)
    fits = Q(window_started_at__lt=started) | Q(used__lte=F("limit") - weight)
    free = Q(blocked_until__isnull=True) | Q(blocked_until__lte=now)
    changed = (
        RateBudget.objects.filter(fits, free, venue=venue, limit__gte=weight)
        .update(
            used=Case(When(window_started_at__lt=started, then=Value(weight, _COUNT)), default=F("used") + weight),
            window_started_at=Greatest(F("window_started_at"), Value(started)),
        )
    )  # fmt: skip
    return changed == 1


def record_used(venue: str, used: int, now: datetime) -> None:
    """What the venue itself says we have used in this window; others may spend the same budget."""
    started = _window(now, _ensure(venue, now))
    used = max(0, used)
    RateBudget.objects.filter(venue=venue).update(
        used=Case(
            When(window_started_at__lt=started, then=Value(used, _COUNT)),
            default=Greatest(F("used"), Value(used, _COUNT)),
        ),
        window_started_at=Greatest(F("window_started_at"), Value(started)),
    )


def block(venue: str, until: datetime) -> None:
    """The venue refuses us until then (429, 418). A longer block stays."""
    _ensure(venue, until)
    RateBudget.objects.filter(venue=venue).filter(
        Q(blocked_until__isnull=True) | Q(blocked_until__lt=until)
    ).update(blocked_until=until)


def blocked_until(venue: str, now: datetime) -> datetime | None:
    """End of the block in force at `now`."""
    return (
        RateBudget.objects.filter(venue=venue, blocked_until__gt=now)
        .values_list("blocked_until", flat=True)
        .first()
    )


def used_ratio(venue: str, now: datetime) -> float:
    """Part of the budget that is used in the window of `now`: 0..1, and 1 while blocked."""
    row = RateBudget.objects.filter(venue=venue).first()
    if row is None:
        return 0.0
    if row.blocked_until is not None and row.blocked_until > now:
        return 1.0
    if row.window_started_at < _window(now, Limit(row.limit, row.window_s)):
        return 0.0
    return min(1.0, row.used / row.limit) if row.limit else 1.0


def _window(now: datetime, limit: Limit) -> datetime:
    return datetime.fromtimestamp(now.timestamp() // limit.window_s * limit.window_s, UTC)


def _ensure(venue: str, now: datetime) -> Limit:
    limit = _limits.get(venue, DEFAULT_LIMIT)
    if not RateBudget.objects.filter(venue=venue).exists():
        row = RateBudget(
            venue=venue, window_started_at=_window(now, limit), window_s=limit.window_s, limit=limit.weight
        )
        RateBudget.objects.bulk_create([row], ignore_conflicts=True)
    return limit
