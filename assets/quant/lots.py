"""Tax lots: which purchase a sale is taken from. Pure and exact; shorts work alike (opened by a sale, closed by a purchase).

    report = match(trades, method="fifo")      -> closed (each with cost, proceeds, gain, dates) and open lots
    sum(c.gain for c in report.closed) + fees  == what the ledger realised, whatever the method, once all is closed

Methods: fifo the oldest first, lifo the newest, hifo the dearest (of a short: the cheapest sale), average one pool at the
mean cost. Amounts are exact; only "average" rounds a share of the pool's cost (18 digits), and what rounding leaves stays in
the pool.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal
from typing import Final

METHODS: Final = ("fifo", "lifo", "hifo", "average")
_CONTEXT = Context(prec=100)
_UNIT = Decimal("1e-18")
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LotTrade:
    """One execution: signed quantity (a purchase above 0), the cash that changed hands (above 0) and fees in the quote currency."""

    symbol: str
    at: datetime
    quantity: Decimal
    value: Decimal
    fee: Decimal = ZERO


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """What is left of one opening trade. `cost` is what it cost (of a short: what it brought), fees of the opening included."""

    symbol: str
    opened_at: datetime
    quantity: Decimal  # signed
    cost: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """A part of a lot that was closed. `gain` = proceeds - cost, fees of both ends inside."""

    symbol: str
    opened_at: datetime
    closed_at: datetime
    quantity: Decimal  # above 0
    is_long: bool
    cost: Decimal
    proceeds: Decimal

    @property
    def gain(self) -> Decimal:
        return _CONTEXT.subtract(self.proceeds, self.cost)

    @property
    def held_days(self) -> int:
        return (self.closed_at - self.opened_at).days


@dataclass(frozen=True, slots=True)
class Report:
    closed: tuple[Closed, ...]
    open: tuple[Lot, ...]


def match(trades: Iterable[LotTrade], method: str = "fifo") -> Report:
    """Match closing trades with lots, per symbol, in order of time. Raises ValueError for an unknown method or a trade of
    nothing.
    """
    if method not in METHODS:
        raise ValueError(f"A method is one of {', '.join(METHODS)}, was {method!r}.")
    pools: dict[str, list[Lot]] = {}
    closed: list[Closed] = []
    for trade in sorted(trades, key=lambda t: t.at):
        if not trade.quantity or trade.value < 0:
            raise ValueError(f"A trade needs a quantity and a value of at least 0: {trade}.")
        lots = pools.setdefault(trade.symbol, [])
        closed += _take(lots, trade, method)
    return Report(tuple(closed), tuple(lot for lots in pools.values() for lot in lots))


def _take(lots: list[Lot], trade: LotTrade, method: str) -> list[Closed]:
    """Close what the trade closes, then open a lot with the rest of it. `lots` is changed."""
    found: list[Closed] = []
    left, value, fee = trade.quantity, trade.value, trade.fee
    while left and lots and (lots[0].quantity > 0) != (left > 0):
        lot = lots[_choose(lots, method)]
        part = min(abs(left), abs(lot.quantity))
        whole = part == abs(left)
        # The last part takes what is left, so that no digit is lost or made.
        part_value = value if whole else _share(value, part, abs(left))
        part_fee = fee if whole else _share(fee, part, abs(left))
        lot_cost = lot.cost if part == abs(lot.quantity) else _share(lot.cost, part, abs(lot.quantity))
        is_long = lot.quantity > 0
        found.append(
            Closed(
                symbol=trade.symbol, opened_at=lot.opened_at, closed_at=trade.at, quantity=part, is_long=is_long,
                cost=lot_cost if is_long else _CONTEXT.add(part_value, part_fee),
                proceeds=_CONTEXT.subtract(part_value, part_fee) if is_long else lot_cost,
            )
        )  # fmt: skip
        _shrink(lots, lot, part if is_long else -part, lot_cost)
        left = _CONTEXT.add(left, part if is_long else -part)
        value, fee = _CONTEXT.subtract(value, part_value), _CONTEXT.subtract(fee, part_fee)
    if left:
        cost = _CONTEXT.add(value, fee) if left > 0 else _CONTEXT.subtract(value, fee)
        _open(lots, Lot(symbol=trade.symbol, opened_at=trade.at, quantity=left, cost=cost), method)
    return found


def _choose(lots: list[Lot], method: str) -> int:
    if method == "lifo":
        return len(lots) - 1
    if method != "hifo":
        return 0
    prices = [_CONTEXT.divide(lot.cost, abs(lot.quantity)) for lot in lots]
    # Dearest purchase, or the sale that brought least: both make the gain smallest.
    best = max(prices) if lots[0].quantity > 0 else min(prices)
    return prices.index(best)


def _shrink(lots: list[Lot], lot: Lot, part: Decimal, cost: Decimal) -> None:
    index = lots.index(lot)
    rest = _CONTEXT.subtract(lot.quantity, part)
    if rest:
        lots[index] = replace(lot, quantity=rest, cost=_CONTEXT.subtract(lot.cost, cost))
    else:
        del lots[index]


def _open(lots: list[Lot], lot: Lot, method: str) -> None:
    if method == "average" and lots:
        pool = lots[0]
        lots[0] = replace(
            pool, quantity=_CONTEXT.add(pool.quantity, lot.quantity), cost=_CONTEXT.add(pool.cost, lot.cost)
        )
    else:
        lots.append(lot)


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount x part / whole at 18 digits, half-even."""
    exact = _CONTEXT.divide(_CONTEXT.multiply(amount, part), whole)
    return exact.quantize(_UNIT, rounding=decimal.ROUND_HALF_EVEN, context=_CONTEXT)
