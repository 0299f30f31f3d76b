"""The named steps of an ETF run."""

from __future__ import annotations

from datetime import datetime

from assets.etf import params as schema
from assets.etf.strategy import EtfInputs, Fund, assess, decide, losses
from assets.etf.universe import KEY
from assets.quant.arrays import finite_or_none
from assets.research import desk, trades, warnings
from orchestrator.plugins import RunContext, StepResult
from tradingsite.foundation.errors import NotFound

_MONTHLY = frozenset({"rebalance_monthly"})


def analyze_etf_performance(ctx: RunContext) -> StepResult:
    """Momentum and volatility of every fund."""
    params = schema.read(ctx.params)
    bars = desk.Bars(length="1d", limit=260, at_least=max(params.min_bars, 21), instead="1h")
    try:
        seen = desk.open_desk(KEY, params.symbols, bars, ctx.now)
    except NotFound as e:
        return desk.no_account(e)
    funds = {symbol: _fund(sight) for symbol, sight in seen.sights.items()}
    opened_at, closes_at = _session(seen, ctx.now)
    ctx.shared["desk"] = seen
    ctx.shared["inputs"] = EtfInputs(
        now=ctx.now, funds=funds, equity=seen.equity, opened_at=opened_at, closes_at=closes_at, params=params,
        rebalanced_at=trades.newest_at(seen.account.pk, ctx.slug, ctx.now, codes=_MONTHLY),
    )  # fmt: skip
    below = losses(funds, params.loss_alert)
    warnings.below_cost(below, held=funds, limit=params.loss_alert, slug=ctx.slug, now=ctx.now)
    ratings = {symbol: assess(fund, params) for symbol, fund in funds.items()}
    return StepResult(
        summary={
            "funds": {
                symbol: {
                    "momentum": finite_or_none(rating.momentum),
                    "volatility": finite_or_none(rating.volatility),
                    "bars": rating.bars,
                    "timeframe": funds[symbol].bars.timeframe,
                    "is_fresh": funds[symbol].price is not None,
                }
                for symbol, rating in ratings.items()
            },
            "closes_at": closes_at.isoformat() if closes_at is not None else None,
            "below_cost": below,
        }
    )


def rebalance_etf_portfolio(ctx: RunContext) -> StepResult:
    """Bring the portfolio to its weights when the month or a band says so."""
    if "inputs" not in ctx.shared:
        return StepResult(summary={"skipped": "nothing-analyzed"})
    return desk.execute(ctx, ctx.shared["desk"], decide(ctx.shared["inputs"]))


def _fund(sight: desk.Sight) -> Fund:
    per_day = 1.0 if sight.bar_s >= 86_400 else desk.trading_day_s(sight.instrument) / sight.bar_s
    return Fund(
        bars=sight.bars, scale=sight.scale, bars_per_day=max(1.0, per_day), price=sight.price,
        quantity=sight.quantity, cost=sight.cost,
    )  # fmt: skip


def _session(seen: desk.Desk, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Opening and close of the running session, early closes included; None and None when closed."""
    calendar = seen.calendar()
    if calendar is None or not calendar.is_open(now):
        return None, None
    return calendar.last_edge(now), calendar.next_close(now)
