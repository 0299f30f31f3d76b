"""The named steps of a meme-coin run."""

from __future__ import annotations

from assets.meme_coins import params as schema
from assets.meme_coins.strategy import Coin, MemeInputs, decide, score
from assets.meme_coins.universe import KEY
from assets.quant.arrays import finite_or_none
from assets.research import desk, stakes
from orchestrator.plugins import RunContext, StepResult
from tradingsite.foundation.errors import NotFound

_BARS = desk.Bars(length="1m", limit=300)


def analyze_meme_trends(ctx: RunContext) -> StepResult:
    """Score every coin: momentum, volume burst, liquidity, spread. Trades nothing."""
    params = schema.read(ctx.params)
    try:
        seen = desk.open_desk(KEY, params.symbols, _BARS, ctx.now)
    except NotFound as e:
        return desk.no_account(e)
    coins = {
        symbol: Coin(
            bars=sight.bars, bar_s=sight.bar_s, is_fresh=sight.is_fresh, spread_bps=sight.spread_bps,
            quantity=sight.quantity,
        )
        for symbol, sight in seen.sights.items()
    }  # fmt: skip
    found = {symbol: score(coin, params) for symbol, coin in coins.items()}
    ctx.shared["desk"] = seen
    record = stakes.record(seen.account, ctx.now) if params.sizing == "kelly" else ()
    ctx.shared["inputs"] = MemeInputs(now=ctx.now, coins=coins, params=params, scores=found, record=record)
    scores = {}
    for symbol, measured in found.items():
        scores[symbol] = {
            "strength": finite_or_none(measured.strength),
            "burst": finite_or_none(measured.burst),
            "turnover": finite_or_none(measured.turnover),
            "spread_bps": finite_or_none(measured.spread_bps),
            "stop_ratio": finite_or_none(measured.stop_ratio),
            "bars": measured.bars,
            "is_fresh": coins[symbol].is_fresh,
        }
    return StepResult(summary={"scores": scores})


def execute_meme_trades(ctx: RunContext) -> StepResult:
    """Bring the account to what the strategy wants after the analysis of this run."""
    if "inputs" not in ctx.shared:
        return StepResult(summary={"skipped": "nothing-analyzed"})
    return desk.execute(ctx, ctx.shared["desk"], decide(ctx.shared["inputs"]))
