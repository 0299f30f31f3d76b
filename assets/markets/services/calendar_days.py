"""Trading days of exchanges, taken from the calendar library and kept as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from django.db import transaction

from assets.markets import calendars, universe
from assets.markets.models import CalendarDay

FIRST_DAY: Final = date(1993, 1, 1)
YEARS_AHEAD: Final = 2
_FULL_DAY_S: Final = 390 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncReport:
    calendar: str
    days: int
    added: int
    changed: int
    removed: int


def sync(calendar: str, now: datetime, *, start: date = FIRST_DAY) -> SyncReport:
    """Bring the stored days of an exchange up to two years ahead. Idempotent.

    Days that were announced as trading days and are not any more (a day of mourning) are removed.
    """
    wanted = {
        row.day: row for row in _days(calendar, start, now.date().replace(year=now.year + YEARS_AHEAD, day=1))
    }
    with transaction.atomic():
        stored = {row.day: row for row in CalendarDay.objects.filter(calendar=calendar)}
        added = [row for day, row in wanted.items() if day not in stored]
        changed = [_changed(stored[day], row) for day, row in wanted.items() if day in stored]
        different = [row for row in changed if row is not None]
        gone = [row.pk for day, row in stored.items() if day >= start and day not in wanted]
        CalendarDay.objects.bulk_create(added, batch_size=500, ignore_conflicts=True)
        CalendarDay.objects.bulk_update(different, ("open_at", "close_at", "is_half_day"), batch_size=200)
        CalendarDay.objects.filter(pk__in=gone).delete()
    calendars.forget()
    return SyncReport(
        calendar=calendar, days=len(wanted), added=len(added), changed=len(different), removed=len(gone)
    )


def _changed(stored: CalendarDay, wanted: CalendarDay) -> CalendarDay | None:
    """The stored row with the wanted values, or None when they are the same."""
    names = ("open_at", "close_at", "is_half_day")
    if all(getattr(stored, name) == getattr(wanted, name) for name in names):
        return None
    for name in names:
        setattr(stored, name, getattr(wanted, name))
    return stored


def _days(calendar: str, start: date, end: date) -> list[CalendarDay]:
    import exchange_calendars  # brings pandas along: only this command pays for it

    try:
        # Without `end` the library stops a year from today.
        source = exchange_calendars.get_calendar(calendar, start=start.isoformat(), end=end.isoformat())
    except exchange_calendars.errors.InvalidCalendarName as e:
        raise calendars.CalendarMissing(f"The calendar library does not know {calendar!r}.") from e
    rows = []
    for day, opens, closes in zip(source.sessions, source.opens, source.closes, strict=True):
        rows.append(
            CalendarDay(
                calendar=calendar,
                day=day.date(),
                open_at=opens.to_pydatetime(),
                close_at=closes.to_pydatetime(),
                is_half_day=(closes - opens).total_seconds() < _FULL_DAY_S,
            )
        )
    return rows


def in_use() -> list[str]:
    """Exchanges whose days are needed: those of declared instruments that are not rules."""
    keys = {spec.calendar for spec in universe.declared()}
    return sorted(key for key in keys if key not in calendars.RULES)
