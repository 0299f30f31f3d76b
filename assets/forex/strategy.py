"""Trend or mean reversion, whichever the pair is in the mood for; flat before the weekend. Pure.

The regime of a pair decides the rule: a trending one is followed, one that swings or is calm is faded at the edge of
its band, a volatile one is only watched. A position is kept until its own reason to be is gone, whatever the regime has
become meanwhile: a trend trade when the trend turns, a reversion trade when the price is back, both at their stop.
Since a position does not remember which it was, it leaves when the trend is against it and the price is not stretched
in its favour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from assets.forex.params import ForexParams
from assets.markets.series import CandleSeries
from assets.quant import indicators, regime, trailing, trend
from assets.quant import volatility as vol
from assets.quant.arrays import finite_or_none
from assets.quant.regime import Regime
from assets.quant.sizing import stake
from assets.quant.trailing import StopRule
from assets.trading.targets import Reason, Target

_PATIENCE_S = 12 * 3600.0
_REGIME_BARS = 96
_WEEKEND = timedelta(hours=24)  # a close is the weekend's when the market stays shut for at least this long


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """What is known about one pair. `quantity` is below 0 when short."""

    bars: CandleSeries
    bar_s: int
    scale: vol.Scale
    is_fresh: bool
    quantity: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForexInputs:
    """`closes_at` is the next close of the market, `reopens_at` the opening after it (None: unknown)."""

    now: datetime
    pairs: Mapping[str, Pair]
    activity: float
    closes_at: datetime | None
    reopens_at: datetime | None
    params: ForexParams
    record: tuple[float, ...] = ()  # gains of closed trades; needed by Kelly only


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What `assess` measured. NaN where it could not."""

    regime: Regime
    trend: float  # -1..1
    stretch: float  # sigmas from the slow average
    volatility: float
    percentile: float
    stop_ratio: float
    bars: int


def assess(pair: Pair, params: ForexParams) -> View:
    """Regime, trend and stretch of one pair on its closed bars."""
    bars, slow = pair.bars, max(params.slow_bars, params.fast_bars + 1)
    if len(bars) < max(slow + 1, regime.MIN_RETURNS + 1):
        return View(
            regime=Regime.UNKNOWN, trend=math.nan, stretch=math.nan, volatility=math.nan, percentile=math.nan,
            stop_ratio=math.nan, bars=len(bars),
        )  # fmt: skip
    returns = vol.log_returns(bars.close, bars.ts, float(pair.bar_s))
    path = vol.ewma_path(returns, pair.scale)
    rank = vol.percentile(path, float(path[-1]))
    return View(
        regime=regime.classify(returns[-_REGIME_BARS:], rank).regime,
        trend=trend.ema_spread(bars.close, params.fast_bars, slow),
        stretch=float(indicators.zscore(bars.close, slow)[-1]),
        volatility=float(path[-1]),
        percentile=rank,
        stop_ratio=stop_ratio(bars, pair.bar_s, params),
        bars=len(bars),
    )


def stop_rule(params: ForexParams) -> StopRule:
    """Stops follow the price; after twelve hours a position that is not ahead has had its chance."""
    low = min(params.stop_min, params.stop_max)
    return StopRule(
        multiple=params.stop_atr, low=low, high=params.stop_max, break_even_at=1.0, max_age_s=_PATIENCE_S
    )


def stop_ratio(bars: CandleSeries, bar_s: int, params: ForexParams) -> float:
    """Distance of the first stop as a fraction of price: what a position risks, hence how large it may be."""
    noise = trailing.noise(bars.high, bars.low, bars.close, bar_s)
    return trailing.width(stop_rule(params), noise.atr_ratio, noise.regime)


def decide(inputs: ForexInputs) -> tuple[Target, ...]:
    """Targets of the pairs; one without fresh data is left alone, except that nothing stays open over the weekend."""
    left_s = _weekend_in_s(inputs)
    if left_s is not None and left_s <= inputs.params.flat_before_close_min * 60:
        reason = Reason(
            code="weekend_flat",
            value=left_s / 60.0,
            params={"minutes_before": inputs.params.flat_before_close_min},
        )
        return tuple(
            Target(symbol=s, weight=0.0, reasons=(reason,), urgency=1.0) for s in sorted(inputs.pairs)
        )
    targets = (_target(symbol, pair, inputs, left_s) for symbol, pair in sorted(inputs.pairs.items()))
    return tuple(target for target in targets if target is not None)


