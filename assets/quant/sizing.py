"""How large a position may be: four ways to say it, one answer with its numbers. Pure.

    stake(SizeRule(method="risk"), cap=0.2, risk=0.005, stop_ratio=0.03)      -> weight 0.1667, "risk"
    stake(SizeRule(method="kelly"), ..., outcomes=closed_trades)              -> 0 while the edge is not significant

Weights are fractions of equity, never above the cap. What cannot be computed is 0: no size is better than a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from assets.quant.arrays import Numbers
from assets.quant.kelly import kelly

METHODS: Final = ("risk", "fixed", "volatility", "kelly")


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRule:
    """risk: what a hit stop costs. fixed: always the same share. volatility: the share whose yearly volatility is the target.
    kelly: a fraction of Kelly's stake by the lower confidence bound of the edge, itself capped, and never above "risk".
    """

    method: str = "risk"
    fixed_weight: float = 0.10
    target_volatility: float = 0.10
    kelly_fraction: float = 0.25
    kelly_cap: float = 0.10

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"A size is found by one of {', '.join(METHODS)}, was {self.method!r}.")


@dataclass(frozen=True, slots=True)
class Stake:
    """`weight` >= 0. `limited_by`: what decided in the end. `formula` keeps every number that went in."""

    weight: float
    limited_by: str
    formula: Mapping[str, float | int | str | None]


def stake(
    rule: SizeRule,
    *,
    cap: float,
    risk: float,
    stop_ratio: float,
    volatility: float = math.nan,
    outcomes: Numbers = (),
) -> Stake:
    """The share of equity for one new position.

    `cap`: largest position. `risk`: fraction of equity a hit stop may cost. `stop_ratio`: distance of the stop over price.
    `volatility`: of the instrument, per year. `outcomes`: gains of the closed trades over their cost.
    """
    formula: dict[str, float | int | str | None] = {"method": rule.method, "largest_position": cap}
    if rule.method == "fixed":
        return _capped(rule.fixed_weight, "fixed", cap, formula | {"fixed_weight": rule.fixed_weight})
    if rule.method == "volatility":
        formula |= {"target_volatility": rule.target_volatility, "volatility": _shown(volatility)}
        known = math.isfinite(volatility) and volatility > 0.0
        return _capped(rule.target_volatility / volatility if known else 0.0, "volatility", cap, formula)
    by_risk = risk / stop_ratio if math.isfinite(stop_ratio) and stop_ratio > 0.0 and risk > 0.0 else 0.0
    formula |= {"risk": risk, "stop_ratio": _shown(stop_ratio)}
    if rule.method == "risk":
        return _capped(by_risk, "risk", cap, formula)
    found = kelly(outcomes, fraction=rule.kelly_fraction, cap=rule.kelly_cap)
    formula |= {
        "kelly_trades": found.trades, "kelly_mean": _shown(found.mean), "kelly_deviation": _shown(found.deviation),
        "kelly_edge": _shown(found.edge), "kelly_full": _shown(found.full), "kelly_fraction": found.fraction,
        "kelly_cap": found.cap, "kelly_reason": found.reason,
    }  # fmt: skip
    if found.stake <= by_risk:
        return _capped(found.stake, f"kelly_{found.reason}", cap, formula)
    return _capped(by_risk, "risk", cap, formula)


def _capped(weight: float, by: str, cap: float, formula: Mapping[str, float | int | str | None]) -> Stake:
    limit = max(cap, 0.0)
    return (
        Stake(max(weight, 0.0), by, formula) if weight <= limit else Stake(limit, "largest_position", formula)
    )


def _shown(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
