"""Reads of the set-up."""

from __future__ import annotations

from datetime import datetime, timedelta

from assets.markets import calendars
from assets.markets.models import CalendarDay, Instrument

ENOUGH = timedelta(days=200)


def calendars_lacking_days(now: datetime) -> list[str]:
    """Exchange calendars in use whose stored sessions do not reach far enough into the future."""
    used = Instrument.objects.order_by("calendar").values_list("calendar", flat=True).distinct()
    exchanges = [key for key in used if calendars.is_exchange(key)]
    return [
        key
        for key in exchanges
        if not CalendarDay.objects.filter(calendar=key, day__gt=(now + ENOUGH).date()).exists()
    ]
