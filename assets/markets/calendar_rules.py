"""Calendars that are rules: always open, and the week of the currency market."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from assets.markets.series import Ints, Mask

_DAY = timedelta(days=1)


class AlwaysOpen:
    """A market that never closes. It has no sessions, but hours differ: Europe and America together are the busiest."""

    key = "24x7"
    periods_per_year = 365.0
    minutes_per_day = 1440

    def is_open(self, at: datetime) -> bool:
        return True

    def next_open(self, at: datetime) -> datetime | None:
        return None

    def next_close(self, at: datetime) -> datetime | None:
        return None

    def last_edge(self, at: datetime) -> datetime | None:
        return None

    def session(self, at: datetime) -> str:
        return "24x7"

    def activity(self, at: datetime) -> float:
        hour = at.astimezone(UTC).hour
        if 13 <= hour < 21:
            return 1.2
        return 1.0 if 7 <= hour < 13 else 0.9

    def closed_reason(self, at: datetime) -> str:
        return ""

    def open_seconds(self, start: datetime, end: datetime) -> float:
        return max(0.0, (end - start).total_seconds())

    def open_mask(self, ts: Ints) -> Mask:
        return np.ones(len(ts), dtype=np.bool_)

    def trading_days_between(self, start: datetime, end: datetime) -> int:
        return max(0, (end.astimezone(UTC).date() - start.astimezone(UTC).date()).days)


@dataclass(frozen=True, slots=True)
class _Centre:
    """A dealing centre: its working hours on its own clock, Monday to Friday, and how much it adds."""

    name: str
    zone: ZoneInfo
    opens: int
    closes: int
    weight: float


NEW_YORK = ZoneInfo("America/New_York")
CENTRES = (
    _Centre("Sydney", ZoneInfo("Australia/Sydney"), 7, 16, 0.5),
    _Centre("Tokyo", ZoneInfo("Asia/Tokyo"), 9, 18, 0.7),
    _Centre("London", ZoneInfo("Europe/London"), 8, 17, 1.1),
    _Centre("New York", NEW_YORK, 8, 17, 1.0),
)
_WEEK_EDGE_HOUR = 17  # Sunday to Friday, New York
_HOLIDAYS = ((12, 25), (1, 1))


@dataclass(frozen=True, slots=True)
class _Year:
    """One year and a fortnight on each side, cut at every edge. `edges[i]` starts the segment `i`."""

    edges: list[int]
    is_open: list[bool]
    session: list[str]
    activity: list[float]
    opens: list[int]
    closes: list[int]
    holidays: list[tuple[int, int]]  # only what would be open otherwise
    edge_array: Ints
    open_array: Mask


def _local(day: date, hour: int, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(hour), zone).timestamp())


class ForexWeek:
    """Sunday 17:00 to Friday 17:00 in New York; the centres live on their own clocks, so every DST date is right.

    Christmas Day and New Year's Day are closed, from 17:00 in New York on the eve to 17:00 on the day.
    """

    key = "fx-week"
    periods_per_year = 260.0
    minutes_per_day = 1440

    def is_open(self, at: datetime) -> bool:
        year, index = self._segment(at)
        return year.is_open[index]

    def next_open(self, at: datetime) -> datetime | None:
        return _following(self._year(at).opens, at)

    def next_close(self, at: datetime) -> datetime | None:
        return _following(self._year(at).closes, at)

    def last_edge(self, at: datetime) -> datetime | None:
        year, index = self._segment(at)
        return datetime.fromtimestamp(year.edges[index], UTC)

    def session(self, at: datetime) -> str:
        year, index = self._segment(at)
        return year.session[index]

    def activity(self, at: datetime) -> float:
        year, index = self._segment(at)
        return year.activity[index]

    def closed_reason(self, at: datetime) -> str:
        if self.is_open(at):
            return ""
        return "holiday" if _inside(self._year(at).holidays, int(at.timestamp())) else "weekend"

    def open_seconds(self, start: datetime, end: datetime) -> float:
        total, at = 0.0, start
        while at < end:
            closes = self.next_close(at)
            assert closes is not None
            if self.is_open(at):
                total += (min(closes, end) - at).total_seconds()
                at = closes
            else:
                opens = self.next_open(at)
                assert opens is not None
                at = opens
        return total

    def open_mask(self, ts: Ints) -> Mask:
        mask = np.zeros(len(ts), dtype=np.bool_)
        if not len(ts):
            return mask
        first = datetime.fromtimestamp(int(ts.min()), UTC).year
        last = datetime.fromtimestamp(int(ts.max()), UTC).year
        for year in range(first, last + 1):
            start, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
            inside = (ts >= start) & (ts < end)
            cut = _year(year)
            index = np.searchsorted(cut.edge_array, ts[inside], side="right") - 1
            mask[inside] = cut.open_array[index]
        return mask

    def trading_days_between(self, start: datetime, end: datetime) -> int:
        """Sundays, Saturdays and the two holidays do not count: a daily bar closes on the other days."""
        first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
        if last <= first:
            return 0
        holidays = [date(year, *day) for year in range(first.year, last.year + 1) for day in _HOLIDAYS]
        return int(np.busday_count(first + _DAY, last + _DAY, holidays=holidays))

    @staticmethod
    def _year(at: datetime) -> _Year:
        return _year(at.astimezone(UTC).year)

    def _segment(self, at: datetime) -> tuple[_Year, int]:
        year = self._year(at)
        return year, bisect_right(year.edges, at.timestamp()) - 1


def _following(edges: list[int], at: datetime) -> datetime | None:
    index = bisect_right(edges, at.timestamp())
    return datetime.fromtimestamp(edges[index], UTC) if index < len(edges) else None


@lru_cache(maxsize=64)
def _year(year: int) -> _Year:
    first, last = date(year, 1, 1) - 14 * _DAY, date(year + 1, 1, 1) + 14 * _DAY
    days = [first + n * _DAY for n in range((last - first).days)]
    weeks = [
        (_local(day, _WEEK_EDGE_HOUR, NEW_YORK), _local(day + 5 * _DAY, _WEEK_EDGE_HOUR, NEW_YORK))
        for day in days
        if day.weekday() == 6
    ]
    off = [
        (_local(day - _DAY, _WEEK_EDGE_HOUR, NEW_YORK), _local(day, _WEEK_EDGE_HOUR, NEW_YORK))
        for day in days
        if (day.month, day.day) in _HOLIDAYS
    ]
    holidays = [
        (max(a, opened), min(b, closed))
        for a, b in off
        for opened, closed in weeks
        if a < closed and opened < b
    ]
    spans = _without(weeks, holidays)
    opens, closes = [start for start, _end in spans], [end for _start, end in spans]
    hours = [_hours(centre, days) for centre in CENTRES]
    edges = sorted({*opens, *closes, *(edge for spans in hours for span in spans for edge in span)})
    state = [_state(edge, opens, closes, hours) for edge in edges]
    return _Year(
        edges=edges,
        is_open=[is_open for is_open, _, _ in state],
        session=[session for _, session, _ in state],
        activity=[activity for _, _, activity in state],
        opens=opens,
        closes=closes,
        holidays=holidays,
        edge_array=np.asarray(edges, dtype=np.int64),
        open_array=np.asarray([is_open for is_open, _, _ in state], dtype=np.bool_),
    )


def _without(spans: list[tuple[int, int]], cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans less the cuts, each of which lies within one of them."""
    left = []
    for start, end in spans:
        for a, b in cuts:
            if start <= a < end:
                if start < a:
                    left.append((start, a))
                start = b
        if start < end:
            left.append((start, end))
    return left


def _hours(centre: _Centre, days: list[date]) -> list[tuple[int, int]]:
    zone = centre.zone
    return [
        (_local(day, centre.opens, zone), _local(day, centre.closes, zone))
        for day in days
        if day.weekday() < 5
    ]


def _state(
    at: int, opens: list[int], closes: list[int], hours: list[list[tuple[int, int]]]
) -> tuple[bool, str, float]:
    is_open = _newest(opens, at) > _newest(closes, at)
    if not is_open:
        return False, "", 0.0
    running = [centre for centre, spans in zip(CENTRES, hours, strict=True) if _inside(spans, at)]
    activity = 0.3 + 0.7 * sum(centre.weight for centre in running)
    return True, "+".join(centre.name for centre in running), round(activity, 3)


def _newest(edges: list[int], at: int) -> int:
    index = bisect_right(edges, at)
    return edges[index - 1] if index else 0


def _inside(spans: list[tuple[int, int]], at: int) -> bool:
    index = bisect_right(spans, (at, 1 << 62)) - 1
    return index >= 0 and spans[index][0] <= at < spans[index][1]
