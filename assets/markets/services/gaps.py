"""Missing bars: where they are, and fetching them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from assets.markets import calendars, hub, rawsql, timeframes
from assets.markets.feeds.base import Feed, FeedError
from assets.markets.models import Instrument, PriceSide
from assets.markets.series import Bars, Ints, Mask
from assets.markets.services import candles

_ROLLED: Final = ("1h", "1d")
_ROLL_DAYS: Final = {"1h": 7, "1d": 30}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Missing bars of one instrument, opening from `first_ts` to `last_ts`: `missing` of them while it is open."""

    instrument: Instrument
    timeframe: str
    side: PriceSide
    first_ts: int
    last_ts: int
    missing: int

    def as_row(self) -> dict[str, Any]:
        return {
            "instrument": self.instrument.symbol,
            "timeframe": self.timeframe,
            "side": self.side.name.lower(),
            "from": datetime.fromtimestamp(self.first_ts, UTC).isoformat(),
            "to": datetime.fromtimestamp(self.last_ts, UTC).isoformat(),
            "missing": self.missing,
        }


@dataclass(kw_only=True, slots=True)
class RepairReport:
    gaps: int = 0
    repaired: int = 0
    inserted: int = 0
    rejected: int = 0
    requests: int = 0
    errors: int = 0

    def as_summary(self) -> dict[str, int]:
        return asdict(self)


def find(
    instrument: Instrument,
    timeframe: str,
    *,
    side: PriceSide = PriceSide.TRADE,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Gap]:
    """Gaps between the oldest and the newest stored bar, or up to `end` when given. Closed hours are no gaps."""
    span = rawsql.span(instrument.pk, timeframe, int(side))
    if span is None:
        return []
    first, last = span
    length = timeframes.seconds(timeframe)
    if start is not None:
        first = max(first, first + -(-(int(start.timestamp()) - first) // length) * length)
    if end is not None:
        newest = int(end.timestamp()) - length
        last = newest - (newest - first) % length
    if last < first:
        return []
    stored = rawsql.times(instrument.pk, timeframe, int(side), first, last)
    missing = _missing(instrument, timeframe, stored, first, last)
    return [
        Gap(instrument=instrument, timeframe=timeframe, side=side, first_ts=a, last_ts=b, missing=count)
        for a, b, count in _runs(missing, stored)
    ]


def _missing(instrument: Instrument, timeframe: str, stored: Ints, first: int, last: int) -> Ints:
    """Opening times between the two at which a bar should be, but is not."""
    length = timeframes.seconds(timeframe)
    calendar = calendars.get(instrument.calendar)
    grid = np.arange(first, last + 1, length, dtype=np.int64)
    if length >= timeframes.DAY_S and calendar.key != "24x7":
        # A day counts when it has trading; in which hour its bar starts is the source's habit. Longer bars have gaps
        # only when nothing of the whole time is there.
        days = [calendar.trading_days_between(_at(ts - 1), _at(ts + length - 1)) > 0 for ts in grid.tolist()]
        expected = grid[np.asarray(days, dtype=np.bool_)] if days else grid[:0]
        present = np.isin((expected - first) // length, (stored - first) // length)
        return expected[~present]
    expected = grid[calendar.open_mask(grid)]
    if calendar.key == "24x7" or length <= 60:
        return expected[~np.isin(expected, stored)]
    # Bars of other markets may start beside our grid (at half past, at another hour after a change of summer time).
    before = np.searchsorted(stored, expected - length, side="right")
    after = np.searchsorted(stored, expected + length, side="left")
    is_missing: Mask = np.equal(before, after)
    return expected[is_missing]


def _at(ts: int) -> datetime:
    return datetime.fromtimestamp(ts, UTC)


def _runs(missing: Ints, stored: Ints) -> list[tuple[int, int, int]]:
    """Missing bars between the same two stored ones belong to one gap: (first, last, count)."""
    if not len(missing):
        return []
    place = np.searchsorted(stored, missing)
    starts = np.flatnonzero(np.concatenate(([True], place[1:] != place[:-1])))
    ends = np.concatenate((starts[1:], [len(missing)])) - 1
    return [
        (int(missing[a]), int(missing[b]), int(b - a + 1))
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def active(*, now: datetime, days: int) -> list[Gap]:
    """Gaps of the last `days` of all instruments that are traded now, in their feed's timeframe."""
    found: list[Gap] = []
    for instrument in _active_instruments():
        found += find(instrument, instrument.timeframe, start=now - timedelta(days=days), end=now)
    return found


def _active_instruments() -> Iterable[Instrument]:
    for asset_type in Instrument.objects.order_by().values_list("asset_type", flat=True).distinct():
        yield from hub.active_instruments(asset_type)


def listing(symbol: str | None, timeframe: str | None) -> list[Gap]:
    """Gaps of one instrument, or of all that have candles, in one or in all stored timeframes."""
    rows = [hub.by_symbol(symbol)] if symbol else list(Instrument.objects.all())
    found: list[Gap] = []
    far = 1 << 40
    kinds = rawsql.newest([row.pk for row in rows], far)
    for row in rows:
        for name, side in sorted(kinds[row.pk]):
            if timeframe in (None, name):
                found += find(row, name, side=PriceSide(side))
    return found


def repair(
    feed: Feed, gaps: Sequence[Gap], *, now: datetime, guard: Callable[[], None], limit: int
) -> RepairReport:
    """Fetch missing bars, newest gap first, at most `limit`. One instrument's error does not stop the others."""
    report = RepairReport(gaps=len(gaps))
    left = limit
    for gap in sorted(gaps, key=lambda item: -item.last_ts):
        if left <= 0:
            break
        guard()
        try:
            for bars in feed.history(gap.instrument, gap.timeframe, gap.first_ts, gap.last_ts, now):
                report.requests += 1
                left -= len(bars)
                _count(report, _store(gap, bars, feed.name, now))
        except FeedError:
            report.errors += 1  # the feed's own state says why; the gap is found again by the next run
            continue
        report.repaired += 1
    return report


def _store(gap: Gap, bars: Bars, source: str, now: datetime) -> candles.StoreReport:
    return candles.store(gap.instrument, gap.timeframe, bars, side=gap.side, source=source, now=now)


def _count(report: RepairReport, stored: candles.StoreReport) -> None:
    report.inserted += stored.inserted
    report.rejected += stored.rejected_count


def roll_up(*, now: datetime, guard: Callable[[], None]) -> int:
    """Hourly and daily bars of the last days, made of finer ones where none is stored. Returns how many were stored."""
    stored = 0
    for instrument in _active_instruments():
        for timeframe in _ROLLED:
            if timeframes.seconds(instrument.timeframe) >= timeframes.seconds(timeframe):
                continue
            guard()
            limit = _ROLL_DAYS[timeframe] * timeframes.DAY_S // timeframes.seconds(timeframe)
            series = hub.series(instrument, timeframe, end=now, limit=limit, side=PriceSide.TRADE)
            bars = Bars(
                ts=series.ts, open=series.open, high=series.high,
                low=series.low, close=series.close, volume=series.volume,
            )  # fmt: skip
            # The first one may have begun before our fine bars did.
            stored += candles.store(
                instrument, timeframe, bars.take(slice(1, None)), source="roll-up", now=now
            ).inserted
    return stored
