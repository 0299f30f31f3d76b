"""A scratch SQLite database for one replay: real rows are read, never written.

Replayed orders must not stand beside real paper orders, so a replay gets its own file with the instruments, the
calendars and the candles it needs, and the default connection of this process is pointed at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from assets.markets import timeframes
from orchestrator.conf import conf
from tradingsite.foundation.errors import NotFound
from tradingsite.settings import databases

CHUNK = 20_000
# A crash loses a replay, not money: no fsync per commit. Everything else is as in the real database.
_PRAGMAS = databases.SQLITE_PRAGMAS.replace("synchronous=FULL", "synchronous=OFF")
_FINE_WARMUP = timedelta(days=21)  # indicators on minutes look back days
_COARSE_WARMUP = timedelta(days=420)  # indicators on days look back a year
_COARSE_S = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Rows read from the real database, ready to be written into the scratch one."""

    instruments: list[dict[str, Any]]
    calendar_days: list[tuple[Any, ...]]
    series: list[tuple[int, str, int]]  # instrument id, timeframe, side


def choose(asset_types: Sequence[str], start: datetime, end: datetime) -> Source:
    """Instruments with candles between start and end, each with the finest timeframe that covers them by half.

    Raises NotFound when no instrument of the asset types has a candle in the period.
    """
    with connections["default"].cursor() as cursor:
        instruments = _instruments(cursor, asset_types)
        series = _stored_series(cursor, [row["id"] for row in instruments], start, end)
        cursor.execute("SELECT calendar, day, open_at, close_at, is_half_day FROM markets_calendarday")
        days = cursor.fetchall()
    chosen = []
    for row in instruments:
        stored = {(key[1], key[2]): span for key, span in series.items() if key[0] == row["id"]}
        if stored:
            row["timeframe"] = finest_covering(stored)
            chosen.append(row)
    if not chosen:
        raise NotFound(
            f"No stored candle of {', '.join(asset_types)} between {start:%Y-%m-%d} and {end:%Y-%m-%d}; "
            "import some with: manage.py import_candles PATH",
            code="no-candles",
        )
    finest = {row["id"]: timeframes.seconds(row["timeframe"]) for row in chosen}
    used = [key for key in series if timeframes.seconds(key[1]) >= finest.get(key[0], 10**9)]
    return Source(instruments=chosen, calendar_days=days, series=used)


def finest_covering(stored: dict[tuple[str, int], tuple[int, int]]) -> str:
    """The shortest bars that reach over at least half of the time for which there are any.

    A fortnight of minutes at the end of ten years of days makes nobody trade by minutes: orders would wait for bars
    that never close.
    """
    first = min(span[0] for span in stored.values())
    last = max(span[1] for span in stored.values())
    covering = {name for (name, _side), span in stored.items() if 2 * (span[1] - span[0]) >= last - first}
    return min(covering, key=timeframes.seconds)


