"""Bar lengths: their names, seconds, and where bars may start."""

from __future__ import annotations

from typing import Final

from tradingsite.foundation.errors import Invalid

SECONDS: Final[dict[str, int]] = {
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "12h": 43200,
    "1d": 86400,
    "1w": 604800,
}
NAMES: Final[tuple[str, ...]] = tuple(SECONDS)

DAY_S: Final = 86400
_HALF_HOUR_S: Final = 1800
# 1970-01-01 was a Thursday; weekly bars start on Monday 00:00 UTC.
_MONDAY_S: Final = 4 * DAY_S


class UnknownTimeframe(Invalid):
    """The name is not a known bar length. Use one of `timeframes.NAMES`."""

    default_code = "unknown-timeframe"


def seconds(timeframe: str) -> int:
    """Length of a bar in seconds. Raises UnknownTimeframe."""
    try:
        return SECONDS[timeframe]
    except KeyError:
        raise UnknownTimeframe(f"A timeframe must be one of {', '.join(NAMES)}, was {timeframe!r}.") from None


def is_known(timeframe: str) -> bool:
    return timeframe in SECONDS


def anchor(timeframe: str) -> int:
    """Epoch second at which a bar of this length starts when days start at midnight UTC (weeks on Monday)."""
    return _MONDAY_S if timeframe == "1w" else 0


def floor(ts: int, timeframe: str) -> int:
    """Opening time of the bar that contains epoch second `ts`."""
    length, start = seconds(timeframe), anchor(timeframe)
    return (ts - start) // length * length + start


def last_closed(ts: int, timeframe: str) -> int:
    """Opening time of the newest bar that is closed at epoch second `ts`."""
    return floor(ts, timeframe) - seconds(timeframe)


def grain(timeframe: str, calendar: str) -> int:
    """Opening times are multiples of this many seconds.

    Markets that never close start bars at multiples of their length. Others start long bars with their session (a day
    of currencies at 17:00 in New York, an hour of shares at half past), which we know to the half hour only.
    """
    length = seconds(timeframe)
    if calendar == "24x7":
        return DAY_S if timeframe == "1w" else length
    return min(length, _HALF_HOUR_S)


def finer(timeframe: str) -> tuple[str, ...]:
    """Timeframes from which this one can be computed, coarsest first (fewest rows to read)."""
    length = seconds(timeframe)
    return tuple(name for name, size in reversed(SECONDS.items()) if size < length and length % size == 0)
