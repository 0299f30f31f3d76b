"""The named steps of a forex run."""

from __future__ import annotations

from typing import Any

from assets.forex import params as schema
from assets.forex.strategy import ForexInputs, Pair, assess, decide
from assets.forex.universe import KEY
from assets.quant.arrays import finite_or_none
from assets.research import desk, stakes
from orchestrator.plugins import RunContext, StepResult
from tradingsite.foundation.errors import NotFound

_BARS = desk.Bars(length="15m", limit=200)


def analyze_forex_pairs(ctx: RunContext) -> StepResult:
    """Regime, trend and stretch of every pair in the running session."""
    params = schema.read(ctx.params)
    try:
        seen = desk.open_desk(KEY, params.symbols, _BARS, ctx.now)
    except NotFound as e:
        return desk.no_account(e)
    pairs = {
        symbol: Pair(
            bars=sight.bars, bar_s=sight.bar_s, scale=sight.scale, is_fresh=sight.is_fresh,
            quantity=sight.quantity,
        )
        for symbol, sight in seen.sights.items()
    }  # fmt: skip
    calendar = seen.calendar()
    closes_at = calendar.next_close(ctx.now) if calendar is not None else None
    inputs = ForexInputs(
        now=ctx.now,
        pairs=pairs,
        activity=calendar.activity(ctx.now) if calendar is not None else 0.0,
        closes_at=closes_at,
        reopens_at=calendar.next_open(closes_at) if calendar is not None and closes_at is not None else None,
        params=params,
        record=stakes.record(seen.account, ctx.now) if params.sizing == "kelly" else (),
    )
    ctx.shared["desk"], ctx.shared["inputs"] = seen, inputs
    summary = {
        "session": calendar.session(ctx.now) if calendar is not None else "",
        "activity": inputs.activity,
        "closes_at": closes_at.isoformat() if closes_at is not None else None,
        "pairs": {symbol: _view(pair, params) for symbol, pair in pairs.items()},
    }
    return StepResult(summary=summary)


def _view(pair: Pair, params: schema.ForexParams) -> dict[str, Any]:
    view = assess(pair, params)
    return {
        "regime": str(view.regime),
        "trend": finite_or_none(view.trend),
        "stretch": finite_or_none(view.stretch),
        "volatility": finite_or_none(view.volatility),
        "percentile": finite_or_none(view.percentile),
        "stop_ratio": finite_or_none(view.stop_ratio),
        "bars": view.bars,
        "is_fresh": pair.is_fresh,
    }


def execute_forex_trades(ctx: RunContext) -> StepResult:
    """Bring the account to what the strategy wants after the analysis of this run."""
    if "inputs" not in ctx.shared:
        return StepResult(summary={"skipped": "nothing-analyzed"})
    return desk.execute(ctx, ctx.shared["desk"], decide(ctx.shared["inputs"]))
