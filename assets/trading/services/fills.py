"""Booking of executions: fill, journal, position and order change in one transaction, once per trade id."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from assets.quant import fills as model
from assets.quant.positions import Holding, apply_trade, pay_fee_in_base
from assets.trading.models import Fill, Order, OrderEvent, Position
from assets.trading.services import ledger
from assets.trading.states import ORDER
from tradingsite.foundation import alerts, clock, transitions
from tradingsite.foundation.crash import crash_here
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.money import EXACT, to_decimal

ZERO = Decimal(0)


def book(
    order: Order,
    trade_id: str,
    quantity: Decimal,
    price: Decimal,
    fee: Decimal,
    fee_asset: str,
    at: datetime,
) -> Fill:
    """The fill of one execution of `order`; the one booked before when `trade_id` is known already.

    `fee` above 0 was paid, below 0 is a rebate. A fill that comes after the order ended, or beyond its
    quantity, is booked all the same: it happened at the venue. The latter raises a critical alert. Raises
    Invalid for amounts not above 0.
    """
    quantity, price, fee = to_decimal(quantity), to_decimal(price), to_decimal(fee)
    if quantity <= 0 or price <= 0 or not trade_id:
        raise Invalid(f"A fill needs a trade id, a quantity and a price above 0, was {quantity} at {price}.")
    with transaction.atomic():
        locked = _lock_order(order.pk)
        known = Fill.objects.filter(account_id=locked.account_id, trade_id=trade_id).first()
        if known is not None:
            _compare(known, locked, quantity, price)
            return known
        fill, holding, position = _describe(locked, trade_id, quantity, price, fee, fee_asset, at)
        fill.save(force_insert=True)
        _post(locked, fill)
        crash_here("mid_fill")
        _move_position(position, holding, at)
        _move_order(locked, fill)
    return fill


def holding_of(position: Position) -> Holding:
    """The position's numbers as a value."""
    return Holding(
        quantity=position.quantity, cost=position.cost, realised=position.realised, fees=position.fees
    )


def after_fill(holding: Holding, fill: Fill, *, base: str, quote: str) -> Holding:
    """`holding` after `fill`, the one rule booking and rebuilding share."""
    sign = 1 if fill.side == model.BUY else -1
    holding = apply_trade(
        holding,
        quantity=sign * fill.quantity,
        value=model.cash_value(fill.side, fill.quantity, fill.price),
        fee=fill.fee if fill.fee_asset == quote else ZERO,
    )
    if fill.fee and fill.fee_asset == base and base != quote:
        value = model.exact_value(fill.fee, fill.price)
        holding = pay_fee_in_base(holding, fee=fill.fee, value=value)
    return holding


def _lock_order(pk: int) -> Order:
    # SQLite ignores the lock: there the transaction is IMMEDIATE and alone.
    rows = Order.objects.select_for_update(of=("self",)).select_related("account", "instrument", "intent")
    return rows.get(pk=pk)


def _lock_position(order: Order) -> Position:
    mine = {"account_id": order.account_id, "instrument_id": order.instrument_id}
    position = Position.objects.select_for_update().filter(**mine).first()
    if position is None:
        empty = {"quantity": ZERO, "cost": ZERO, "realised": ZERO, "fees": ZERO, "updated_at": clock.now()}
        # Two first fills at once: one creates, the other waits for it and then takes the lock.
        Position.objects.get_or_create(**mine, defaults=empty)
        position = Position.objects.select_for_update().get(**mine)
    return position


def _describe(
    order: Order, trade_id: str, quantity: Decimal, price: Decimal, fee: Decimal, fee_asset: str, at: datetime
) -> tuple[Fill, Holding, Position]:
    position = _lock_position(order)
    before = holding_of(position)
    fill = Fill(
        order=order, account=order.account, instrument=order.instrument, trade_id=trade_id, side=order.side,
        quantity=quantity, price=price, fee=fee, fee_asset=fee_asset, realised=ZERO,
        slippage_bps=_slippage_bps(order, price), at=at, booked_at=clock.now(),
    )  # fmt: skip
    after = after_fill(before, fill, base=order.instrument.base, quote=order.instrument.quote)
    fill.realised = EXACT.subtract(after.realised, before.realised)
    return fill, after, position


def _slippage_bps(order: Order, price: Decimal) -> float | None:
    """How much worse than the decision's price, in basis points; below 0 is better."""
    reference = order.intent.reference_price
    if reference <= 0:
        return None
    drift = (price - reference) / reference * model.BPS
    return float(drift if order.side == model.BUY else -drift)


def _post(order: Order, fill: Fill) -> None:
    trade = ledger.Trade(
        side=fill.side, base=order.instrument.base, quote=order.instrument.quote, quantity=fill.quantity,
        price=fill.price, fee=fill.fee, fee_asset=fill.fee_asset,
    )  # fmt: skip
    key = f"fill:{order.account_id}:{fill.trade_id}"
    ledger.post(account=order.account, kind="fill", key=key, at=fill.at, lines=ledger.trade_lines(trade))


def _move_position(position: Position, holding: Holding, at: datetime) -> None:
    flat = not holding.quantity
    turned = (holding.quantity > 0) != (position.quantity > 0) or not position.quantity
    opened_at = None if flat else at if turned else position.opened_at
    Position.objects.filter(pk=position.pk).update(
        quantity=holding.quantity, cost=holding.cost, realised=holding.realised, fees=holding.fees,
        opened_at=opened_at, updated_at=at,
    )  # fmt: skip


def _move_order(order: Order, fill: Fill) -> None:
    filled = EXACT.add(order.filled_quantity, fill.quantity)
    updates: dict[str, Any] = {"filled_quantity": filled}
    if order.accepted_at is None:
        updates["accepted_at"] = fill.at
    if order.status == Order.Status.FILLED:
        event = "overfill"
    elif filled >= order.quantity:
        event = "fill"
        updates["finished_at"] = fill.at
    else:
        event = "fill_part"
    if filled > order.quantity:
        _alarm("order-overfilled", order, filled=str(filled), quantity=str(order.quantity))
    transitions.apply(
        order, event, machine=ORDER, now=fill.booked_at, event_model=OrderEvent, updates=updates,
        detail={"trade_id": fill.trade_id, "quantity": str(fill.quantity), "price": str(fill.price)},
    )  # fmt: skip


def _compare(known: Fill, order: Order, quantity: Decimal, price: Decimal) -> None:
    """Same trade id, other data: the first one stays, a person looks."""
    if (known.order_id, known.quantity, known.price) != (order.pk, quantity, price):
        _alarm("trade-id-conflict", order, trade_id=known.trade_id, quantity=str(quantity), price=str(price))


def _alarm(code: str, order: Order, **params: str) -> None:
    alerts.raise_alert(
        key=f"{code}:{order.pk}", code=code, severity="critical", subject=str(order.instrument.symbol),
        params={"order": order.client_id, **params}, now=clock.now(),
    )  # fmt: skip
