"""The one way candles get into the database: gate, compare with what is there, write what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final

import numpy as np
from django.db import connection, transaction

from assets.markets import quality, rawsql, timeframes
from assets.markets.models import Instrument, PriceSide, RejectedCandle
from assets.markets.quality import Reason, Verdict
from assets.markets.series import Bars, Mask, bars_of, concat

CHUNK: Final = 20_000  # bars a transaction: SQLite's only writer must not hold the others up
_EXACT_LOOKUP: Final = 300  # so few bars are looked up one by one instead of as a range
_ROWS: Final = 100  # bars a statement on SQLite: more than twice as fast as one
_RAW_LENGTH: Final = 400
_SHOWN: Final = 20


@dataclass(kw_only=True, slots=True)
class StoreReport:
    """What happened to a delivery. `rejected` counts by reason; `released` were refused before, confirmed now."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    released: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)  # the first of them

    @property
    def accepted_count(self) -> int:
        return self.inserted + self.updated + self.unchanged

    @property
    def rejected_count(self) -> int:
        return sum(self.rejected.values())

    def add(self, other: StoreReport) -> None:
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.released += other.released
        for reason, count in other.rejected.items():
            self.rejected[reason] = self.rejected.get(reason, 0) + count


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Which bars are meant."""

    instrument: Instrument
    timeframe: str
    side: PriceSide

    @property
    def key(self) -> tuple[int, str, int]:
        return (self.instrument.pk, self.timeframe, int(self.side))


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A bar that goes to quarantine, as it came. `open_ts` is None when its time could not be read."""

    reason: Reason
    raw: str
    open_ts: int | None = None
    line: int | None = None


def store(
    instrument: Instrument,
    timeframe: str,
    bars: Bars,
    *,
    side: int = PriceSide.TRADE,
    source: str,
    now: datetime,
    lines: Sequence[int] | None = None,
) -> StoreReport:
    """Judge and store bars in any order. Storing the same again changes nothing.

    A bar that is there already with other numbers is replaced (venues correct their candles). Refused bars are kept in
    `RejectedCandle` with reason, `source` and their line (from `lines`). A refused spike is released when the bars
    after it confirm the new level. Raises UnknownTimeframe.
    """
    timeframes.seconds(timeframe)
    target = Series(instrument=instrument, timeframe=timeframe, side=PriceSide(side))
    report = StoreReport()
    if not len(bars):
        return report
    waiting = _waiting_spikes(target, bars)
    count = len(waiting)
    verdict = _judge(target, concat((bars, waiting)), now)
    report.unchanged += verdict.repeats
    good = verdict.bars.take(verdict.accepted)
    for start in range(0, len(good), CHUNK):
        _write(target, good.take(slice(start, start + CHUNK)), report)
    refused = _refused(verdict, len(bars), lines)
    quarantine(target, refused, source=source, now=now, report=report)
    if count:
        report.released = _release(target, waiting, verdict)
    return report


def _judge(target: Series, bars: Bars, now: datetime) -> Verdict:
    length = timeframes.seconds(target.timeframe)
    sane = bars.ts[(bars.ts > 0) & (bars.ts < 1 << 40)]
    first, last = (int(sane.min()), int(sane.max())) if len(sane) else (0, 0)
    return quality.check(
        bars,
        length_s=length,
        grain_s=timeframes.grain(target.timeframe, target.instrument.calendar),
        now_ts=int(now.timestamp()),
        before=rawsql.tail(*target.key, first - 1, quality.CONTEXT_BARS),
        after=rawsql.head(*target.key, last + 1, quality.AFTER_BARS),
    )


# --- Writing ----------------------------------------------------------------------------------------------------


def _write(target: Series, bars: Bars, report: StoreReport) -> None:
    """Insert what is new, replace what differs, count the rest. `bars` is sorted and has no time twice."""
    known = _known(target, bars)
    is_known, is_same = compare(bars, known)
    changed = bars.take(~is_same)
    if len(changed):
        with transaction.atomic():
            _upsert(target, changed)
    report.inserted += int((~is_known).sum())
    report.updated += int((is_known & ~is_same).sum())
    report.unchanged += int(is_same.sum())


def _known(target: Series, bars: Bars) -> Bars:
    if len(bars) <= _EXACT_LOOKUP:
        return rawsql.at_times(*target.key, bars.ts.tolist())
    return rawsql.between(*target.key, int(bars.ts[0]), int(bars.ts[-1]))


def compare(bars: Bars, known: Bars) -> tuple[Mask, Mask]:
    """For each bar: is its time known, and are all its numbers the same?"""
    if not len(known):
        nothing = np.zeros(len(bars), dtype=np.bool_)
        return nothing, nothing
    index = np.minimum(np.searchsorted(known.ts, bars.ts), len(known) - 1)
    is_known = known.ts[index] == bars.ts
    is_same = is_known.copy()
    for mine, theirs in zip(bars.columns()[1:], known.columns()[1:], strict=True):
        is_same &= mine == theirs[index]
    return is_known, is_same


