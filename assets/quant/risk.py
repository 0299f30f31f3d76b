"""How much can be lost: value at risk, expected shortfall, concentration, and one score of 0 to 100 made of parts.

Losses are positive fractions of equity. NaN means not enough data; a score never takes unknown for safe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assets.quant.arrays import Numbers, checked

MIN_OBSERVATIONS = 20
# What each part weighs in the score. The worst part counts on its own, too: one open flank is not averaged away.
WEIGHTS: Mapping[str, float] = {
    "exposure": 0.20, "drawdown": 0.20, "shortfall": 0.20, "concentration": 0.10, "liquidity": 0.10,
    "volatility": 0.10, "stops": 0.10,
}  # fmt: skip
WORST_SHARE = 0.4
UNKNOWN = 0.75  # how full a part counts whose figure is not known


def value_at_risk(returns: Numbers, level: float = 0.95) -> float:
    """Historical: the loss that was exceeded in 1 - level of the periods (the order statistic, no interpolation); >= 0."""
    series = _enough(returns, level)
    if series is None:
        return math.nan
    losses = np.sort(-series)
    return max(0.0, float(losses[_rank(losses.size, level)]))


def expected_shortfall(returns: Numbers, level: float = 0.95) -> float:
    """Mean of the losses at or beyond the value at risk; >= 0 and never below it."""
    series = _enough(returns, level)
    if series is None:
        return math.nan
    losses = np.sort(-series)
    return max(0.0, float(losses[_rank(losses.size, level) :].mean()))


def _enough(returns: Numbers, level: float) -> np.ndarray | None:
    if not 0.5 < level < 1.0:
        raise ValueError(f"The level must lie between 0.5 and 1, was {level}.")
    series = checked(returns, "returns")
    return series if series.size >= MIN_OBSERVATIONS else None


def _rank(size: int, level: float) -> int:
    return min(size - 1, math.ceil(size * level - 1e-9) - 1 if level < 1.0 else size - 1)


def concentration(values: Numbers) -> float:
    """Herfindahl index of absolute values: 1 / n when equal, 1 when all is in one; 0 without any."""
    sizes = np.abs(checked(values, "values"))
    total = float(sizes.sum())
    if total <= 0.0:
        return 0.0
    shares = sizes / total
    return float((shares * shares).sum())


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskFacts:
    """Each figure beside what is allowed of it. None: not known."""

    gross: float | None  # gross exposure / equity
    max_gross: float
    drawdown: float | None
    max_drawdown: float
    shortfall: float | None  # daily expected shortfall, fraction of equity
    max_shortfall: float
    concentration: float | None  # Herfindahl, 0 to 1; only what is invested
    exit_share: float | None  # largest position / volume traded in the time allowed to get out
    regime: float | None  # present volatility / its usual level
    without_stop: float | None  # share of gross exposure without a stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """`value` 0 (nothing at risk) to 100 (every limit used up). `parts` in the same unit; `unknown` names guessed ones."""

    value: float
    parts: Mapping[str, float]
    unknown: tuple[str, ...]


def score(facts: RiskFacts) -> Score:
    """(1 - WORST_SHARE) x weighted mean of the parts + WORST_SHARE x the worst part; each part clipped to 0..100.

    Concentration and missing stops matter as much as is invested: they are scaled by how full the exposure is. Without
    exposure there is nothing to get out of, either.
    """
    invested = facts.gross is None or facts.gross > 0.0
    used = _share(facts.gross, facts.max_gross)
    scale = UNKNOWN if used is None else used
    fullness = {
        "exposure": used,
        "drawdown": _share(facts.drawdown, facts.max_drawdown),
        "shortfall": _share(facts.shortfall, facts.max_shortfall) if invested else 0.0,
        "concentration": _scaled(_share(facts.concentration, 1.0), scale) if invested else 0.0,
        "liquidity": _share(facts.exit_share, 1.0) if invested else 0.0,
        "volatility": None if facts.regime is None else _share(max(facts.regime - 1.0, 0.0), 1.0),
        "stops": _scaled(_share(facts.without_stop, 1.0), scale) if invested else 0.0,
    }
    if not invested:
        fullness["volatility"] = 0.0
    unknown = tuple(name for name, value in fullness.items() if value is None)
    parts = {name: 100.0 * (UNKNOWN if value is None else value) for name, value in fullness.items()}
    mean = sum(WEIGHTS[name] * value for name, value in parts.items())
    value = (1.0 - WORST_SHARE) * mean + WORST_SHARE * max(parts.values())
    return Score(value=value, parts=parts, unknown=unknown)


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _share(value: float | None, limit: float) -> float | None:
    """How much of the limit is used, 0 to 1. No room at all (limit 0) is used up by anything."""
    if value is None or not math.isfinite(value):
        return None
    if limit <= 0.0:
        return 1.0 if value > 0.0 else 0.0
    return min(max(value / limit, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Held:
    """One position for a stress: signed value over equity, and how far its stop is (fraction of price; None without)."""

    name: str
    weight: float
    stop_distance: float | None = None


def shock(positions: Sequence[Held], move: float) -> float:
    """Gain over equity when every price moves by `move` (-0.2: a fall by a fifth). Shorts gain from a fall."""
    return sum(one.weight * move for one in positions)


def worst_single(positions: Sequence[Held], move: float) -> float:
    """Gain over equity when only the largest position moves against us by `move` (above 0)."""
    return -max((abs(one.weight) for one in positions), default=0.0) * move


def all_stops(positions: Sequence[Held], slippage: float, unprotected: float) -> float:
    """Gain over equity when every stop is hit and each exit is worse by `slippage`; without a stop: `unprotected` is lost."""
    return -sum(
        abs(one.weight)
        * (unprotected if one.stop_distance is None else max(one.stop_distance, 0.0) + slippage)
        for one in positions
    )


def portfolio_returns(weights: Mapping[str, float], returns: Mapping[str, Numbers]) -> np.ndarray:
    """What today's positions would have returned in each past period: rows aligned, equally long. Empty without any."""
    known = [name for name in weights if name in returns]
    if not known:
        return np.empty(0)
    total = np.zeros(len(checked(returns[known[0]], known[0])))
    for name in known:
        total = total + weights[name] * checked(returns[name], name)
    return total
