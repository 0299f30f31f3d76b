"""How old market data may be, in one word.

Ages come from bar times, never from when we fetched: a frozen feed answers quickly, too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

FRESH_BARS: Final = 1.5  # a bar, and half of one for its way to us
STALE_BARS: Final = 2.0


class Word(StrEnum):
    FRESH = "fresh"
    LATE = "late"
    STALE = "stale"
    MISSING = "missing"
    CLOSED = "closed"


def state(age_s: float | None, expected_s: float, is_open: bool) -> Word:
    """The word for data whose newest bar closed `age_s` seconds ago when one is expected every `expected_s` seconds.

    Stale means more than two bars old: no entries, and a stop is judged by the venue's own price only.
    """
    if age_s is None:
        return Word.MISSING
    if not is_open:
        return Word.CLOSED
    if age_s <= FRESH_BARS * expected_s:
        return Word.FRESH
    return Word.LATE if age_s <= STALE_BARS * expected_s else Word.STALE


def limit_s(expected_s: float) -> float:
    """The age from which data is stale."""
    return STALE_BARS * expected_s
