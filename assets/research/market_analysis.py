"""One look over all asset types: volatility and its rank, trend, regime, breadth, how they move together, one mood.

Rules, not a model: each number can be checked by hand. The result is the summary of a run step, JSON all through.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

import numpy as np

from assets.markets import calendars, hub, timeframes
from assets.markets.models import Instrument
from assets.markets.series import CandleSeries
from assets.quant import metrics, regime, trend
from assets.quant import volatility as vol
from assets.quant.arrays import FloatArray, IntArray, finite_or_none
from assets.quant.regime import Regime
from assets.research import selectors
from orchestrator import plugins
from orchestrator.plugins import RunContext, StepResult

_HOURS, _DAYS = 240, 120  # bars looked at: ten days of hours, or half a year of days
_TREND_BARS = 48
_MIN_COMMON = 30
_QUIET, _WILD = 0.5, 0.8  # percentiles of volatility
_BROAD = 0.6  # share of rising instruments


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """One instrument. NaN is unknown."""

    symbol: str
    volatility: float
    percentile: float
    trend: float
    regime: Regime
    returns: FloatArray
    ts: IntArray  # close time of each return, epoch seconds


def ai_market_analysis(ctx: RunContext) -> StepResult:
    """Analyse every asset type plugged in. `changed` when the mood or the regime of a type is another than before."""
    found = {key: _conditions(key, ctx.now) for key in plugins.asset_types()}
    facts = {key: facts for key, (_view, facts) in found.items()}
    types = {key: {**view, **summarise(facts[key])} for key, (view, _facts) in found.items()}
    summary = {
        "as_of": ctx.now.isoformat(),
        "mood": mood(types),
        "asset_types": types,
        "correlations": correlations(facts),
    }
    before = selectors.newest_market_analysis(ctx.now)
    changed = before is None or _headline(before.summary) != _headline(summary)
    return StepResult(changed=changed, summary=summary)


def summarise(facts: Sequence[Facts]) -> dict[str, Any]:
    """What the instruments of one type say together; None and 0 where nothing is known."""
    known = [f for f in facts if math.isfinite(f.volatility)]
    trends = [f.trend for f in known if math.isfinite(f.trend)]
    ranks = [f.percentile for f in known if math.isfinite(f.percentile)]
    leader = max(known, key=lambda f: f.volatility, default=None)
    regimes = Counter(str(f.regime) for f in known if f.regime is not Regime.UNKNOWN)
    return {
        "with_data": len(known),
        "volatility": float(np.median([f.volatility for f in known])) if known else None,
        "volatility_percentile": float(np.mean(ranks)) if ranks else None,
        "leader": leader.symbol if leader is not None else "",
        "trend": float(np.mean(trends)) if trends else None,
        "breadth": sum(t > 0 for t in trends) / len(trends) if trends else None,
        # Ties go to the alphabet, so that equal inputs give equal answers.
        "regime": min(regimes, key=lambda name: (-regimes[name], name)) if regimes else str(Regime.UNKNOWN),
        "regimes": dict(sorted(regimes.items())),
        "instruments": {
            f.symbol: {
                "volatility": finite_or_none(f.volatility),
                "percentile": finite_or_none(f.percentile),
                "trend": finite_or_none(f.trend),
                "regime": str(f.regime),
            }
            for f in facts
        },
    }


def mood(types: Mapping[str, Mapping[str, Any]]) -> str:
    """risk_on: broad rises, not wild; risk_off: broad falls, or falls in wild markets; mixed; unknown without data."""
    breadths = [t["breadth"] for t in types.values() if t["breadth"] is not None]
    ranks = [t["volatility_percentile"] for t in types.values() if t["volatility_percentile"] is not None]
    if not breadths:
        return "unknown"
    breadth, rank = sum(breadths) / len(breadths), sum(ranks) / len(ranks) if ranks else _QUIET
    if breadth >= _BROAD and rank < _WILD:
        return "risk_on"
    if breadth <= 1.0 - _BROAD or (breadth < _QUIET and rank >= _WILD):
        return "risk_off"
    return "mixed"


def correlations(facts: Mapping[str, Sequence[Facts]]) -> list[dict[str, Any]]:
    """Correlation of the mean returns of each pair of types over the bars both have; None with fewer than 30."""
    indexes = {key: _index(found) for key, found in facts.items()}
    rows = []
    for a, b in combinations(sorted(indexes), 2):
        common = sorted(indexes[a].keys() & indexes[b].keys())
        value = math.nan
        if len(common) >= _MIN_COMMON:
            value = metrics.correlation([indexes[a][t] for t in common], [indexes[b][t] for t in common])
        rows.append({"a": a, "b": b, "correlation": finite_or_none(value), "samples": len(common)})
    return rows


def _index(facts: Sequence[Facts]) -> dict[int, float]:
    """Mean return of the instruments that have one, by the time it ended."""
    sums: dict[int, list[float]] = {}
    for found in facts:
        for at, value in zip(found.ts.tolist(), found.returns.tolist(), strict=True):
            sums.setdefault(at, []).append(value)
    return {at: sum(values) / len(values) for at, values in sums.items()}


def _conditions(asset_type: str, now: datetime) -> tuple[dict[str, Any], list[Facts]]:
    rows = hub.active_instruments(asset_type)
    newest = hub.newest(rows, now)
    ages = [hub.age_of(row, latest, now) for row in rows if (latest := newest[row.pk]) is not None]
    calendar = calendars.get(rows[0].calendar) if rows else None
    view = {
        "total": len(rows),
        "is_open": calendar.is_open(now) if calendar is not None else False,
        "session": calendar.session(now) if calendar is not None else "",
        "data_age_s": min(ages, default=None),
    }
    facts = [_facts(row, latest, now) for row in rows if (latest := newest[row.pk]) is not None]
    return view, facts


def _facts(row: Instrument, latest: hub.Newest, now: datetime) -> Facts:
    is_daily = timeframes.seconds(latest.timeframe) > 3600
    name, limit = (latest.timeframe, _DAYS) if is_daily else ("1h", _HOURS)
    return measure(hub.series(row, name, end=now, limit=limit), row, timeframes.seconds(name))


def measure(series: CandleSeries, row: Instrument, bar_s: int) -> Facts:
    """Facts of one series of closed bars."""
    calendar = calendars.get(row.calendar)
    scale = vol.scale(
        bar_s=bar_s, trading_day_s=calendar.minutes_per_day * 60.0, days_per_year=calendar.periods_per_year
    )
    returns = vol.log_returns(series.close, series.ts, float(bar_s)) if len(series) > 1 else np.empty(0)
    path = vol.ewma_path(returns, scale)
    now_volatility = float(path[-1]) if path.size else math.nan
    rank = vol.percentile(path, now_volatility)
    return Facts(
        symbol=row.symbol,
        volatility=now_volatility,
        percentile=rank,
        trend=trend.straightness(series.close, _TREND_BARS) if len(series) else math.nan,
        regime=regime.classify(returns, rank).regime,
        returns=returns,
        ts=series.ts[1:] + bar_s if len(series) > 1 else np.empty(0, dtype=np.int64),
    )


def _headline(summary: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two analyses different enough to matter."""
    types = summary.get("asset_types") or {}
    return (summary.get("mood"), tuple(sorted((key, view.get("regime")) for key, view in types.items())))
