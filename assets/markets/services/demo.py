"""Taking the demo away: the simulated instruments with their candles and quotes, and no other."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from assets.markets.models import Candle, FeedState, Instrument, Quote, RejectedCandle
from tradingsite.foundation import counting


def _rows() -> list[tuple[str, QuerySet[Any]]]:
    demo = Instrument.objects.filter(is_demo=True).values("pk")
    return [
        ("candles", Candle.objects.filter(instrument__in=demo)),
        ("rejected_candles", RejectedCandle.objects.filter(instrument__in=demo)),
        ("quotes", Quote.objects.filter(instrument__in=demo)),
        ("feed_states", FeedState.objects.filter(instrument__in=demo)),
        ("instruments", Instrument.objects.filter(is_demo=True)),
    ]


def count() -> dict[str, int]:
    """How many rows of each kind the demo has."""
    return counting.counts(_rows())


def remove() -> dict[str, int]:
    """Delete them, inside the caller's transaction."""
    return {name: rows.order_by()._raw_delete(rows.db) for name, rows in _rows()}


def real_prices_seen() -> bool:
    """Whether any real instrument ever had a price of a feed. If not, all decisions were about simulated prices."""
    return Quote.objects.filter(instrument__is_demo=False).exists()
