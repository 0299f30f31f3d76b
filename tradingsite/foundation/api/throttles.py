"""How often one principal may ask: read 120, write 30, orders 10 a minute.

The count lives in the database and changes in one UPSERT that returns the new value, so parallel requests of several
processes cannot slip through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections, router
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tradingsite.foundation import audit, client, clock
from tradingsite.foundation.errors import RateLimited
from tradingsite.foundation.models import ApiToken, ThrottleBucket

from .permissions import SAFE

WINDOW_MS = 60_000
LIMITS = {"read": 120, "write": 30, "orders": 10}

# Both databases understand this one statement. Parameters: key, window end, count 1, now (three times).
_UPSERT = """
INSERT INTO foundation_throttlebucket (key, window_ends_ms, count) VALUES (%s, %s, 1)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN foundation_throttlebucket.window_ends_ms <= %s THEN 1
                 ELSE foundation_throttlebucket.count + 1 END,
    window_ends_ms = CASE WHEN foundation_throttlebucket.window_ends_ms <= %s THEN excluded.window_ends_ms
                          ELSE foundation_throttlebucket.window_ends_ms END
RETURNING count, window_ends_ms
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left in the current window; `reset_s` seconds until it ends."""

    limit: int
    used: int
    reset_s: int

    @property
    def exceeded(self) -> bool:
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """RateLimit-* headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "RateLimit-Reset": str(self.reset_s),
        }


def take(key: str, limit: int, *, window_ms: int = WINDOW_MS) -> Allowance:
    """Count one use of `key` and say what is left."""
    now_ms = int(clock.now().timestamp() * 1000)
    with connections[router.db_for_write(ThrottleBucket)].cursor() as cursor:
        cursor.execute(_UPSERT, [key[:120], now_ms + window_ms, now_ms, now_ms])
        used, ends_ms = cursor.fetchone()
    return Allowance(limit=limit, used=int(used), reset_s=max(1, -(-(int(ends_ms) - now_ms) // 1000)))


def forget_old() -> int:
    """Delete buckets whose window ended an hour ago; returns how many."""
    ended = int(clock.now().timestamp() * 1000) - 3_600_000
    return ThrottleBucket.objects.filter(window_ends_ms__lt=ended).delete()[0]


def principal(request: Request) -> str:
    """Who is counted: the token, else the user, else the address."""
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.pk}"
    if request.user and request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{client.address(request._request)}"


class MinuteThrottle(BaseThrottle):
    """The view's `throttle_scope` ("orders") for changes, else read or write by method. Sets request.allowance."""

    def allow_request(self, request: Request, view: Any) -> bool:
        scope = "read" if request.method in SAFE else getattr(view, "throttle_scope", None) or "write"
        allowance = take(f"{scope}:{principal(request)}", LIMITS[scope])
        request._request.allowance = allowance  # type: ignore[attr-defined]
        if not allowance.exceeded:
            return True
        if allowance.used == allowance.limit + 1:
            # Once per window: a flood must not flood the audit log as well.
            audit.record(
                action="api.rate-limited", actor=audit.actor_of(request._request), request=request._request,
                after={"scope": scope, "limit": allowance.limit},
            )  # fmt: skip
        raise RateLimited(
            _("At most %(limit)s requests a minute; wait %(seconds)s seconds.")
            % {"limit": allowance.limit, "seconds": allowance.reset_s},
            retry_after_s=allowance.reset_s,
        )
