"""When markets are open. All times aware UTC; a market is open at the opening second and closed at the closing one.

    calendar = calendars.get("fx-week")
    calendar.is_open(at), calendar.next_open(at), calendar.last_edge(at), calendar.session(at) ...

`24x7` and `fx-week` are rules; an exchange such as XNYS is data (`CalendarDay`, filled by `manage.py sync_calendars`). An
exchange without rows, or asked outside the days stored, is treated as closed with the reason `calendar_missing`.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final, Protocol

from assets.markets.calendar_days import ExchangeDays
from assets.markets.calendar_rules import AlwaysOpen, ForexWeek
from assets.markets.series import Ints, Mask
from tradingsite.foundation.errors import NotFound


class CalendarMissing(NotFound):
    """No such calendar, or it has no stored days. Run `manage.py sync_calendars`; until then it counts as closed."""

    default_code = "calendar-missing"


class Calendar(Protocol):
    """The opening hours of a market."""

    key: str
    periods_per_year: float  # trading days a year, for annualising daily figures: 365, ~260, 252
    minutes_per_day: int  # of an ordinary trading day

    def is_open(self, at: datetime) -> bool: ...

    def next_open(self, at: datetime) -> datetime | None:
        """The first opening after `at`; None when it never closes or nothing is known."""

    def next_close(self, at: datetime) -> datetime | None:
        """The first close after `at`; None when it never closes or nothing is known."""

    def last_edge(self, at: datetime) -> datetime | None:
        """The newest opening, close or session edge at or before `at`; None when there is none."""

    def session(self, at: datetime) -> str:
        """Names of the running sessions, joined by "+"; empty when closed."""

    def activity(self, at: datetime) -> float:
        """How busy the market usually is at that time: 1 is an ordinary hour, 0 is closed."""

    def closed_reason(self, at: datetime) -> str:
        """ "" when open, else weekend, holiday, early_close, after_hours or calendar_missing."""

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """How many of the seconds between the two the market is open. 0 when `end` is not after `start`."""

    def open_mask(self, ts: Ints) -> Mask:
        """For many epoch seconds at once: is it open?"""

    def trading_days_between(self, start: datetime, end: datetime) -> int:
        """How many UTC dates after that of `start` up to and with that of `end` have trading."""


RULES: Final = (AlwaysOpen.key, ForexWeek.key)


@lru_cache(maxsize=1)
def _rules() -> dict[str, Calendar]:
    return {AlwaysOpen.key: AlwaysOpen(), ForexWeek.key: ForexWeek()}


_exchanges: dict[str, ExchangeDays] = {}


def get(key: str) -> Calendar:
    """The calendar of that name. Raises CalendarMissing for a name that is neither a rule nor an exchange."""
    rule = _rules().get(key)
    if rule is not None:
        return rule
    if not key or not key.isalnum() or not key.isupper():
        raise CalendarMissing(f"There is no calendar {key!r}.")
    exchange = _exchanges.get(key)
    if exchange is None:
        exchange = _exchanges[key] = ExchangeDays(key)
    return exchange


def is_exchange(key: str) -> bool:
    """True when the calendar is data about an exchange's days, not a rule."""
    return key not in _rules()


def require(key: str, at: datetime) -> Calendar:
    """As `get`, but raises CalendarMissing when the calendar knows nothing about `at`."""
    calendar = get(key)
    if calendar.closed_reason(at) == "calendar_missing":
        raise CalendarMissing(
            f"The calendar {key} has no days around {at:%Y-%m-%d}; run manage.py sync_calendars."
        )
    return calendar


def forget() -> None:
    """Read stored days again at the next question (after a sync, and between tests)."""
    for exchange in _exchanges.values():
        exchange.forget()
