"""The named steps of a long-term crypto run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from assets.crypto_lt import params as schema
from assets.crypto_lt.strategy import Coin, CryptoInputs, Trade, assess, decide, drift, losses
from assets.crypto_lt.universe import KEY
from assets.quant.arrays import finite_or_none
from assets.research import desk, trades, warnings
from orchestrator.plugins import RunContext, StepResult
from tradingsite.foundation.errors import NotFound

# A month of four-hour bars, or half a year of daily ones where nothing finer is stored.
_BARS = desk.Bars(length="4h", limit=180)


def analyze_crypto_longterm(ctx: RunContext) -> StepResult:
    """Volatility, drawdown and the resulting multiple of every coin, and the drift of the portfolio."""
    params = schema.read(ctx.params)
    try:
        seen = desk.open_desk(KEY, params.symbols, _BARS, ctx.now)
    except NotFound as e:
        return desk.no_account(e)
    coins = {
        symbol: Coin(
            bars=sight.bars, scale=sight.scale, price=sight.price, quantity=sight.quantity, cost=sight.cost
        )
        for symbol, sight in seen.sights.items()
    }
    back = timedelta(days=max(7, params.rebalance_days))
    past = tuple(
        Trade(symbol=trade.symbol, at=trade.at, value=trade.value, code=trade.code)
        for trade in trades.since(seen.account.pk, ctx.slug, ctx.now - back, ctx.now)
    )
    ctx.shared["desk"] = seen
    ctx.shared["inputs"] = CryptoInputs(
        now=ctx.now, coins=coins, trades=past, equity=seen.equity, cash=seen.cash, params=params
    )
    below = losses(coins, params.loss_alert)
    warnings.below_cost(below, held=coins, limit=params.loss_alert, slug=ctx.slug, now=ctx.now)
    summary = {
        "coins": {symbol: _outlook(coin, params) for symbol, coin in coins.items()},
        "drift": finite_or_none(drift(coins)),
        "below_cost": below,
    }
    return StepResult(summary=summary)


def _outlook(coin: Coin, params: schema.CryptoParams) -> dict[str, Any]:
    seen = assess(coin, params)
    return {
        "volatility": finite_or_none(seen.volatility),
        "drawdown": finite_or_none(seen.drawdown),
        "multiple": finite_or_none(seen.multiple),
        "bars": seen.bars,
        "is_fresh": coin.price is not None,
    }


def execute_crypto_dca(ctx: RunContext) -> StepResult:
    """Buy what is due, or put the shares right."""
    if "inputs" not in ctx.shared:
        return StepResult(summary={"skipped": "nothing-analyzed"})
    return desk.execute(ctx, ctx.shared["desk"], decide(ctx.shared["inputs"]))
