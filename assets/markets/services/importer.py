"""Candle files into the database: streamed, judged, idempotent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np

from assets.markets import filenames, files, quality, rawsql, timeframes, universe
from assets.markets.files import Block, FileRefused
from assets.markets.models import Instrument, PriceSide
from assets.markets.quality import Reason
from assets.markets.series import Ints, Mask
from assets.markets.services import candles, instruments
from assets.markets.services.candles import Refused, Series, StoreReport
from tradingsite.foundation import clock

_PROBE_ROWS: Final = 1_000  # when most of the first rows are wrong the file is not what its name says
_SHOWN: Final = 20

Progress = Callable[[float, int], None]
"""Told how much of the file is read (0..1) and how many rows."""


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What an import did. `problems` has the first bad lines as (line, reason)."""

    path: str
    symbol: str
    timeframe: str
    side: str
    rows: int = 0
    stored: StoreReport = field(default_factory=StoreReport)
    problems: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


def import_file(
    path: Path | str,
    *,
    instrument: Instrument | str | None = None,
    timeframe: str | None = None,
    asset_type: str | None = None,
    side: int | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Store the candles of a CSV (plain or gzip) or Parquet file.

    What is not said is read from the name (SYMBOL_TIMEFRAME[_segment]) and the folder (asset type). Bad rows go to
    quarantine with their line; the rest is stored. Raises FileRefused when the whole file is wrong: then nothing was
    stored. Importing the same file again changes nothing.
    """
    path = Path(path)
    started = clock.monotonic()
    now = clock.now()
    name = filenames.parse(path)
    blocks = files.read(path)
    first = next(blocks, None)
    if first is None or not (len(first.bars) or first.bad):
        raise FileRefused(f"{path.name} has no candles.", line=1)
    frame = _timeframe(timeframe or name.timeframe, path)
    target = Series(
        instrument=_instrument(instrument or name.symbol, asset_type or name.folder, first, path),
        timeframe=frame,
        side=PriceSide(name.side if side is None else side),
    )
    _probe(first, target, now)
    report = ImportReport(
        path=path.name, symbol=target.instrument.symbol, timeframe=frame, side=target.side.name.lower()
    )
    _Import(target, path.name, now, report).run(chain((first,), blocks), progress)
    report.seconds = clock.monotonic() - started
    return report


def _timeframe(name: str, path: Path) -> str:
    if not name:
        raise FileRefused(
            f"The name {path.name} does not say the timeframe (SYMBOL_1m.csv); give it explicitly."
        )
    timeframes.seconds(name)
    return name


def _instrument(wanted: Instrument | str, asset_type: str, first: Block, path: Path) -> Instrument:
    if isinstance(wanted, Instrument):
        return wanted
    if not wanted:
        raise FileRefused(
            f"The name {path.name} does not say the instrument (SYMBOL_1m.csv); give it explicitly."
        )
    known = instruments.find(wanted)
    if known is not None:
        return known
    if asset_type not in universe.asset_types():
        raise FileRefused(
            f"{wanted} is not a known instrument and {asset_type!r} is not an asset type "
            f"({', '.join(universe.asset_types()) or 'none is registered'})."
        )
    closes = first.bars.close[np.isfinite(first.bars.close) & (first.bars.close > 0)]
    return instruments.ensure(
        wanted, asset_type, tick_size=_tick(float(np.median(closes)) if len(closes) else 1.0)
    )


def _tick(price: float) -> Decimal:
    """A step of about a thousandth of a percent of the price, for instruments nobody described."""
    return Decimal(1).scaleb(max(-12, math.floor(math.log10(price)) - 5))


def _probe(block: Block, target: Series, now: datetime) -> None:
    """Raises FileRefused when more than half of the first rows are wrong."""
    part = block.bars.take(slice(0, _PROBE_ROWS))
    verdict = quality.check(
        part,
        length_s=timeframes.seconds(target.timeframe),
        grain_s=timeframes.grain(target.timeframe, target.instrument.calendar),
        now_ts=int(now.timestamp()),
    )
    wrong = [
        (int(block.lines[verdict.source[index]]), verdict.reason(index))
        for index in np.flatnonzero(~verdict.accepted).tolist()
    ]
    last = int(block.lines[len(part) - 1]) if len(part) else 1 << 62
    wrong += [(bad.line, Reason.UNPARSABLE) for bad in islice(block.bad, _PROBE_ROWS) if bad.line <= last]
    if 2 * len(wrong) > len(part) + sum(bad.line <= last for bad in block.bad):
        line, reason = min(wrong)
        raise FileRefused(
            f"{reason.value}; {len(wrong)} of the first rows are no {target.timeframe} candles, nothing was stored",
            line=line,
        )


class _Import:
    """One run over one file."""

    def __init__(self, target: Series, source: str, now: datetime, report: ImportReport) -> None:
        self._target, self._source, self._now, self._report = target, source, now, report
        self._seen: list[Ints] = []
        self._newest = -(1 << 62)

    def run(self, blocks: Iterator[Block], progress: Progress | None) -> None:
        for block in blocks:
            self._report.rows += len(block.bars) + len(block.bad)
            self._unparsable(block)
            self._store(self._without_conflicts(block))
            if progress is not None:
                progress(block.done, self._report.rows)

    def _unparsable(self, block: Block) -> None:
        refused = [Refused(reason=Reason.UNPARSABLE, raw=bad.raw, line=bad.line) for bad in block.bad]
        self._quarantine(refused)

    def _store(self, block: Block) -> None:
        stored = candles.store(
            self._target.instrument, self._target.timeframe, block.bars,
            side=self._target.side, source=self._source, now=self._now, lines=block.lines.tolist(),
        )  # fmt: skip
        self._report.stored.add(stored)
        for item in stored.refused:
            self._problem(item)
        if len(block.bars):
            self._seen.append(block.bars.ts)
            self._newest = max(self._newest, int(block.bars.ts.max()))

    def _without_conflicts(self, block: Block) -> Block:
        """Within a file the first bar of a time stands, also across blocks; a later one that differs is refused."""
        if not len(block.bars) or int(block.bars.ts.min()) > self._newest:
            return block
        again = np.isin(block.bars.ts, np.concatenate(self._seen))
        conflict = again & self._differs(block, again)
        if not conflict.any():
            return block
        rows = block.bars.take(conflict).rows()
        self._quarantine(
            [
                Refused(reason=Reason.DUPLICATE, raw=candles.raw_text(row), open_ts=row[0], line=line)
                for row, line in zip(rows, block.lines[conflict].tolist(), strict=True)
            ]
        )
        return Block(bars=block.bars.take(~conflict), lines=block.lines[~conflict])

    def _differs(self, block: Block, again: Mask) -> Mask:
        """Which of the repeated bars are stored with other numbers."""
        times = block.bars.ts[again]
        known = rawsql.between(*self._target.key, int(times.min()), int(times.max())) if len(times) else None
        if known is None or not len(known):
            return np.zeros(len(block.bars), dtype=np.bool_)
        is_known, is_same = candles.compare(block.bars, known)
        return is_known & ~is_same

    def _quarantine(self, refused: list[Refused]) -> None:
        if refused:
            candles.quarantine(
                self._target, refused, source=self._source, now=self._now, report=self._report.stored
            )
            for item in refused:
                self._problem(item)

    def _problem(self, item: Refused) -> None:
        if len(self._report.problems) < _SHOWN and item.line is not None:
            self._report.problems.append((item.line, item.reason.value))
