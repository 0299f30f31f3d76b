"""Smart cost averaging and banded rebalancing, long only. Pure: what was bought when comes in as an argument.

A purchase is due when the newest one of that coin is old enough. Its size is the coin's share of the weekly budget,
larger the deeper the coin lies under its recent high, smaller the more volatile it is, within limits. When the shares
of a grown portfolio have drifted out of their band, they are put right instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from assets.crypto_lt.params import CryptoParams, shares
from assets.markets.series import CandleSeries
from assets.quant import allocation, indicators
from assets.quant import volatility as vol
from assets.quant.arrays import finite_or_none
from assets.trading.targets import Reason, Target

_WEEK = timedelta(days=7)
_EARLY = timedelta(minutes=10)  # a run a little before its hour is that hour's run
MIN_BARS = vol.MIN_RETURNS + 1
_SMALLEST = 0.25  # a purchase shrinks to a quarter, never to nothing: skipping is market timing
BUY, REBALANCE = "dca_buy", "rebalance"


@dataclass(frozen=True, kw_only=True, slots=True)
class Coin:
    """What is known about one coin. `scale` says how its bars annualise; `price` is None when not fresh."""

    bars: CandleSeries
    scale: vol.Scale
    price: float | None
    quantity: Decimal = Decimal(0)
    cost: float = 0.0  # of the open quantity, quote currency


@dataclass(frozen=True, kw_only=True, slots=True)
class Trade:
    """One earlier fill or working order of this workflow, from the ledger. `value` in quote currency, buys above 0."""

    symbol: str
    at: datetime
    value: float
    code: str  # BUY or REBALANCE


@dataclass(frozen=True, kw_only=True, slots=True)
class CryptoInputs:
    now: datetime
    coins: Mapping[str, Coin]
    trades: tuple[Trade, ...]
    equity: float
    cash: float
    params: CryptoParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What `assess` measured of a coin. NaN: too little history, then the multiple is 1."""

    volatility: float
    drawdown: float  # -1..0, from the highest close known
    multiple: float
    bars: int


def assess(coin: Coin, params: CryptoParams) -> Outlook:
    """How much more or less than usual a purchase of this coin should be."""
    closes = coin.bars.close
    if len(closes) < MIN_BARS:
        return Outlook(volatility=math.nan, drawdown=math.nan, multiple=1.0, bars=len(closes))
    volatility = vol.ewma(vol.log_returns(closes), coin.scale)
    depth = float(indicators.drawdown(closes)[-1])
    calm = params.volatility_reference / volatility if volatility > 1e-9 else params.max_multiple
    multiple = (1.0 - params.drawdown_gain * depth) * calm
    bounded = min(max(multiple, _SMALLEST), params.max_multiple)
    return Outlook(volatility=volatility, drawdown=depth, multiple=bounded, bars=len(closes))


def decide(inputs: CryptoInputs) -> tuple[Target, ...]:
    """Targets of the coins with a fresh price; a coin without one is left as it is."""
    priced = {
        s: coin for s, coin in sorted(inputs.coins.items()) if coin.price is not None and coin.price > 0
    }
    wanted = {s: share for s, share in shares(tuple(sorted(inputs.coins))).items() if s in priced}
    drifted = _rebalance(inputs, priced, wanted)
    return drifted if drifted else _purchases(inputs, priced, wanted)


def drift(coins: Mapping[str, Coin]) -> float:
    """Largest distance of a coin's share of the invested value from its target; NaN when nothing is invested."""
    values = _values({symbol: coin for symbol, coin in coins.items() if coin.price is not None})
    total = sum(values.values())
    if total <= 0.0:
        return math.nan
    wanted = shares(tuple(values))
    return allocation.drift(
        [value / total for value in values.values()], [wanted[symbol] for symbol in values]
    )


def losses(coins: Mapping[str, Coin], limit: float) -> dict[str, float]:
    """Coins worth at least `limit` less than they cost, with the (negative) ratio."""
    found = {}
    for symbol, coin in coins.items():
        if coin.price is not None and coin.quantity > 0 and coin.cost > 0.0:
            result = float(coin.quantity) * coin.price / coin.cost - 1.0
            if result <= -limit:
                found[symbol] = result
    return found


def _values(coins: Mapping[str, Coin]) -> dict[str, float]:
    return {symbol: float(coin.quantity) * (coin.price or 0.0) for symbol, coin in coins.items()}


