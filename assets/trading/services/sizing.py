"""From a wanted position to orders: pure arithmetic, quantities rounded down to the lot, never through zero
in one order.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assets.quant.fills import BUY, SELL, VenueRules, floor_to
from assets.trading.targets import Target

ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What sizing needs of one instrument. `pending` is the signed rest of working orders, `rate` quote ->
    account currency.
    """

    held: Decimal
    pending: Decimal
    price: Decimal
    rate: Decimal | None
    equity: Decimal
    rules: VenueRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """One order. `reduces`: it can only shrink the position held. `formula` keeps the numbers for the record."""

    side: str
    quantity: Decimal
    reduces: bool
    formula: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """Nothing to do, and why: on_target, dead_band, below_lot, dust, equity_unknown."""

    code: str
    value: str = ""


def size(target: Target, situation: Situation) -> tuple[Leg, ...] | Ignored:
    """The legs that lead from held + pending to the target, the reducing one first."""
    wanted = _wanted(target, situation)
    if wanted is None:
        return Ignored(code="equity_unknown")
    effective = situation.held + situation.pending
    delta = wanted - effective
    if not delta:
        return Ignored(code="on_target")
    drift = _drift(delta, situation)
    if not target.closes and drift is not None and drift < target.dead_band:
        return Ignored(code="dead_band", value=f"{drift:.6f}")
    formula = _formula(target, situation, wanted)
    parts = _split(effective, delta)
    # Of a way through zero only the first half can be a reduction.
    legs = [
        _leg(part, n == 0 and is_reduction(part, situation), situation, formula)
        for n, part in enumerate(parts)
    ]
    good = tuple(leg for leg in legs if isinstance(leg, Leg))
    return good or next(leg for leg in legs if isinstance(leg, Ignored))


def _wanted(target: Target, situation: Situation) -> Decimal | None:
    """Signed units, rounded towards zero to the lot."""
    if target.quantity is not None:
        units = target.quantity
    elif not target.weight:
        return ZERO
    elif situation.rate is None or situation.equity <= 0:
        return None
    else:
        units = Decimal(repr(target.weight)) * situation.equity / (situation.price * situation.rate)
    rounded = floor_to(abs(units), situation.rules.lot_step)
    return rounded if units >= 0 else -rounded


def _drift(delta: Decimal, situation: Situation) -> float | None:
    if situation.rate is None or situation.equity <= 0:
        return None
    return float(abs(delta) * situation.price * situation.rate / situation.equity)


def _split(effective: Decimal, delta: Decimal) -> tuple[Decimal, ...]:
    """A way through zero becomes two: close, then open. The first half passes while entries are paused."""
    after = effective + delta
    if effective and after and (after > 0) != (effective > 0):
        return (-effective, after)
    return (delta,)


def _leg(delta: Decimal, reduces: bool, situation: Situation, formula: dict[str, Any]) -> Leg | Ignored:
    rules = situation.rules
    quantity = floor_to(abs(delta), rules.lot_step)
    if quantity < rules.lot_step or quantity < rules.min_quantity:
        return Ignored(code="below_lot", value=str(abs(delta)))
    if quantity * situation.price < rules.min_notional:
        return Ignored(code="dust", value=str(quantity * situation.price))
    return Leg(side=BUY if delta > 0 else SELL, quantity=quantity, reduces=reduces, formula=formula)


def is_reduction(delta: Decimal, situation: Situation) -> bool:
    """True only if no outcome of the working orders can make this order open something."""
    held, pending = situation.held, situation.pending
    if not held or (held > 0) == (delta > 0):
        return False
    # Working orders that shrink the position too take their share of what may still be closed.
    shrinking = abs(pending) if pending and (pending > 0) != (held > 0) else ZERO
    return abs(delta) <= abs(held) - shrinking


def _formula(target: Target, situation: Situation, wanted: Decimal) -> dict[str, Any]:
    return {
        **target.sizing,
        "weight": target.weight,
        "target": str(wanted),
        "held": str(situation.held),
        "pending": str(situation.pending),
        "price": str(situation.price),
        "rate": None if situation.rate is None else str(situation.rate),
        "equity": str(situation.equity),
    }
