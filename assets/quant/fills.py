"""The one fill, fee and slippage model: paper trading, replay and backtests charge exactly the same. Pure,
exact.

Prices, quantities and costs are Decimal; rates are fractions, `_bps` are basis points (1/10000). Rounding is
always in the direction that costs the trader: quantities down to the lot, buy prices up and sell prices down
to the tick, fees up. The worse case is assumed throughout: a market order pays half the spread and slippage
beyond the bar's open.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_CONTEXT = Context(prec=100)
ZERO = Decimal(0)
BPS = Decimal(10_000)
CASH_STEP = Decimal("1e-8")
"""Smallest unit of cash a posting uses, in any asset."""

BUY = "buy"
SELL = "sell"


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueRules:
    """Filters of one instrument. `tick_size` and `lot_step` are above 0."""

    tick_size: Decimal
    lot_step: Decimal
    min_quantity: Decimal
    min_notional: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs:
    """What a trade costs. `participation` (0..1] is the share of a bar's volume one order may take."""

    fee_rate: Decimal
    half_spread_bps: Decimal
    slippage_bps: Decimal
    participation: Decimal = Decimal("0.1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One closed bar on the side an order trades at. `volume` 0 means the source does not know it.

    `quoted` is True for bid or ask bars, whose prices contain the spread already, False for trade bars.
    """

    open_ts: int
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal = ZERO
    quoted: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkingOrder:
    """What is left of an order at the venue. `limit_price` None is a market order."""

    side: str
    remaining: Decimal
    limit_price: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One fill of a working order: quantity and price obey the filters, the fee is in the quote currency."""

    open_ts: int
    quantity: Decimal
    price: Decimal
    fee: Decimal


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` (> 0) not above `value`."""
    return _snap(value, step, ROUND_FLOOR)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` (> 0) not below `value`."""
    return _snap(value, step, ROUND_CEILING)


def _snap(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    if step <= 0:
        raise ValueError(f"A rounding step must be above 0, was {step}.")
    # An integer quotient first, then an inexact remainder decides: no digit of `value` is lost on the way.
    quotient = _CONTEXT.divide_int(value, step)
    rest = _CONTEXT.subtract(value, _CONTEXT.multiply(quotient, step))
    if rounding == ROUND_CEILING and rest > 0:
        quotient = _CONTEXT.add(quotient, 1)
    elif rounding == ROUND_FLOOR and rest < 0:
        quotient = _CONTEXT.subtract(quotient, 1)
    return _plain(_CONTEXT.multiply(quotient, step))


def _plain(value: Decimal) -> Decimal:
    """Same number without trailing zeros and without an exponent above 0."""
    value = value.normalize(_CONTEXT)
    exponent = value.as_tuple().exponent
    return (
        value.quantize(Decimal(1), context=_CONTEXT)
        if isinstance(exponent, int) and exponent > 0
        else _CONTEXT.plus(value)
    )


def trade_price(side: str, price: Decimal, tick: Decimal) -> Decimal:
    """`price` on the tick grid, against the trader: up for a buy, down for a sell, never below one tick."""
    snapped = ceil_to(price, tick) if side == BUY else floor_to(price, tick)
    # No venue trades below one tick; a sale at 0 would give the position away.
    return max(snapped, tick)


def limit_on_grid(side: str, price: Decimal, tick: Decimal) -> Decimal:
    """A limit price on the tick grid that is never worse for the trader than asked: down for a buy, up for a
    sell.
    """
    return max(floor_to(price, tick) if side == BUY else ceil_to(price, tick), tick)


def fee_for(quantity: Decimal, price: Decimal, fee_rate: Decimal, step: Decimal = CASH_STEP) -> Decimal:
    """Fee in the quote currency, rounded up to `step`. A negative rate is a rebate and rounds towards the
    venue too.
    """
    return ceil_to(_CONTEXT.multiply(_CONTEXT.multiply(quantity, price), fee_rate), step)


def _edge(side: str, bps: Decimal) -> Decimal:
    """Factor by which a price moves against a trader of `side`."""
    shift = _CONTEXT.divide(bps, BPS)
    return 1 + shift if side == BUY else max(1 - shift, ZERO)


def market_price(side: str, bar: Bar, costs: Costs, tick: Decimal) -> Decimal:
    """Price of a market order that meets `bar`: its open, half the spread (unless the bar is bid/ask) and
    slippage.
    """
    bps = costs.slippage_bps if bar.quoted else costs.slippage_bps + costs.half_spread_bps
    return trade_price(side, _CONTEXT.multiply(bar.open, _edge(side, bps)), tick)


def limit_fill_price(side: str, limit: Decimal, bar: Bar, costs: Costs) -> Decimal | None:
    """Price of a limit order in `bar`, or None when the bar did not touch it.

    Trade bars are widened by half the spread: a buyer pays the ask. Opening beyond the limit fills at that better open,
    never beyond the limit.
    """
    factor = Decimal(1) if bar.quoted else _edge(side, costs.half_spread_bps)
    opened = _CONTEXT.multiply(bar.open, factor)
    if side == BUY:
        return min(opened, limit) if _CONTEXT.multiply(bar.low, factor) <= limit else None
    return max(opened, limit) if _CONTEXT.multiply(bar.high, factor) >= limit else None


def available(bar: Bar, costs: Costs, lot_step: Decimal) -> Decimal | None:
    """How much one order may take of `bar`, a multiple of the lot. None = volume unknown, no bound."""
    if bar.volume <= 0:
        return None
    return floor_to(_CONTEXT.multiply(bar.volume, costs.participation), lot_step)


def execute_at(order: WorkingOrder, bar: Bar, rules: VenueRules, costs: Costs) -> Execution | None:
    """What `bar` fills of `order`; None when nothing (limit not touched, bar too thin)."""
    if order.limit_price is None:
        price: Decimal | None = market_price(order.side, bar, costs, rules.tick_size)
    else:
        price = limit_fill_price(order.side, order.limit_price, bar, costs)
        if price is not None and price != order.limit_price:
            # A better price goes to the grid against the trader, but stays inside the limit.
            snapped = trade_price(order.side, price, rules.tick_size)
            inside = min if order.side == BUY else max
            price = inside(snapped, order.limit_price)
    if price is None or price <= 0:
        return None
    bound = available(bar, costs, rules.lot_step)
    quantity = order.remaining if bound is None else min(order.remaining, bound)
    if quantity <= 0:
        return None
    return Execution(
        open_ts=bar.open_ts, quantity=quantity, price=price, fee=fee_for(quantity, price, costs.fee_rate)
    )


def execute_over(
    order: WorkingOrder, bars: Iterable[Bar], rules: VenueRules, costs: Costs
) -> tuple[Execution, ...]:
    """Fills of `order` over `bars` (oldest first, all opened at or after acceptance) until nothing is left."""
    fills: list[Execution] = []
    remaining = order.remaining
    for bar in bars:
        left = WorkingOrder(side=order.side, remaining=remaining, limit_price=order.limit_price)
        fill = execute_at(left, bar, rules, costs)
        if fill is None:
            continue
        fills.append(fill)
        remaining = _CONTEXT.subtract(remaining, fill.quantity)
        if remaining <= 0:
            break
    return tuple(fills)


def cash_value(side: str, quantity: Decimal, price: Decimal, step: Decimal = CASH_STEP) -> Decimal:
    """Cash that changes hands (> 0): what a buyer pays rounds up to `step`, what a seller gets rounds down."""
    exact = _CONTEXT.multiply(quantity, price)
    return ceil_to(exact, step) if side == BUY else floor_to(exact, step)


def exact_value(quantity: Decimal, price: Decimal, places: int = 18) -> Decimal:
    """quantity x price, half-even at `places` fraction digits (what the ledger can hold)."""
    product = _CONTEXT.multiply(quantity, price)
    exponent = product.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= places:
        return _plain(product)
    return _plain(
        product.quantize(Decimal(1).scaleb(-places), rounding=decimal.ROUND_HALF_EVEN, context=_CONTEXT)
    )