def _rebalance(
    inputs: CryptoInputs, coins: Mapping[str, Coin], wanted: dict[str, float]
) -> tuple[Target, ...]:
    """Targets that restore the shares, or nothing when they are near enough, too small, or it is too early."""
    params, values = inputs.params, _values(coins)
    total = sum(values.values())
    if len(coins) < len(inputs.coins) or total <= 0.0 or total < params.rebalance_from * inputs.equity:
        return ()
    before = max((trade.at for trade in inputs.trades if trade.code == REBALANCE), default=None)
    if before is not None and inputs.now - before < timedelta(days=params.rebalance_days):
        return ()
    actual = [values[symbol] / total for symbol in wanted]
    if not allocation.outside_band(actual, list(wanted.values()), params.rebalance_band):
        return ()
    targets = []
    for symbol, share in wanted.items():
        now_share = values[symbol] / total
        limited = min(share * total, params.max_position * inputs.equity)
        reason = Reason(
            code=REBALANCE, value=now_share - share,
            params={"share": now_share, "target": share, "band": params.rebalance_band},
        )  # fmt: skip
        # Sales first: their proceeds pay for the purchases.
        urgency = 0.9 if now_share > share else 0.4
        quantity = _units(limited, coins[symbol].price)
        targets.append(Target(symbol=symbol, quantity=quantity, reasons=(reason,), urgency=urgency))
    return tuple(targets)


def _purchases(
    inputs: CryptoInputs, coins: Mapping[str, Coin], wanted: dict[str, float]
) -> tuple[Target, ...]:
    params = inputs.params
    spent = sum(t.value for t in inputs.trades if t.code == BUY and t.value > 0 and inputs.now - t.at < _WEEK)
    week = params.weekly_budget * params.max_multiple - spent
    spendable = max(0.0, min(week, inputs.cash - params.cash_reserve * inputs.equity))
    targets = []
    for symbol, share in wanted.items():
        coin = coins[symbol]
        due, since_h = _is_due(symbol, inputs)
        outlook = assess(coin, params)
        amount = params.weekly_budget * share * params.buy_every_h / 168.0 * outlook.multiple
        room = params.max_position * inputs.equity - float(coin.quantity) * (coin.price or 0.0)
        amount = min(amount, spendable, max(room, 0.0)) if due else 0.0
        spendable -= amount
        targets.append(_purchase(symbol, coin, amount, due, since_h, outlook, params))
    return tuple(targets)


def _is_due(symbol: str, inputs: CryptoInputs) -> tuple[bool, float | None]:
    """Whether a purchase of this coin is due, and the hours since the last one (None: never bought)."""
    last = max((t.at for t in inputs.trades if t.symbol == symbol and t.code == BUY), default=None)
    if last is None:
        return True, None
    since = inputs.now - last
    return since >= timedelta(hours=inputs.params.buy_every_h) - _EARLY, since.total_seconds() / 3600.0


def _purchase(
    symbol: str,
    coin: Coin,
    amount: float,
    due: bool,
    since_h: float | None,
    outlook: Outlook,
    params: CryptoParams,
) -> Target:
    if not due:
        reason = Reason(code="dca_not_due", value=since_h, params={"every_h": params.buy_every_h})
        return Target(symbol=symbol, quantity=coin.quantity, reasons=(reason,))
    if amount <= 0.0:
        reason = Reason(code="dca_no_budget", value=0.0, params={"weekly_budget": params.weekly_budget})
        return Target(symbol=symbol, quantity=coin.quantity, reasons=(reason,))
    reasons = (
        Reason(code=BUY, value=amount, params={"hours_since": since_h, "every_h": params.buy_every_h}),
        Reason(code="drawdown", value=finite_or_none(outlook.drawdown)),
        Reason(
            code="volatility", value=finite_or_none(outlook.volatility),
            params={"reference": params.volatility_reference},
        ),
        Reason(code="multiple", value=outlook.multiple, params={"limit": params.max_multiple}),
    )  # fmt: skip
    return Target(symbol=symbol, quantity=coin.quantity + _units(amount, coin.price), reasons=reasons)


def _units(value: float, price: float | None) -> Decimal:
    """Units worth `value`, through the shortest text of the price; the gate rounds down to the lot step."""
    assert price is not None and price > 0.0  # callers keep only priced coins
    return Decimal(repr(max(value, 0.0))) / Decimal(repr(price))
