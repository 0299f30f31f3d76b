"""Systematic rotation: the strongest funds, weighted by inverse volatility. Pure: the last rebalance is an argument.

Once a month the funds with the best positive momentum are chosen. Between those dates the choice stands and only its
weights are watched: when one leaves its band, all are put right. Momentum is the mean of the returns over the whole
window, half and a quarter of it, which lets go of a fallen fund sooner than one long window does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from assets.etf.params import EtfParams
from assets.markets.series import CandleSeries
from assets.quant import allocation
from assets.quant import volatility as vol
from assets.quant.arrays import FloatArray, finite_or_none
from assets.trading.targets import Reason, Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Fund:
    """What is known about one fund. `bars` are daily, or hourly where too few days are stored."""

    bars: CandleSeries
    scale: vol.Scale
    bars_per_day: float
    price: float | None  # None when not fresh
    quantity: Decimal = Decimal(0)
    cost: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EtfInputs:
    """`rebalanced_at`: newest trade of this workflow. `opened_at`, `closes_at`: of the running session."""

    now: datetime
    funds: Mapping[str, Fund]
    equity: float
    rebalanced_at: datetime | None
    opened_at: datetime | None
    closes_at: datetime | None
    params: EtfParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """What `assess` measured. NaN with too little history."""

    momentum: float
    volatility: float
    bars: int


def assess(fund: Fund, params: EtfParams) -> Rating:
    """Momentum and volatility of one fund on its closed bars."""
    closes = fund.bars.close
    if len(closes) < max(params.min_bars, vol.MIN_RETURNS + 1):
        return Rating(momentum=math.nan, volatility=math.nan, bars=len(closes))
    returns = vol.log_returns(closes, fund.bars.ts, _bar_s(fund))
    window = min(max(4, round(params.lookback_days * fund.bars_per_day)), len(closes) - 1)
    parts = [float(closes[-1] / closes[-1 - size] - 1.0) for size in (window, window // 2, window // 4)]
    return Rating(momentum=sum(parts) / 3.0, volatility=vol.ewma(returns, fund.scale), bars=len(closes))


def decide(inputs: EtfInputs) -> tuple[Target, ...]:
    """Targets of all funds with a fresh price, or nothing when nothing is due."""
    priced = {
        s: fund for s, fund in sorted(inputs.funds.items()) if fund.price is not None and fund.price > 0
    }
    ratings = {symbol: assess(fund, inputs.params) for symbol, fund in priced.items()}
    if not any(math.isfinite(rating.momentum) for rating in ratings.values()) or inputs.equity <= 0.0:
        return ()
    quiet = quiet_reason(inputs)
    if quiet is not None:
        return tuple(Target(symbol=s, quantity=fund.quantity, reasons=(quiet,)) for s, fund in priced.items())
    if is_month_due(inputs.rebalanced_at, inputs.now):
        return _targets(priced, ratings, chosen(ratings, inputs.params), "rebalance_monthly", inputs)
    wanted = held(priced, ratings, inputs.params)
    actual = np.array([_weight(fund, inputs.equity) for fund in priced.values()])
    if allocation.outside_band(actual, wanted, inputs.params.rebalance_band):
        return _targets(priced, ratings, wanted, "rebalance_band", inputs)
    reason = Reason(
        code="inside_band",
        value=allocation.drift(actual, wanted),
        params={"band": inputs.params.rebalance_band},
    )
    return tuple(Target(symbol=s, quantity=fund.quantity, reasons=(reason,)) for s, fund in priced.items())


def chosen(ratings: Mapping[str, Rating], params: EtfParams) -> FloatArray:
    """Weights of the funds with the best positive momentum; sum <= 1, the rest is cash."""
    return _weighted(
        allocation.momentum([r.momentum for r in ratings.values()], params.keep), ratings, params
    )


def held(funds: Mapping[str, Fund], ratings: Mapping[str, Rating], params: EtfParams) -> FloatArray:
    """Today's weights for the funds held now: membership changes monthly, sizes may change any day."""
    is_held = np.array([float(fund.quantity > 0) for fund in funds.values()])
    return _weighted(is_held / max(params.keep, int(is_held.sum()), 1), ratings, params)


def is_month_due(rebalanced_at: datetime | None, now: datetime) -> bool:
    """Whether `now` lies in a later month (UTC, as the session's date) than the newest rebalance."""
    return rebalanced_at is None or (now.year, now.month) > (rebalanced_at.year, rebalanced_at.month)


def quiet_reason(inputs: EtfInputs) -> Reason | None:
    """Why it is too soon after the opening or too late before the close (early closes included), or None."""
    params = inputs.params
    if inputs.opened_at is not None:
        since = (inputs.now - inputs.opened_at).total_seconds() / 60.0
        if since < params.quiet_open_min:
            return Reason(code="opening", value=since, params={"minutes": params.quiet_open_min})
    if inputs.closes_at is not None:
        left = (inputs.closes_at - inputs.now).total_seconds() / 60.0
        if left < params.quiet_close_min:
            return Reason(code="closing", value=left, params={"minutes": params.quiet_close_min})
    return None


def losses(funds: Mapping[str, Fund], limit: float) -> dict[str, float]:
    """Funds worth at least `limit` less than they cost, with the (negative) ratio."""
    found = {}
    for symbol, fund in funds.items():
        if fund.price is not None and fund.quantity > 0 and fund.cost > 0.0:
            result = float(fund.quantity) * fund.price / fund.cost - 1.0
            if result <= -limit:
                found[symbol] = result
    return found


def _weighted(selected: FloatArray, ratings: Mapping[str, Rating], params: EtfParams) -> FloatArray:
    volatilities = [rating.volatility for rating in ratings.values()]
    weights = allocation.cap(allocation.tilt(selected, volatilities), params.max_position)
    total, room = float(weights.sum()), 1.0 - params.cash_reserve
    weights = weights * (room / total) if total > room else weights
    return allocation.to_volatility(weights, volatilities, params.target_volatility)


def _targets(
    funds: Mapping[str, Fund],
    ratings: Mapping[str, Rating],
    weights: FloatArray,
    code: str,
    inputs: EtfInputs,
) -> tuple[Target, ...]:
    targets = []
    for (symbol, fund), weight in zip(funds.items(), weights, strict=True):
        actual, rating = _weight(fund, inputs.equity), ratings[symbol]
        reasons = (
            Reason(
                code=code, value=float(weight) - actual, params={"weight": actual, "target": float(weight)}
            ),
            Reason(code="momentum_rank", value=finite_or_none(rating.momentum), params={"bars": rating.bars}),
            Reason(code="inverse_volatility", value=finite_or_none(rating.volatility)),
        )
        # Sales first: their proceeds pay for the purchases.
        urgency = 0.9 if weight < actual else 0.5
        targets.append(
            Target(
                symbol=symbol, weight=float(weight), reasons=reasons, urgency=urgency,
                dead_band=inputs.params.rebalance_band / 5.0,  # a date is no reason to pay fees for crumbs
            )
        )  # fmt: skip
    return tuple(targets)


def _weight(fund: Fund, equity: float) -> float:
    return float(fund.quantity) * (fund.price or 0.0) / equity


def _bar_s(fund: Fund) -> float:
    """Length of a bar as the smallest step seen: holes are longer."""
    return float(np.diff(fund.bars.ts).min())
