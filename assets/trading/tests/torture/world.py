"""What the venue, the processes and the checker agree on: symbols, prices, times, and how the system's times shrink."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

SYMBOLS = tuple(f"T{n:02d}USDT" for n in range(40))
OPENING = Decimal(100_000_000)
WORKERS = ("w0", "w1", "w2", "w3")
SLOTS = (*WORKERS, "k0", "f0")  # k: recovery and reconciliation, f: prices, stops and a second reconciliation
ACCOUNT = "torture"
FIRST_SLOT = datetime(2026, 1, 1, tzinfo=UTC)
CODES = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I12", "I14", "I15")

RECEIVE_WINDOW_MS = 1000
QUARANTINE = timedelta(seconds=2)  # the window and a second for clocks and a busy machine
DEADLINE_S = 1.8  # so that an answer held for two seconds is one too late
GRACE = timedelta(seconds=2)
QUIET = timedelta(seconds=1)


def price_of(symbol: str, minute: int) -> Decimal:
    """Around 100, half a per cent up and down within the hour; the venue and the feed know the same one."""
    wave = math.sin(minute / 4 + SYMBOLS.index(symbol))
    return Decimal(f"{100 + 0.5 * wave:.2f}")


def minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60


def shrink() -> None:
    """Days become minutes: every waiting time of the order path, at the ratios the real ones have. Not its rules."""
    from assets.markets import ratelimit
    from assets.quant.trailing import StopRule
    from assets.trading import registry, venue_checks
    from assets.trading.brokers import binance
    from assets.trading.services import reconciliation

    binance.RECEIVE_WINDOW_MS = RECEIVE_WINDOW_MS
    binance.DEADLINE_S = DEADLINE_S
    binance.CAPABILITIES = replace(binance.CAPABILITIES, quarantine=QUARANTINE)
    reconciliation.QUIET = QUIET
    venue_checks._JUST_NOW, venue_checks._SETTLED = QUIET, 3 * QUIET
    ratelimit._limits[binance.VENUE] = ratelimit.Limit(100_000_000, 60)
    registry._stops["toy"] = registry.StopPolicy(
        rule=lambda params: StopRule(multiple=1.0, low=0.006, high=0.006, trails=False)
    )


def paused(folder: Path) -> bool:
    return (folder / "pause").exists()
