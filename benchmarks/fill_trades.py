"""The trades of fill.py: intents, filled orders, fills, balanced journals, and the positions that follow from them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

CHUNK = 500
PAST = timedelta(days=30)
S = timedelta(seconds=1)
ZERO = Decimal(0)


def bulk(model: Any, rows: Iterable[Any]) -> list[Any]:
    """Insert in statements of CHUNK rows; returns them with their keys."""
    made: list[Any] = []
    source = iter(rows)
    while part := list(islice(source, CHUNK)):
        made += model.objects.bulk_create(part)
    return made


class Trades:
    """Intents, filled orders, fills and journals; positions as the booking rule makes them from these fills."""

    def __init__(self, closes: dict[Any, list[float]], now: datetime, rng: random.Random) -> None:
        from assets.quant.positions import Holding
        from assets.trading.models import Account

        self.now, self.rng, self.closes = now, rng, closes
        self.accounts = {row.asset_type: row for row in Account.objects.filter(is_demo=True)}
        self.instruments = [row for row in closes if row.asset_type in self.accounts]
        self.held = {row.pk: Holding() for row in self.instruments}
        self.charts: dict[tuple[int, str, str], Any] = {}

    def make(self, count: int) -> int:
        """`count` trades, one order each. Returns an order."""
        from orchestrator.models import Run

        runs = list(Run.objects.order_by("slot_at").values_list("pk", "workflow__slug"))
        step, order_pk = PAST / (count + 1), 0
        for first in range(0, count, CHUNK):
            part = range(first, min(first + CHUNK, count))
            chosen = [(i, runs[i * len(runs) // count], self.now - PAST + (i + 1) * step) for i in part]
            order_pk = self._chunk(chosen)
        self._positions()
        return order_pk

    def _chunk(self, chosen: Sequence[tuple[int, tuple[int, str], datetime]]) -> int:
        from django.db import transaction

        from assets.trading.models import Fill, Intent, Order, OrderEvent

        with transaction.atomic():
            intents = bulk(Intent, [self._intent(*row) for row in chosen])
            orders = bulk(Order, [_order(intent) for intent in intents])
            bulk(OrderEvent, [event for order in orders for event in _order_events(order)])
            fills = [self._fill(order, intent) for order, intent in zip(orders, intents, strict=True)]
            bulk(Fill, fills)
            self._journals(fills)
        return int(orders[-1].pk)

    def _intent(self, i: int, run: tuple[int, str], at: datetime) -> Any:
        from assets.quant.fills import trade_price
        from assets.trading.models import Intent

        row = self.instruments[i % len(self.instruments)]
        price = Decimal(str(self.rng.choice(self.closes[row])))
        lots = max(1, int(Decimal(250) / price / row.lot_step))
        quantity = max(row.lot_step * lots, row.min_quantity)
        held = self.held[row.pk].quantity
        sells = held >= quantity and self.rng.random() < 0.48
        side = "sell" if sells else "buy"
        return Intent(
            account=self.accounts[row.asset_type], instrument=row, run_id=run[0], run_epoch=1, workflow_slug=run[1],
            key=f"bench:{i}", side=side, quantity=quantity, reference_price=trade_price(side, price, row.tick_size),
            reduces=sells, reasons=[{"code": "momentum", "value": 1.5, "params": {"n": 3}}], sizing={"rate": "1"},
            created_at=at, valid_until=at + 300 * S,
        )  # fmt: skip

    def _fill(self, order: Any, intent: Any) -> Any:
        from assets.quant.fills import fee_for
        from assets.trading.models import Fill
        from assets.trading.services.fills import after_fill

        row = order.instrument
        fill = Fill(
            order=order, account=order.account, instrument=row, trade_id=f"bench-{intent.key}", side=order.side,
            quantity=order.quantity, price=intent.reference_price, fee_asset=row.quote, realised=ZERO, slippage_bps=0.4,
            fee=fee_for(order.quantity, intent.reference_price, row.fee_rate), at=order.finished_at,
            booked_at=order.finished_at,
        )  # fmt: skip
        before = self.held[row.pk]
        self.held[row.pk] = after_fill(before, fill, base=row.base, quote=row.quote)
        fill.realised = self.held[row.pk].realised - before.realised
        return fill

    def _journals(self, fills: Sequence[Any]) -> None:
        from assets.trading.models import Journal, JournalLine
        from assets.trading.services import ledger

        journals = bulk(
            Journal,
            [
                Journal(account=f.account, kind="fill", key=f"fill:{f.account_id}:{f.trade_id}", at=f.at)
                for f in fills
            ],
        )
        lines = []
        for fill, journal in zip(fills, journals, strict=True):
            trade = ledger.Trade(
                side=fill.side, base=fill.instrument.base, quote=fill.instrument.quote, quantity=fill.quantity,
                price=fill.price, fee=fill.fee, fee_asset=fill.fee_asset,
            )  # fmt: skip
            for leg in ledger.trade_lines(trade):
                if leg.amount:
                    chart = self._chart(fill.account, leg.kind, leg.asset)
                    lines.append(JournalLine(journal=journal, ledger_account=chart, amount=leg.amount))
        bulk(JournalLine, lines)
        # The trigger checks every journal at this instant.
        Journal.objects.filter(pk__in=[journal.pk for journal in journals]).update(posted=True)

    def _chart(self, account: Any, kind: str, asset: str) -> Any:
        from assets.trading.models import LedgerAccount

        key = (account.pk, kind, asset)
        if key not in self.charts:
            self.charts[key], _made = LedgerAccount.objects.get_or_create(
                account=account, kind=kind, asset=asset
            )
        return self.charts[key]

    def _positions(self) -> None:
        from assets.trading.models import Position

        bulk(
            Position,
            [
                Position(
                    account=self.accounts[row.asset_type], instrument=row, quantity=held.quantity, cost=held.cost,
                    realised=held.realised, fees=held.fees, opened_at=self.now - S if held.quantity else None,
                    updated_at=self.now,
                )
                for row in self.instruments
                for held in [self.held[row.pk]]
            ],
        )  # fmt: skip


def _order(intent: Any) -> Any:
    from assets.trading.models import Order
    from tradingsite.foundation.ids import client_order_id

    at = intent.created_at
    return Order(
        intent=intent, account=intent.account, instrument=intent.instrument, client_id=client_order_id(intent.key),
        venue_id=f"v-{intent.key}", side=intent.side, quantity=intent.quantity, filled_quantity=intent.quantity,
        status="filled", created_at=at, sent_at=at + 0.1 * S, accepted_at=at + 0.2 * S, finished_at=at + 60 * S,
    )  # fmt: skip


def _order_events(order: Any) -> list[Any]:
    from assets.trading.models import OrderEvent

    steps = (
        ("send", "new", "sending", order.sent_at),
        ("accept", "sending", "accepted", order.accepted_at),
        ("fill", "accepted", "filled", order.finished_at),
    )
    return [OrderEvent(row=order, event=e, from_status=a, to_status=b, at=at) for e, a, b, at in steps]
