"""Help for tests of strategies: candles by hand, candles from the shared data, instruments and accounts."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from assets.markets.models import Candle, Instrument, PriceSide
from assets.markets.series import Bars, CandleSeries, series_of
from assets.markets.universe import InstrumentSpec, find
from assets.research import desk, exposure, readings
from orchestrator.plugins import RunContext, WorkflowView
from tradingsite.foundation.testkit import shared_data

T0 = int(datetime(2024, 1, 10, tzinfo=UTC).timestamp())  # a Wednesday


def forget() -> None:
    """Drop what this process remembers of earlier tests."""
    readings.forget()
    desk.forget()
    exposure.forget()


def bars(
    closes: Sequence[float] | np.ndarray,
    *,
    bar_s: int = 60,
    start: int = T0,
    volume: float | Sequence[float] | np.ndarray = 1000.0,
    reach: float = 0.0005,
) -> Bars:
    """Bars that open at the close before and reach `reach` (a fraction) beyond both."""
    close = np.asarray(closes, dtype=np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    top, low = np.maximum(opened, close) * (1 + reach), np.minimum(opened, close) * (1 - reach)
    amounts = np.broadcast_to(np.asarray(volume, dtype=np.float64), close.shape).copy()
    ts = start + bar_s * np.arange(close.size, dtype=np.int64)
    return Bars(ts=ts, open=opened, high=top, low=low, close=close, volume=amounts)


def series(symbol: str, timeframe: str, data: Bars) -> CandleSeries:
    """Bars as a strategy sees them."""
    return series_of(symbol, timeframe, data)


def walk(size: int, *, sigma: float, seed: int = 1, drift: float = 0.0, start: float = 100.0) -> np.ndarray:
    """A geometric random walk; `sigma` and `drift` per bar."""
    steps = np.random.default_rng(seed).normal(drift, sigma, size)
    return start * np.exp(np.cumsum(steps))


def shared_bars(name: str, *, first: str = "", last: str = "9") -> Bars:
    """Bars of a shared file such as "etf/SPY_1d" whose time text lies in [first, last). Skips when there is no data."""
    path: Path = shared_data() / f"{name}.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        rows = [row for row in csv.reader(handle) if row[0][0].isdigit() and first <= row[0] < last]
    times = [int(datetime.fromisoformat(row[0].replace("Z", "+00:00")).timestamp()) for row in rows]
    table = np.array([[float(value) for value in row[1:6]] for row in rows]).reshape(len(rows), 5)
    return Bars(
        ts=np.array(times, dtype=np.int64), open=table[:, 0], high=table[:, 1], low=table[:, 2], close=table[:, 3],
        volume=table[:, 4],
    )  # fmt: skip


def instrument(symbol: str, *, timeframe: str = "") -> Instrument:
    """The declared instrument of that symbol, stored."""
    spec = find(symbol)
    assert spec is not None, symbol
    return store_spec(spec, timeframe=timeframe)


def store_spec(spec: InstrumentSpec, *, timeframe: str = "") -> Instrument:
    """A spec as a row."""
    return Instrument.objects.create(
        symbol=spec.symbol, asset_type=spec.asset_type, name=spec.name, venue=spec.venue, base=spec.base,
        quote=spec.quote, calendar=spec.calendar, timeframe=timeframe or spec.timeframe, tick_size=spec.tick_size,
        lot_step=spec.lot_step, min_quantity=spec.min_quantity, min_notional=spec.min_notional,
        fee_rate=spec.fee_rate, half_spread_bps=spec.half_spread_bps, slippage_bps=spec.slippage_bps,
        is_active=spec.is_active, is_demo=spec.is_demo,
    )  # fmt: skip


def store(row: Instrument, timeframe: str, data: Bars, *, side: PriceSide = PriceSide.TRADE) -> None:
    """Write bars as they are, without the quality gate."""
    Candle.objects.bulk_create(
        Candle(
            instrument=row,
            timeframe=timeframe,
            side=side,
            open_ts=ts,
            open=o,
            high=h,
            low=low,
            close=c,
            volume=v,
        )
        for ts, o, h, low, c, v in data.rows()
    )


def at(ts: int) -> datetime:
    """Epoch seconds as a time."""
    return datetime.fromtimestamp(ts, UTC)


def view(
    type_key: str, *, pk: int = 1, base_s: float, last_run_at: datetime | None = None, **params: object
) -> WorkflowView:
    """What a plugin is shown of a workflow."""
    return WorkflowView(
        pk=pk,
        slug=type_key,
        type_key=type_key,
        params=params,
        last_run_at=last_run_at,
        base_interval_s=base_s,
    )


def context(type_key: str, now: datetime, **params: object) -> RunContext:
    """A run's context outside of any run."""
    return RunContext(
        run_id=0, epoch=1, workflow_id=1, slug=type_key, type_key=type_key, params=params, now=now,
        entries_allowed=True, guard=lambda: None,
    )  # fmt: skip
