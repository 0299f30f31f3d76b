"""Calendars that are data: the trading days of an exchange as stored in `CalendarDay`."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from assets.markets.series import Ints, Mask
from tradingsite.foundation import clock

_RECHECK_S: Final = 300.0  # another process may have synced meanwhile
_RECHECK_EMPTY_S: Final = 5.0
_HORIZON_S: Final = 10 * 86400  # the longest an exchange stays closed; beyond the stored days we know nothing


@dataclass(frozen=True, slots=True)
class _Days:
    opens: list[int] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)
    half: list[bool] = field(default_factory=list)
    edges: list[int] = field(default_factory=list)
    open_array: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    close_array: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class ExchangeDays:
    """Opening hours of an exchange, with its holidays and early closes. Read once, bisected ever after."""

    periods_per_year = 252.0
    minutes_per_day = 390

    def __init__(self, key: str) -> None:
        self.key = key
        self._days = _Days()
        self._checked_at: float | None = None

    def forget(self) -> None:
        # Dropped, not only marked: corrected hours may leave the number of days as it was.
        self._days = _Days()
        self._checked_at = None

    def is_open(self, at: datetime) -> bool:
        days = self._load()
        ts = at.timestamp()
        index = bisect_right(days.opens, ts) - 1
        return index >= 0 and ts < days.closes[index]

    def next_open(self, at: datetime) -> datetime | None:
        return _following(self._load().opens, at)

    def next_close(self, at: datetime) -> datetime | None:
        return _following(self._load().closes, at)

    def last_edge(self, at: datetime) -> datetime | None:
        edges = self._load().edges
        index = bisect_right(edges, at.timestamp()) - 1
        return datetime.fromtimestamp(edges[index], UTC) if index >= 0 else None

    def session(self, at: datetime) -> str:
        return "regular" if self.is_open(at) else ""

    def activity(self, at: datetime) -> float:
        """The day of an exchange is a U: the first and last hour are busy, noon is quiet."""
        days = self._load()
        ts = at.timestamp()
        index = bisect_right(days.opens, ts) - 1
        if index < 0 or ts >= days.closes[index]:
            return 0.0
        since, left = ts - days.opens[index], days.closes[index] - ts
        if since < 3600:
            return 1.5
        return 1.4 if left <= 3600 else 0.8

    def closed_reason(self, at: datetime) -> str:
        days = self._load()
        ts = at.timestamp()
        if not days.opens or ts < days.opens[0] - _HORIZON_S or ts > days.closes[-1]:
            return "calendar_missing"
        index = bisect_right(days.opens, ts) - 1
        if index >= 0 and ts < days.closes[index]:
            return ""
        today = at.astimezone(UTC).date()
        nearest = days.opens[index : index + 2] if index >= 0 else days.opens[:1]
        if any(datetime.fromtimestamp(opens, UTC).date() == today for opens in nearest):
            return "early_close" if self._closed_early(days, index, today.toordinal()) else "after_hours"
        if today.weekday() >= 5:
            return "weekend"
        # The evening of a session that is the next day in UTC, or a weekday without a session.
        if index >= 0 and ts - days.closes[index] < 8 * 3600:
            return "after_hours"
        return "holiday"

    @staticmethod
    def _closed_early(days: _Days, index: int, today: int) -> bool:
        closed_today = (
            index >= 0 and datetime.fromtimestamp(days.closes[index], UTC).date().toordinal() == today
        )
        return closed_today and days.half[index]

    def open_seconds(self, start: datetime, end: datetime) -> float:
        days = self._load()
        first, last = start.timestamp(), end.timestamp()
        if last <= first:
            return 0.0
        index = max(0, bisect_right(days.opens, first) - 1)
        total = 0.0
        while index < len(days.opens) and days.opens[index] < last:
            total += max(0.0, min(days.closes[index], last) - max(days.opens[index], first))
            index += 1
        return total

    def open_mask(self, ts: Ints) -> Mask:
        days = self._load()
        if not days.opens:
            return np.zeros(len(ts), dtype=np.bool_)
        index = np.searchsorted(days.open_array, ts, side="right") - 1
        return (index >= 0) & (ts < days.close_array[np.maximum(index, 0)])

    def trading_days_between(self, start: datetime, end: datetime) -> int:
        opens = self._load().opens
        after = datetime.combine(start.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
        until = datetime.combine(end.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
        return max(0, bisect_right(opens, until.timestamp() - 1) - bisect_right(opens, after.timestamp() - 1))

    def _load(self) -> _Days:
        wait = _RECHECK_S if self._days.opens else _RECHECK_EMPTY_S
        if self._checked_at is None or clock.RealClock().monotonic() - self._checked_at > wait:
            self._days = _read(self.key, self._days)
            self._checked_at = clock.RealClock().monotonic()
        return self._days


def _following(edges: list[int], at: datetime) -> datetime | None:
    index = bisect_right(edges, at.timestamp())
    return datetime.fromtimestamp(edges[index], UTC) if index < len(edges) else None


def _read(key: str, known: _Days) -> _Days:
    from assets.markets.models import CalendarDay

    rows = CalendarDay.objects.filter(calendar=key).order_by("open_at")
    newest = rows.values_list("close_at", flat=True).last()
    if newest is not None and known.closes and known.closes[-1] == int(newest.timestamp()):
        if rows.count() == len(known.closes):
            return known
    columns = rows.values_list("open_at", "close_at", "is_half_day").iterator()
    found = [(int(opens.timestamp()), int(closes.timestamp()), half) for opens, closes, half in columns]
    opens, closes = [row[0] for row in found], [row[1] for row in found]
    return _Days(
        opens=opens,
        closes=closes,
        half=[row[2] for row in found],
        edges=sorted((*opens, *closes)),
        open_array=np.asarray(opens, dtype=np.int64),
        close_array=np.asarray(closes, dtype=np.int64),
    )