_CONFLICT: Final = (
    'ON CONFLICT ("instrument_id", "timeframe", "side", "open_ts") DO UPDATE SET "open" = excluded."open", '
    '"high" = excluded."high", "low" = excluded."low", "close" = excluded."close", "volume" = excluded."volume"'
)
_INSERT: Final = f'INSERT INTO {rawsql.TABLE} ("instrument_id", "timeframe", "side", {rawsql.COLUMNS}) '


def _upsert(target: Series, bars: Bars) -> None:
    """Write bars. Two processes may write the same ones: the unique constraint makes the second an update."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            arrays = "%s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::float8[]"
            sql = f"{_INSERT} SELECT %s, %s, %s, bar.* FROM unnest({arrays}) AS bar {_CONFLICT}"  # noqa: S608
            cursor.execute(sql, (*target.key, *(column.tolist() for column in bars.columns())))
            return
        for rows in (_ROWS, 1):
            whole = len(bars) // rows * rows
            if whole:
                cursor.executemany(_insert_of(target, rows), _flat(bars.take(slice(0, whole)), rows))
                bars = bars.take(slice(whole, None))


def _insert_of(target: Series, rows: int) -> str:
    pk, timeframe, side = target.key
    # The key stands in the statement: three values less to bind for each of a million rows.
    row = f"({int(pk)}, '{timeframe}', {int(side)}, %s, %s, %s, %s, %s, %s)"
    return f"{_INSERT} VALUES {', '.join([row] * rows)} {_CONFLICT}"


def _flat(bars: Bars, rows: int) -> list[list[float]]:
    """The values of `rows` bars after each other, for each statement."""
    values = list(chain.from_iterable(bars.rows()))
    size = rows * len(bars.columns())
    return [values[start : start + size] for start in range(0, len(values), size)]


# --- Quarantine -------------------------------------------------------------------------------------------------


def _refused(verdict: Verdict, new: int, lines: Sequence[int] | None) -> list[Refused]:
    """The refused bars of this delivery (older spikes that were judged again are not news)."""
    refused = []
    for index in np.flatnonzero(~verdict.accepted).tolist():
        source = int(verdict.source[index])
        if source < new:
            bar = verdict.bars.take(slice(index, index + 1)).rows()[0]
            line = None if lines is None else int(lines[source])
            refused.append(
                Refused(
                    reason=verdict.reason(index), raw=raw_text(bar), open_ts=_plausible(bar[0]), line=line
                )
            )
    return refused


def raw_text(bar: Sequence[float]) -> str:
    """A bar as one line: opening time, then the numbers as Python writes them."""
    return ",".join(repr(value) for value in bar)


def _plausible(ts: float) -> int | None:
    return int(ts) if abs(ts) < 1 << 40 else None


def quarantine(
    target: Series, refused: Sequence[Refused], *, source: str, now: datetime, report: StoreReport
) -> None:
    """Keep refused bars and count them. The same bar refused for the same reason is kept once."""
    for start in range(0, len(refused), CHUNK // 4):
        part = refused[start : start + CHUNK // 4]
        RejectedCandle.objects.bulk_create(
            (_rejected(target, item, source, now) for item in part), ignore_conflicts=True
        )
    report.refused += refused[: _SHOWN - len(report.refused)]
    for item in refused:
        report.rejected[item.reason.value] = report.rejected.get(item.reason.value, 0) + 1


def _rejected(target: Series, item: Refused, source: str, now: datetime) -> RejectedCandle:
    return RejectedCandle(
        instrument=target.instrument,
        timeframe=target.timeframe,
        side=target.side,
        reason=item.reason.value,
        # PostgreSQL cannot store a null character; nobody needs more of a wrong line than its beginning.
        raw=item.raw.replace("\x00", "\\x00")[:_RAW_LENGTH],
        open_ts=item.open_ts,
        source=source[-200:],
        line=item.line,
        received_at=now,
    )


def _waiting_spikes(target: Series, bars: Bars) -> Bars:
    """Spikes refused just before these bars: the new ones may confirm them."""
    length = timeframes.seconds(target.timeframe)
    first = int(bars.ts.min())
    rows = RejectedCandle.objects.filter(
        instrument=target.instrument,
        timeframe=target.timeframe,
        side=target.side,
        reason=Reason.SPIKE.value,
        open_ts__gte=first - (quality.AFTER_BARS + 1) * length,
        open_ts__lt=first,
    )
    return bars_of(sorted({_parsed(raw) for raw in rows.values_list("raw", flat=True)}))


def _parsed(raw: str) -> tuple[float, ...]:
    return tuple(float(part) for part in raw.split(","))


def _release(target: Series, waiting: Bars, verdict: Verdict) -> int:
    """Forget the quarantine of spikes that were accepted this time. Returns how many."""
    confirmed: Mapping[int, bool] = dict(
        zip(verdict.bars.ts.tolist(), verdict.accepted.tolist(), strict=True)
    )
    times = [ts for ts in waiting.ts.tolist() if confirmed.get(ts)]
    if times:
        RejectedCandle.objects.filter(
            instrument=target.instrument,
            timeframe=target.timeframe,
            side=target.side,
            reason=Reason.SPIKE.value,
            open_ts__in=times,
        ).delete()
    return len(times)