def _weekend_in_s(inputs: ForexInputs) -> float | None:
    """Seconds until the close that begins a weekend (or another long pause); None when the next close is no such."""
    if inputs.closes_at is None:
        return None
    if inputs.reopens_at is not None and inputs.reopens_at - inputs.closes_at < _WEEKEND:
        return None
    return (inputs.closes_at - inputs.now).total_seconds()


def _target(symbol: str, pair: Pair, inputs: ForexInputs, left_s: float | None) -> Target | None:
    if not pair.is_fresh:
        return None
    view = assess(pair, inputs.params)
    if not math.isfinite(view.trend):
        return None
    if pair.quantity != 0:
        return _kept(symbol, pair, view, inputs.params)
    return _entry(symbol, view, inputs, left_s)


def _kept(symbol: str, pair: Pair, view: View, params: ForexParams) -> Target:
    is_long = pair.quantity > 0
    side = 1.0 if is_long else -1.0
    with_trend = view.trend * side
    # Stretched against the position: a reversion trade still has its way to go.
    to_go = -view.stretch * side if math.isfinite(view.stretch) else 0.0
    if with_trend <= 0.0 and to_go <= params.reversion_exit:
        reason = Reason(code="edge_gone", value=with_trend, params={"stretch": finite_or_none(view.stretch)})
        return Target(symbol=symbol, weight=0.0, reasons=(reason,), urgency=0.8)
    reason = Reason(code="hold", value=with_trend, params={"stretch": finite_or_none(view.stretch)})
    return Target(symbol=symbol, quantity=pair.quantity, reasons=(reason,))


def _entry(symbol: str, view: View, inputs: ForexInputs, left_s: float | None) -> Target:
    params = inputs.params
    refused = _session_refusal(inputs, left_s)
    if refused is not None:
        return Target(symbol=symbol, weight=0.0, reasons=(refused,))
    side, reason = _signal(view, params)
    if side == 0.0:
        return Target(symbol=symbol, weight=0.0, reasons=(reason,))
    size = stake(
        params.size_rule, cap=params.max_position, risk=params.risk_per_trade, stop_ratio=view.stop_ratio,
        volatility=view.volatility, outcomes=inputs.record,
    )  # fmt: skip
    sized = Reason(code=f"size_{size.limited_by}", value=size.weight, params=dict(size.formula))
    mood = Reason(code="regime", value=finite_or_none(view.percentile), params={"regime": str(view.regime)})
    return Target(
        symbol=symbol,
        weight=side * size.weight,
        reasons=(reason, mood, sized),
        sizing=size.formula,
        urgency=0.5,
    )


def _session_refusal(inputs: ForexInputs, left_s: float | None) -> Reason | None:
    params = inputs.params
    if left_s is not None and left_s <= params.no_entry_before_close_min * 60:
        return Reason(
            code="weekend_near",
            value=left_s / 60.0,
            params={"minutes_before": params.no_entry_before_close_min},
        )
    if inputs.activity < params.min_activity:
        return Reason(code="session_quiet", value=inputs.activity, params={"threshold": params.min_activity})
    return None


def _signal(view: View, params: ForexParams) -> tuple[float, Reason]:
    """+1 buy, -1 sell, 0 nothing, with the reason."""
    if view.regime is Regime.TRENDING:
        reason = Reason(code="trend", value=view.trend, params={"threshold": params.trend_entry})
        is_clear = abs(view.trend) >= params.trend_entry
        return (math.copysign(1.0, view.trend) if is_clear else 0.0), reason
    if view.regime in (Regime.MEAN_REVERTING, Regime.CALM):
        stretch = view.stretch if math.isfinite(view.stretch) else 0.0
        reason = Reason(code="reversion", value=stretch, params={"threshold": params.reversion_entry})
        is_far = abs(stretch) >= params.reversion_entry
        return (-math.copysign(1.0, stretch) if is_far else 0.0), reason
    return 0.0, Reason(
        code="regime_unsuited", value=finite_or_none(view.percentile), params={"regime": str(view.regime)}
    )
