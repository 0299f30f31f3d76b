"""Position arithmetic: what a trade does to quantity, cost and realised result. Pure, exact.

`quantity` is signed (short below 0) and `cost` has its sign: what the open quantity cost. At every instant
`cost - realised` equals the cash paid minus the cash received over all trades, to the last unit; only the
split between the two is rounded (18 digits) when part of a position closes.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Context, Decimal

_CONTEXT = Context(prec=100)
_UNIT = Decimal("1e-18")
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A position: signed quantity, its signed cost, realised result and fees, all but the first in the quote
    currency.
    """

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO

    @property
    def average_price(self) -> Decimal | None:
        """Average entry price, None when flat."""
        return _CONTEXT.divide(self.cost, self.quantity) if self.quantity else None

    def unrealised(self, price: Decimal) -> Decimal:
        """Result if closed at `price`, fees aside, in the quote currency."""
        return _CONTEXT.subtract(_CONTEXT.multiply(self.quantity, price), self.cost)


def apply_trade(holding: Holding, *, quantity: Decimal, value: Decimal, fee: Decimal = ZERO) -> Holding:
    """`holding` after a trade of signed `quantity` (buy > 0) whose cash `value` (> 0) changed hands, plus
    `fee`.

    A trade through zero closes the whole position and opens the rest at the trade's own average price.
    Raises ValueError for a trade of nothing.
    """
    if not quantity:
        raise ValueError("A trade needs a quantity.")
    signed = value if quantity > 0 else -value
    fees = _CONTEXT.add(holding.fees, fee)
    after = _CONTEXT.add(holding.quantity, quantity)
    if holding.quantity == 0 or (holding.quantity > 0) == (quantity > 0):
        return Holding(
            quantity=after, cost=_CONTEXT.add(holding.cost, signed), realised=holding.realised, fees=fees
        )
    if not after or (after > 0) == (holding.quantity > 0):
        # Shrinks or closes. The released cost is the share of what is closed; everything when flat, so that
        # no dust stays.
        released = holding.cost if not after else _share(holding.cost, -quantity, holding.quantity)
        opened = ZERO
    else:
        released = holding.cost
        opened = _share(signed, after, quantity)
    gain = _CONTEXT.subtract(_CONTEXT.subtract(opened, signed), released)
    return Holding(
        quantity=after,
        cost=_CONTEXT.add(_CONTEXT.subtract(holding.cost, released), opened),
        realised=_CONTEXT.add(holding.realised, gain),
        fees=fees,
    )


def pay_fee_in_base(holding: Holding, *, fee: Decimal, value: Decimal) -> Holding:
    """`holding` after the venue kept `fee` units of the traded asset itself, worth `value` in the quote
    currency.

    The cost moves to the fees: cash did not move, there is just less of the asset.
    """
    return Holding(
        quantity=_CONTEXT.subtract(holding.quantity, fee),
        cost=_CONTEXT.subtract(holding.cost, value),
        realised=holding.realised,
        fees=_CONTEXT.add(holding.fees, value),
    )


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """amount x part / whole at 18 digits, half-even."""
    exact = _CONTEXT.divide(_CONTEXT.multiply(amount, part), whole)
    return exact.quantize(_UNIT, rounding=decimal.ROUND_HALF_EVEN, context=_CONTEXT)
