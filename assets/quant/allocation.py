"""Weights of a portfolio. A weight is a share of capital, 0..1; weights never sum to more than one.

Inputs and outputs are arrays in the same order. A NaN score or volatility means "unknown": its weight is zero.
"""

from __future__ import annotations

import math

import numpy as np

from assets.quant.arrays import FloatArray, Numbers

_TINY = 1e-12


def _normalised(raw: FloatArray) -> FloatArray:
    total = float(raw.sum())
    return raw / total if total > _TINY else np.zeros_like(raw)


def inverse_volatility(volatilities: Numbers) -> FloatArray:
    """Weights proportional to 1 / volatility, summing to 1; all zero when no volatility is known and above zero."""
    vols = np.asarray(volatilities, dtype=np.float64)
    usable = np.isfinite(vols) & (vols > _TINY)
    raw = np.zeros_like(vols)
    raw[usable] = 1.0 / vols[usable]
    return _normalised(raw)


def momentum(scores: Numbers, keep: int) -> FloatArray:
    """Equal weights 1/`keep` for the `keep` best scores above zero; fewer winners leave the rest in cash.

    Ties go to the earlier entry, so that equal inputs always give equal weights.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, was {keep}.")
    values = np.asarray(scores, dtype=np.float64)
    out = np.zeros_like(values)
    ranked = [i for i in np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable") if values[i] > 0.0]
    out[ranked[:keep]] = 1.0 / keep
    return out


def tilt(selected: Numbers, volatilities: Numbers) -> FloatArray:
    """Spread the summed weight of `selected` over its non-zero entries in proportion to 1 / volatility."""
    weights = np.asarray(selected, dtype=np.float64)
    vols = np.where(weights > 0.0, np.asarray(volatilities, dtype=np.float64), np.nan)
    return inverse_volatility(vols) * min(1.0, float(weights.sum()))


def cap(weights: Numbers, limit: float) -> FloatArray:
    """No weight above `limit` (0..1]; what is cut off goes to the others in proportion, the rest stays in cash."""
    if not 0.0 < limit <= 1.0:
        raise ValueError(f"limit must be above 0 and at most 1, was {limit}.")
    out = np.asarray(weights, dtype=np.float64).copy()
    if (out < 0.0).any() or not np.isfinite(out).all():
        raise ValueError("weights must be finite and not negative.")
    total = min(1.0, float(out.sum()))
    out = _normalised(out) * total
    for _ in range(out.size):
        above = out > limit + _TINY
        if not above.any():
            break
        excess = float((out[above] - limit).sum())
        out[above] = limit
        room = (out > _TINY) & (out < limit - _TINY)
        if not room.any():
            break
        out[room] += excess * out[room] / float(out[room].sum())
    return np.minimum(out, limit)


def to_volatility(weights: Numbers, volatilities: Numbers, target: float) -> FloatArray:
    """Scale down (never up) until sum(weight x volatility), the worst case of full correlation, is <= `target`."""
    out = np.asarray(weights, dtype=np.float64).copy()
    vols = np.nan_to_num(np.asarray(volatilities, dtype=np.float64), nan=0.0)
    expected = float(np.abs(out) @ vols)
    if not target > 0.0:
        raise ValueError(f"target must be above 0, was {target}.")
    return out * min(1.0, target / expected) if expected > _TINY else out


def outside_band(current: Numbers, target: Numbers, band: float) -> bool:
    """Whether any weight differs from its target by more than `band` (absolute, 0.05 = five points)."""
    if not band >= 0.0:
        raise ValueError(f"band must not be negative, was {band}.")
    gap = np.abs(np.asarray(current, dtype=np.float64) - np.asarray(target, dtype=np.float64))
    return bool(gap.size) and float(gap.max()) > band + 1e-9


def drift(current: Numbers, target: Numbers) -> float:
    """Largest difference between a weight and its target; 0.0 for none, NaN when one is unknown."""
    gap = np.abs(np.asarray(current, dtype=np.float64) - np.asarray(target, dtype=np.float64))
    return float(gap.max()) if gap.size else 0.0


def risk_weight(risk: float, stop_ratio: float, limit: float) -> float:
    """Size at which hitting the stop costs `risk` of equity, at most `limit`. Zero when the stop is unknown."""
    if not (math.isfinite(stop_ratio) and stop_ratio > 0.0):
        return 0.0
    return min(max(risk, 0.0) / stop_ratio, max(limit, 0.0))
