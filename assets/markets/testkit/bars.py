"""Bars for tests."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from assets.markets import timeframes
from assets.markets.models import Instrument
from assets.markets.series import Bars


def make_instrument(symbol: str = "TESTUSDT", **values: Any) -> Instrument:
    """A stored instrument that trades around the clock, unless said otherwise."""
    defaults: dict[str, Any] = {
        "asset_type": "toy", "venue": "binance", "base": symbol.removesuffix("USDT"), "quote": "USDT",
        "calendar": "24x7", "timeframe": "1m", "tick_size": Decimal("0.01"), "lot_step": Decimal("0.001"),
        "min_quantity": Decimal("0.001"), "min_notional": Decimal("5"), "fee_rate": Decimal("0.001"),
        "half_spread_bps": 1.0, "slippage_bps": 1.0,
    }  # fmt: skip
    return Instrument.objects.create(symbol=symbol, **(defaults | values))


def walk(count: int, *, start: datetime, timeframe: str = "1m", price: float = 100.0, seed: int = 1) -> Bars:
    """A quiet random walk of `count` sound bars without gaps."""
    rng = np.random.default_rng(seed)
    close = np.round(price * np.exp(np.cumsum(rng.normal(0, 0.0005, count))), 4)
    opened = np.concatenate(([price], close[:-1]))
    ts = int(start.timestamp()) + timeframes.seconds(timeframe) * np.arange(count, dtype=np.int64)
    return Bars(
        ts=ts,
        open=opened,
        high=np.round(np.maximum(opened, close) * 1.0003, 4),
        low=np.round(np.minimum(opened, close) * 0.9997, 4),
        close=close,
        volume=np.round(rng.uniform(5, 15, count), 3),
    )


def changed(bars: Bars, index: int, **values: float) -> Bars:
    """A copy with some numbers of one bar replaced."""
    columns = {name: getattr(bars, name).copy() for name in ("ts", "open", "high", "low", "close", "volume")}
    for name, value in values.items():
        columns[name][index] = value
    return Bars(**columns)
