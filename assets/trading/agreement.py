"""Whether an order may go to its venue at all: real money only when it was switched on, and only on books that agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings

from assets.trading.selectors import live

PAPER: Final = "paper"
MAX_AGE: Final = timedelta(seconds=90)
"""A reconciliation older than that no longer lets anything pass."""


def is_current(broker: str, reconciled_at: datetime | None, now: datetime) -> bool:
    """Paper has no books but ours. A time in the future (a clock set back) proves nothing."""
    if broker == PAPER:
        return True
    return reconciled_at is not None and timedelta(0) <= now - reconciled_at <= MAX_AGE


def is_allowed(broker: str, mode: str, account_id: int, asset_type: str, now: datetime) -> bool:
    """Paper always. A venue only for a live account on a server whose owner has set TRADING_LIVE_ENABLED, while the
    approval of a person counts (services.live_gate); asked freshly for every order.
    """
    if broker == PAPER:
        return True
    if mode != "live" or settings.LIVE_TRADING_ENABLED is not True:
        return False
    return live.is_approved(account_id, asset_type, now)


def is_key_allowed(permissions: Mapping[str, Any] | None) -> bool:
    """Not when the venue has said that the key can withdraw money, or said nothing clear. Empty: nobody asked yet."""
    return not permissions or permissions.get("can_withdraw") is False