def _instruments(cursor: CursorWrapper, asset_types: Sequence[str]) -> list[dict[str, Any]]:
    marks = ", ".join(["%s"] * len(asset_types))
    cursor.execute(
        f"SELECT * FROM markets_instrument WHERE asset_type IN ({marks}) AND NOT is_demo AND is_active ORDER BY id",  # noqa: S608
        list(asset_types),
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _stored_series(
    cursor: CursorWrapper, ids: Sequence[int], start: datetime, end: datetime
) -> dict[tuple[int, str, int], tuple[int, int]]:
    """From when to when there are bars, epoch seconds, by (instrument, timeframe, side).

    Two index probes each: a DISTINCT over all candles would read them all.
    """
    found = {}
    inside = (
        "FROM markets_candle WHERE instrument_id = %s AND timeframe = %s AND side = %s "
        "AND open_ts >= %s AND open_ts < %s"
    )
    for pk in ids:
        for timeframe in timeframes.NAMES:
            for side in (0, 1, 2):
                cursor.execute(
                    f"SELECT (SELECT MIN(open_ts) {inside}), (SELECT MAX(open_ts) {inside})",
                    [pk, timeframe, side, int(start.timestamp()), int(end.timestamp())] * 2,
                )
                first, last = cursor.fetchone()
                if first is not None:
                    found[pk, timeframe, side] = (first, last + timeframes.seconds(timeframe))
    return found


def _first_ts(timeframe: str, start: datetime) -> int:
    warmup = _COARSE_WARMUP if timeframes.seconds(timeframe) >= _COARSE_S else _FINE_WARMUP
    return int((start - warmup).timestamp())


# Nobody crashes and nobody competes on virtual time, where a minute passes in milliseconds: what guards against dead
# workers and second leaders need not look every few (virtual) seconds.
_ORCHESTRATOR = {
    "lease_ttl_s": 172_800.0,
    "lease_renew_s": 86_400.0,
    "sweep_s": 86_400.0,
    "fold_flush_s": 21_600.0,
}


@contextmanager
def replay_settings() -> Iterator[None]:
    """Stored candles of real instruments, not the demo twins of the simulated feed; a calm household."""
    before = settings.TRADING_FEED, settings.ORCHESTRATOR
    settings.TRADING_FEED, settings.ORCHESTRATOR = "replay", {**settings.ORCHESTRATOR, **_ORCHESTRATOR}
    conf.cache_clear()
    try:
        yield
    finally:
        settings.TRADING_FEED, settings.ORCHESTRATOR = before
        conf.cache_clear()


def earliest(start: datetime) -> datetime:
    """The oldest bar a replay from `start` may look back to."""
    return start - _COARSE_WARMUP


@contextmanager
def database(path: Path, source: Source, start: datetime, end: datetime) -> Iterator[int]:
    """Create `path`, fill it, and make it this process's default database. Yields the number of candles copied."""
    original = connections.settings["default"]
    origin = connections["default"]
    scratch = databases.sqlite(path)
    scratch["OPTIONS"]["init_command"] = _PRAGMAS
    try:
        connections.settings["default"] = _complete(scratch, original)
        del connections["default"]
        call_command("migrate", verbosity=0, interactive=False)
        copied = _fill(origin, source, start, end)
        yield copied
    finally:
        connections["default"].close()
        connections.settings["default"] = original
        connections["default"] = origin


def _complete(scratch: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """The keys Django's handler fills in at start-up, which a later entry must bring itself."""
    blanks = {"USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "TIME_ZONE": None, "ATOMIC_REQUESTS": False}
    return blanks | {"AUTOCOMMIT": True, "TEST": original["TEST"]} | scratch


def _fill(origin: Any, source: Source, start: datetime, end: datetime) -> int:
    copied = 0
    with transaction.atomic(), connections["default"].cursor() as write, origin.cursor() as read:
        for row in source.instruments:
            _insert(write, "markets_instrument", list(row), [tuple(row.values())])
        columns = ["calendar", "day", "open_at", "close_at", "is_half_day"]
        _insert(write, "markets_calendarday", columns, source.calendar_days)
        for pk, timeframe, side in source.series:
            copied += _copy_candles(read, write, pk, timeframe, side, _first_ts(timeframe, start), end)
    return copied


def _copy_candles(
    read: CursorWrapper,
    write: CursorWrapper,
    pk: int,
    timeframe: str,
    side: int,
    first_ts: int,
    end: datetime,
) -> int:
    columns = ["instrument_id", "timeframe", "side", "open_ts", "open", "high", "low", "close", "volume"]
    read.execute(
        f"SELECT {', '.join(columns)} FROM markets_candle WHERE instrument_id = %s AND timeframe = %s "  # noqa: S608
        "AND side = %s AND open_ts >= %s AND open_ts < %s ORDER BY open_ts",
        [pk, timeframe, side, first_ts, int(end.timestamp())],
    )
    count = 0
    while rows := read.fetchmany(CHUNK):
        _insert(write, "markets_candle", columns, rows)
        count += len(rows)
    return count


def _insert(cursor: CursorWrapper, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    marks = ", ".join(["%s"] * len(columns))
    plain = [tuple(str(v) if _needs_text(v) else v for v in row) for row in rows]
    cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", plain)  # noqa: S608


def _needs_text(value: Any) -> bool:
    """Exact decimals, days and instants are text in SQLite."""
    return not isinstance(value, (int, float, str, bytes, bool, type(None)))
