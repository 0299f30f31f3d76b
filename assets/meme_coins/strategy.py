"""Momentum with volume bursts, long only. Pure: candles, positions and parameters in, targets with reasons out.

A coin's strength is its log return over the momentum window in sigmas of its own one-bar moves, so that 1.5 means the
same for a quiet and for a wild coin. It is bought when strong, louder than usual, liquid enough and not too wide; it is
held until the strength is gone or its stop is hit. Between entry and exit nothing is traded, however the score wobbles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import numpy as np

from assets.markets.series import CandleSeries
from assets.meme_coins.params import MemeParams
from assets.quant import trailing
from assets.quant.arrays import finite_or_none
from assets.quant.sizing import stake
from assets.quant.trailing import StopRule
from assets.trading.targets import Reason, Target

_BURST_BARS_S = 900  # volume of the last quarter of an hour ...
_USUAL_S = 4 * 3600  # ... against that of the four hours before
_PATIENCE_S = 24 * 3600.0
MIN_BARS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Coin:
    """What is known about one coin."""

    bars: CandleSeries
    bar_s: int
    is_fresh: bool  # its newest bar is young enough to act on
    spread_bps: float
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemeInputs:
    """`scores`: what `score` said of these coins with these parameters, for callers that have asked already."""

    now: datetime
    coins: Mapping[str, Coin]
    params: MemeParams
    scores: Mapping[str, Score] = field(default_factory=dict)
    record: tuple[float, ...] = ()  # gains of closed trades; needed by Kelly only


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """What `score` measured. NaN where it could not. Turnover is quote currency per minute."""

    strength: float
    burst: float
    turnover: float
    spread_bps: float
    stop_ratio: float
    bars: int
    volatility: float = math.nan  # per year


def score(coin: Coin, params: MemeParams) -> Score:
    """Measure one coin on its closed bars."""
    bars = coin.bars
    if len(bars) < MIN_BARS:
        return Score(
            strength=math.nan, burst=math.nan, turnover=math.nan, spread_bps=coin.spread_bps,
            stop_ratio=math.nan, bars=len(bars),
        )  # fmt: skip
    return Score(
        strength=_strength(bars.close, max(3, params.momentum_min * 60 // coin.bar_s)),
        burst=_burst(bars.volume, coin.bar_s),
        turnover=_turnover(bars, coin.bar_s),
        spread_bps=coin.spread_bps,
        stop_ratio=stop_ratio(bars, coin.bar_s, params),
        bars=len(bars),
        volatility=_volatility(bars.close, coin.bar_s),
    )


def stop_rule(params: MemeParams) -> StopRule:
    """Stops follow the price; a coin that has not moved ahead within a day has had its chance."""
    low = min(params.stop_min, params.stop_max)
    return StopRule(
        multiple=params.stop_atr, low=low, high=params.stop_max, break_even_at=1.0, max_age_s=_PATIENCE_S
    )


def stop_ratio(bars: CandleSeries, bar_s: int, params: MemeParams) -> float:
    """Distance of the first stop as a fraction of price: what a position risks, hence how large it may be."""
    noise = trailing.noise(bars.high, bars.low, bars.close, bar_s)
    return trailing.width(stop_rule(params), noise.atr_ratio, noise.regime)


def decide(inputs: MemeInputs) -> tuple[Target, ...]:
    """One target per coin that has something to say; a coin without fresh data or history is left as it is."""
    targets = (
        _target(symbol, coin, inputs.scores.get(symbol), inputs)
        for symbol, coin in sorted(inputs.coins.items())
    )
    return tuple(target for target in targets if target is not None)


def _target(symbol: str, coin: Coin, known: Score | None, inputs: MemeInputs) -> Target | None:
    params = inputs.params
    if not coin.is_fresh:
        return None
    measured = known or score(coin, params)
    if not math.isfinite(measured.strength):
        return None
    return _exit(symbol, coin, measured, params) if coin.quantity > 0 else _entry(symbol, measured, inputs)


def _exit(symbol: str, coin: Coin, measured: Score, params: MemeParams) -> Target:
    if measured.strength < params.exit_sigmas:
        reason = Reason(
            code="momentum_gone", value=measured.strength, params={"threshold": params.exit_sigmas}
        )
        return Target(symbol=symbol, weight=0.0, reasons=(reason,), urgency=0.8)
    held = Reason(code="hold", value=measured.strength, params={"threshold": params.exit_sigmas})
    return Target(symbol=symbol, quantity=coin.quantity, reasons=(held,))


def _entry(symbol: str, measured: Score, inputs: MemeInputs) -> Target:
    params = inputs.params
    refused = tuple(_refusals(measured, params))
    if refused:
        return Target(symbol=symbol, weight=0.0, reasons=refused)
    size = stake(
        params.size_rule, cap=params.max_position, risk=params.risk_per_trade, stop_ratio=measured.stop_ratio,
        volatility=measured.volatility, outcomes=inputs.record,
    )  # fmt: skip
    reasons = (
        Reason(code="momentum", value=measured.strength, params={"threshold": params.entry_sigmas}),
        Reason(code="volume_burst", value=measured.burst, params={"threshold": params.burst_ratio}),
        Reason(code=f"size_{size.limited_by}", value=size.weight, params=dict(size.formula)),
    )
    return Target(
        symbol=symbol,
        weight=size.weight,
        reasons=reasons,
        sizing=size.formula,
        urgency=min(1.0, measured.strength / 6.0),
    )


def _refusals(measured: Score, params: MemeParams) -> list[Reason]:
    """Every condition an entry lacks. A number that is unknown is not good enough."""
    checks = (
        ("momentum_weak", measured.strength, params.entry_sigmas, measured.strength >= params.entry_sigmas),
        ("volume_quiet", measured.burst, params.burst_ratio, measured.burst >= params.burst_ratio),
        ("liquidity_low", measured.turnover, params.min_turnover, measured.turnover >= params.min_turnover),
        (
            "spread_wide",
            measured.spread_bps,
            params.max_spread_bps,
            measured.spread_bps <= params.max_spread_bps,
        ),
    )
    return [
        Reason(code=code, value=finite_or_none(value), params={"threshold": limit})
        for code, value, limit, is_met in checks
        if not is_met
    ]


def _strength(closes: np.ndarray[tuple[int, ...], np.dtype[np.float64]], window: int) -> float:
    """Log return over `window` bars in sigmas of what a random walk with these bars would do; 0 when nothing moved."""
    window = min(window, closes.size - 1)
    steps = np.diff(np.log(closes))
    sigma = math.sqrt(float(np.mean(steps * steps)) * window)
    return float(steps[-window:].sum()) / sigma if sigma > 1e-12 else 0.0


def _volatility(closes: np.ndarray[tuple[int, ...], np.dtype[np.float64]], bar_s: int) -> float:
    """Of the log returns seen, per year of 365 days."""
    return float(np.diff(np.log(closes)).std()) * math.sqrt(365 * 86_400 / bar_s)


def _burst(volume: np.ndarray[tuple[int, ...], np.dtype[np.float64]], bar_s: int) -> float:
    """Mean recent volume over mean volume before; NaN when nothing was traded before."""
    recent = max(1, _BURST_BARS_S // bar_s)
    usual = volume[:-recent][-max(4, _USUAL_S // bar_s) :]
    mean = float(usual.mean()) if usual.size else 0.0
    return float(volume[-recent:].mean()) / mean if mean > 0.0 else math.nan


def _turnover(bars: CandleSeries, bar_s: int) -> float:
    """Median quote turnover per minute over the last hours: one burst does not make a coin liquid."""
    count = max(4, _USUAL_S // bar_s)
    return float(np.median((bars.volume * bars.close)[-count:])) * 60.0 / bar_s
