"""Whether the venue's books and ours agreed lately enough for an order to pass."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

PAPER: Final = "paper"
MAX_AGE: Final = timedelta(seconds=90)
"""A reconciliation older than that no longer lets anything pass."""


def is_current(broker: str, reconciled_at: datetime | None, now: datetime) -> bool:
    """Paper has no books but ours. A time in the future (a clock set back) proves nothing."""
    if broker == PAPER:
        return True
    return reconciled_at is not None and timedelta(0) <= now - reconciled_at <= MAX_AGE
