"""Small worlds for trading tests: one instrument, one account, candles, a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from assets.markets.models import Candle, Instrument, PriceSide
from assets.trading.models import Account, Intent, LiveApproval, Order
from assets.trading.services import accounts
from orchestrator.models import ControlSwitch, Run, Workflow
from orchestrator.plugins import RunContext
from tradingsite.foundation.ids import client_order_id

D = Decimal
MINUTE = timedelta(minutes=1)


def instrument(symbol: str = "AAABBB", **values: Any) -> Instrument:
    """A coin in minutes that trades around the clock: lot 0.001, tick 0.01, fee 0.1 %."""
    defaults: dict[str, Any] = {
        "symbol": symbol, "asset_type": "toy", "venue": "test", "base": symbol[:3], "quote": symbol[3:6],
        "calendar": "24x7", "timeframe": "1m", "tick_size": D("0.01"), "lot_step": D("0.001"),
        "min_quantity": D("0.001"), "min_notional": D("5"), "fee_rate": D("0.001"), "half_spread_bps": 5.0,
        "slippage_bps": 5.0, "is_demo": True,
    }  # fmt: skip
    return Instrument.objects.create(**{**defaults, **values})


def account(currency: str = "BBB", balance: str = "10000", **values: Any) -> Account:
    """An opened account of the toy type."""
    now = values.pop("now", datetime(2024, 5, 14, tzinfo=UTC))
    defaults: dict[str, Any] = {
        "name": values.get("name", "toy"), "asset_type": "toy", "currency": currency, "opening_balance": D(balance),
        "is_demo": True, "created_at": now, "max_orders_per_minute": 1000,
    }  # fmt: skip
    row = Account.objects.create(**{**defaults, **values})
    accounts.open_with(row, row.opening_balance, now)
    if row.mode == "live" and row.broker != "paper":
        # What a person did in life: tests of the gate itself begin without it.
        LiveApproval.objects.create(
            account=row, approved_by="kit", approved_at=datetime(2000, 1, 1, tzinfo=UTC),
            expires_at=datetime(2100, 1, 1, tzinfo=UTC),
        )  # fmt: skip
    return row


def bars(
    row: Instrument,
    first_open: datetime,
    opens: list[float],
    *,
    volume: float = 0.0,
    side: PriceSide = PriceSide.TRADE,
    spread: float = 0.0,
) -> None:
    """Consecutive candles; each closes at its open, high and low are `spread` away."""
    seconds = {"1m": 60, "1h": 3600, "1d": 86400}[row.timeframe]
    start = int(first_open.timestamp())
    Candle.objects.bulk_create(
        Candle(
            instrument=row, timeframe=row.timeframe, side=side, open_ts=start + i * seconds, open=price,
            high=price + spread, low=price - spread, close=price, volume=volume,
        )
        for i, price in enumerate(opens)
    )  # fmt: skip


def switch(position: str = "running", at: datetime | None = None) -> None:
    ControlSwitch.objects.update_or_create(
        pk=1, defaults={"position": position, "changed_at": at or datetime(2024, 1, 1, tzinfo=UTC)}
    )


def run(now: datetime, slug: str = "toy-trading") -> Run:
    workflow, _made = Workflow.objects.get_or_create(
        slug=slug,
        defaults={
            "type_key": "toy", "name": slug, "status": "active", "min_interval_s": 10, "base_interval_s": 60,
            "max_interval_s": 600, "created_at": now, "updated_at": now,
        },
    )  # fmt: skip
    # One run is open at a time, as in life.
    Run.objects.filter(workflow=workflow, status="running").update(status="succeeded")
    return Run.objects.create(
        workflow=workflow, slot_at=now, status="running", cause="cadence", lane="trading", priority=1, epoch=1,
        planned_at=now, expires_at=now + timedelta(minutes=5),
    )  # fmt: skip


def nothing() -> None:
    """A guard that always agrees."""


def context(
    now: datetime, *, entries: bool = True, guard: Any = nothing, row: Run | None = None
) -> RunContext:
    row = row or run(now)
    return RunContext(
        run_id=row.pk, epoch=row.epoch, workflow_id=row.workflow_id, slug=row.workflow.slug, type_key="toy", params={},
        now=now, entries_allowed=entries, guard=guard,
    )  # fmt: skip


def order(
    acc: Account,
    row: Instrument,
    side: str = "buy",
    quantity: str = "1",
    *,
    now: datetime,
    key: str = "k",
    status: str = "new",
    limit: str | None = None,
    reference: str = "100",
    reduces: bool = False,
    valid_for: timedelta = timedelta(minutes=5),
    slug: str = "toy-trading",
) -> Order:
    """An intent with its order in the state given."""
    intent = Intent.objects.create(
        account=acc, instrument=row, key=key, side=side, quantity=D(quantity), reference_price=D(reference),
        reduces=reduces, limit_price=None if limit is None else D(limit), created_at=now,
        order_type="market" if limit is None else "limit", valid_until=now + valid_for, workflow_slug=slug,
    )  # fmt: skip
    return Order.objects.create(
        intent=intent, account=acc, instrument=row, client_id=client_order_id(key), side=side, quantity=D(quantity),
        filled_quantity=D(0), status=status, created_at=now,
        accepted_at=now if status in ("accepted", "partially_filled") else None,
        sent_at=now if status in ("sending", "unknown", "accepted") else None,
        venue_id=f"v-{key}" if status == "accepted" else "",
    )  # fmt: skip
