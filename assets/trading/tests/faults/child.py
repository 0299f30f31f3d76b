"""What the fault tests run in processes of their own: `python -m assets.trading.tests.faults.child COMMAND JSON`.

NOW in the environment is the (fixed) time of the process. Answers are one line of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import django


def main() -> None:
    django.setup()
    from django.conf import settings

    from assets.trading import brokers
    from tradingsite.foundation import clock

    brokers.register("file", "assets.trading.tests.faults.venue.FileVenue")
    settings.LIVE_TRADING_ENABLED = True
    now = datetime.fromisoformat(os.environ["NOW"])
    command, arguments = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    with clock.use(clock.FixedClock(now)):
        print(json.dumps(COMMANDS[command](now=now, **arguments)), flush=True)


def build(now: datetime, broker: str = "file") -> Any:
    from assets.trading.tests import kit

    coin = kit.instrument()
    kit.bars(coin, now - 30 * kit.MINUTE, [100.0] * 60)
    account = kit.account(now=now, broker=broker, mode="paper" if broker == "paper" else "live")
    kit.switch("running", now - timedelta(days=1))
    return {"account": account.pk, "run": kit.run(now).pk}


def _books_agreed(now: datetime) -> None:
    """These tests are about one order's path; whether books agree has tests of its own."""
    from assets.trading.models import Account

    Account.objects.update(reconciled_at=now)


def trade(now: datetime, weight: float = 0.5, run: int = 0, new_run: bool = False) -> Any:
    """Execute one target; `run` repeats that run, `new_run` plans the next slot."""
    from assets.trading.models import Account
    from assets.trading.services import execution
    from assets.trading.targets import Target
    from assets.trading.tests import kit
    from orchestrator.models import Run

    _books_agreed(now)
    row = kit.run(now) if new_run else Run.objects.select_related("workflow").get(pk=run)
    report = execution.execute_targets(
        ctx=kit.context(row.slot_at, row=row), account=Account.objects.get(), now=now,
        targets=[Target(symbol="AAABBB", weight=weight)],
    )  # fmt: skip
    return {
        "intents": report.intents,
        "sent": report.sent,
        "denied": report.denied,
        "expired": report.expired,
    }


def build_run(now: datetime) -> Any:
    from assets.trading.tests import kit

    return {"run": kit.run(now).pk}


def recover(now: datetime) -> Any:
    from assets.trading.services import orders

    _books_agreed(now)
    report = orders.recover(now)
    return {name: getattr(report, name) for name in ("sent", "expired", "adopted", "open")}


def aftermath(now: datetime) -> Any:
    """Recovery three times, beyond the quarantine each time, then the live poll."""
    from tradingsite.foundation import clock

    for seconds in (20, 25, 30):
        at = now + timedelta(seconds=seconds)
        with clock.use(clock.FixedClock(at)):
            recover(at)
            settle(at)
    return {}


def match(now: datetime) -> Any:
    from assets.trading.services import matching

    return {"fills": matching.match(now).fills}


def move_price(now: datetime, factor: float) -> Any:
    from django.db.models import F

    from assets.markets.models import Candle

    return Candle.objects.update(**{name: F(name) * factor for name in ("open", "high", "low", "close")})


def settle(now: datetime) -> Any:
    """Ask the venue for what it filled of working orders, as the live poll does."""
    from assets.trading import brokers
    from assets.trading.models import Account
    from assets.trading.services import fills, orders

    broker = brokers.get(Account.objects.get())
    for order in orders.working():
        found = broker.fetch_order(order.client_id)
        for t in found.trades if found else ():
            fills.book(order, t.trade_id, t.quantity, t.price, t.fee, t.fee_asset, t.at)
    return {}


def book(now: datetime, order: int, prefix: str, count: int) -> Any:
    """Book `count` fills of one unit each."""
    from assets.trading.models import Order
    from assets.trading.services import fills

    row = Order.objects.get(pk=order)
    for n in range(count):
        fills.book(row, f"{prefix}-{n}", Decimal(1), Decimal("100.01"), Decimal("0.01"), "BBB", now)
    return {}


def big_order(now: datetime, quantity: str) -> Any:
    from assets.markets.models import Instrument
    from assets.trading.models import Account
    from assets.trading.tests import kit

    row = kit.order(
        Account.objects.get(),
        Instrument.objects.get(),
        "buy",
        quantity,
        now=now,
        status="accepted",
        key="big",
    )
    return {"order": row.pk}


def state(now: datetime) -> Any:
    from assets.trading.models import Fill, Intent, Order, Position
    from tradingsite.foundation import invariants

    broken = invariants.run(now, only=("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I12"))
    return {
        "intents": Intent.objects.count(),
        "orders": list(Order.objects.order_by("pk").values_list("status", "status_code")),
        "fills": Fill.objects.count(),
        "position": [str(p.quantity) for p in Position.objects.all()],
        "cost": [str(p.cost) for p in Position.objects.all()],
        "broken": {item.code: item.violations for item in broken if not item.ok},
    }


COMMANDS = {
    "build": build, "trade": trade, "recover": recover, "match": match, "move_price": move_price, "settle": settle,
    "book": book, "big_order": big_order, "state": state, "build_run": build_run, "aftermath": aftermath,
}  # fmt: skip

if __name__ == "__main__":
    main()
