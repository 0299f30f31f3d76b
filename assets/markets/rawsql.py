"""Candles straight from the database into arrays. The ORM would build an object per bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Final

import numpy as np
from django.db import connection

from assets.markets import timeframes
from assets.markets.models import PriceSide
from assets.markets.series import Bars, Ints, bars_of, concat

TABLE: Final = "markets_candle"
COLUMNS: Final = '"open_ts", "open", "high", "low", "close", "volume"'
_FETCH: Final = 50_000
_KEY: Final = '"instrument_id" = %s AND "timeframe" = %s AND "side" = %s'

Newest = dict[tuple[str, int], int]
"""(timeframe, side) -> opening time of the newest closed bar."""


def tail(instrument_id: int, timeframe: str, side: int, last_ts: int, limit: int) -> Bars:
    """The newest `limit` bars opening at or before `last_ts`, oldest first."""
    sql = (
        f'SELECT {COLUMNS} FROM {TABLE} WHERE {_KEY} AND "open_ts" <= %s '  # noqa: S608 - constants only
        'ORDER BY "open_ts" DESC LIMIT %s'
    )
    return _reversed(_fetch(sql, (instrument_id, timeframe, side, last_ts, limit)))


def between(instrument_id: int, timeframe: str, side: int, first_ts: int, last_ts: int) -> Bars:
    """All bars opening from `first_ts` to `last_ts`, both included, oldest first."""
    sql = (
        f'SELECT {COLUMNS} FROM {TABLE} WHERE {_KEY} AND "open_ts" BETWEEN %s AND %s '  # noqa: S608
        'ORDER BY "open_ts"'
    )
    return _fetch(sql, (instrument_id, timeframe, side, first_ts, last_ts))


def at_times(instrument_id: int, timeframe: str, side: int, times: Sequence[int]) -> Bars:
    """The bars opening exactly at `times` (a few hundred at most), oldest first."""
    marks = ", ".join(["%s"] * len(times))
    sql = (
        f'SELECT {COLUMNS} FROM {TABLE} WHERE {_KEY} AND "open_ts" IN ({marks}) '  # noqa: S608
        'ORDER BY "open_ts"'
    )
    return _fetch(sql, (instrument_id, timeframe, side, *times))


def head(instrument_id: int, timeframe: str, side: int, first_ts: int, limit: int) -> Bars:
    """The oldest `limit` bars opening at or after `first_ts`, oldest first."""
    sql = (
        f'SELECT {COLUMNS} FROM {TABLE} WHERE {_KEY} AND "open_ts" >= %s '  # noqa: S608
        'ORDER BY "open_ts" LIMIT %s'
    )
    return _fetch(sql, (instrument_id, timeframe, side, first_ts, limit))


def times(instrument_id: int, timeframe: str, side: int, first_ts: int, last_ts: int) -> Ints:
    """Opening times only (the index alone answers)."""
    sql = f'SELECT "open_ts" FROM {TABLE} WHERE {_KEY} AND "open_ts" BETWEEN %s AND %s ORDER BY "open_ts"'  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, (instrument_id, timeframe, side, first_ts, last_ts))
        return np.fromiter((row[0] for row in cursor.fetchall()), dtype=np.int64)


def span(instrument_id: int, timeframe: str, side: int) -> tuple[int, int] | None:
    """Opening times of the oldest and the newest bar."""
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT (SELECT MIN("open_ts") FROM {TABLE} WHERE {_KEY}), '  # noqa: S608
            f'(SELECT MAX("open_ts") FROM {TABLE} WHERE {_KEY})',
            (instrument_id, timeframe, side) * 2,
        )
        first, last = cursor.fetchone()
    return None if first is None else (first, last)


def newest(instrument_ids: Iterable[int], end_ts: int) -> dict[int, Newest]:
    """For each instrument, the newest bar of every stored kind that is closed at `end_ts`.

    One statement of index seeks: 36 for each instrument, whatever the number of candles.
    """
    ids = list(dict.fromkeys(instrument_ids))
    found: dict[int, Newest] = {pk: {} for pk in ids}
    for start in range(0, len(ids), 200):
        for pk, timeframe, side, ts in _newest_rows(ids[start : start + 200], end_ts):
            found[pk][(timeframe, side)] = ts
    return found


def _newest_rows(ids: list[int], end_ts: int) -> list[tuple[int, str, int, int]]:
    instruments = ", ".join("(%s)" for _ in ids)
    frames = ", ".join(f"('{name}', {size})" for name, size in timeframes.SECONDS.items())
    sides = ", ".join(f"({side.value})" for side in PriceSide)
    sql = (
        f"WITH i(pk) AS (VALUES {instruments}), f(name, size) AS (VALUES {frames}), s(side) AS (VALUES {sides}) "  # noqa: S608
        "SELECT * FROM (SELECT i.pk, f.name, s.side, ("
        f'SELECT MAX(c."open_ts") FROM {TABLE} c WHERE c."instrument_id" = i.pk AND c."timeframe" = f.name '
        'AND c."side" = s.side AND c."open_ts" <= %s - f.size) AS ts '
        "FROM i CROSS JOIN f CROSS JOIN s) AS seeks WHERE ts IS NOT NULL"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, (*ids, end_ts))
        return list(cursor.fetchall())


Bar = tuple[int, str, int, int]
"""(instrument, timeframe, side, opening time)."""


def closes(bars: Iterable[Bar]) -> dict[Bar, float]:
    """The close of each of these bars that exists, in one statement per 200."""
    wanted = list(dict.fromkeys(bars))
    found: dict[Bar, float] = {}
    for start in range(0, len(wanted), 200):
        part = wanted[start : start + 200]
        rows = ", ".join(["(%s, %s, %s, %s)"] * len(part))
        sql = (
            f"WITH w(pk, name, side, ts) AS (VALUES {rows}) "  # noqa: S608 - marks only
            f'SELECT w.pk, w.name, w.side, w.ts, c."close" FROM w JOIN {TABLE} c ON c."instrument_id" = w.pk '
            'AND c."timeframe" = w.name AND c."side" = w.side AND c."open_ts" = w.ts'
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [value for bar in part for value in bar])
            found |= {(pk, name, side, ts): close for pk, name, side, ts, close in cursor.fetchall()}
    return found


def _fetch(sql: str, params: tuple[int | str, ...]) -> Bars:
    with closing(connection.cursor()) as cursor:
        cursor.execute(sql, params)
        rows = cursor.fetchmany(_FETCH)
        if len(rows) < _FETCH:
            return bars_of(rows)
        parts = []
        while rows:
            parts.append(bars_of(rows))
            rows = cursor.fetchmany(_FETCH)
    return concat(parts)


def _reversed(bars: Bars) -> Bars:
    return bars.take(slice(None, None, -1))
