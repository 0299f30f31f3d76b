"""An account at the loopback venue that lacks only the switch to real money, and every way to spoil that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from assets.trading.models import Account, Discrepancy, EquityPoint, Fill, LiveApproval, VenueKey
from assets.trading.services import live_gate, orders, reconciliation, venues
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import make
from assets.trading.tests.brokers.test_binance import ALICE, BinanceDesk
from orchestrator.models import Workflow
from tradingsite.foundation import clock

D = Decimal
CODES = {"flag", "limits", "workflow", "paper", "books", "key", "standing"}


def paper_trades(now: datetime, count: int = 20, days: float = 7.0, *, is_demo: bool = False) -> None:
    """`count` orders that traded on paper, from `days` ago to now."""
    account = kit.account(name=f"paper-{is_demo}", currency="USDT", is_demo=is_demo)
    coin = kit.instrument(f"PAP{'D' if is_demo else 'R'}BB", is_demo=is_demo)
    for number in range(count):
        at = now - timedelta(days=days) * (count - 1 - number) / max(1, count - 1)
        order = kit.order(account, coin, now=at, key=f"paper{is_demo}{number}", status="filled")
        Fill.objects.create(
            order=order, account=account, instrument=coin, trade_id=f"t{number}", side="buy", quantity=D(1), price=D(100),
            fee=D(0), fee_asset="BBB", realised=D(0), at=at, booked_at=at,
        )  # fmt: skip


def make_ready(desk: BinanceDesk) -> BinanceDesk:
    """An account at the loopback venue with everything a person has to see to, not switched yet."""
    now = clock.now()
    LiveApproval.objects.all().delete()
    Account.objects.filter(pk=desk.account.pk).update(
        mode="paper",
        state="reducing",
        max_order_notional=D(1000),
        max_daily_loss_ratio=0.05,
        max_drawdown_ratio=0.2,
    )
    workflow = kit.run(now).workflow
    Workflow.objects.filter(pk=workflow.pk).update(asset_type="toy")
    live_gate.approve_workflow(workflow.slug, actor=ALICE, now=now)
    paper_trades(now)
    desk.account.refresh_from_db()
    assert reconciliation.reconcile(desk.account, now).ok
    venues.check_key(desk.account.name, now)
    desk.account.refresh_from_db()
    return desk


def approve(desk: BinanceDesk, now: datetime | None = None) -> LiveApproval:
    return live_gate.approve(
        desk.account.pk,
        typed=f"trade real money with {desk.account.name}",
        actor=ALICE,
        now=now or clock.now(),
    )


def red(desk: BinanceDesk) -> set[str]:
    desk.account.refresh_from_db()
    return {check.code for check in live_gate.checks(desk.account, clock.now()) if not check.ok}


def mode(desk: BinanceDesk) -> str:
    return str(Account.objects.get(pk=desk.account.pk).mode)


def send(desk: BinanceDesk) -> tuple[str, str]:
    order = orders.send_order(make(desk, limit="50").pk, guard=orders.no_guard, now=clock.now())
    return order.status, order.status_code


def no_limit(name: str) -> Callable[[BinanceDesk], None]:
    return lambda desk: Account.objects.filter(pk=desk.account.pk).update(**{name: 0}) and None


def other_version(desk: BinanceDesk) -> None:
    Workflow.objects.update(version=99)


def withdrawn(desk: BinanceDesk) -> None:
    live_gate.withdraw_workflow("toy-trading", actor=ALICE, now=clock.now())


def no_workflow(desk: BinanceDesk) -> None:
    Workflow.objects.update(status="archived")


def old_books(desk: BinanceDesk) -> None:
    Account.objects.update(reconciled_at=clock.now() - timedelta(minutes=5, seconds=1))


def differs(desk: BinanceDesk) -> None:
    now = clock.now()
    Discrepancy.objects.create(
        account=desk.account,
        kind="balance",
        subject="BTC",
        ours="0",
        theirs="1",
        first_seen_at=now,
        last_seen_at=now,
    )


def old_check(desk: BinanceDesk) -> None:
    VenueKey.objects.update(checked_at=clock.now() - timedelta(hours=24, seconds=1))


def permission(name: str, value: Any) -> Callable[[BinanceDesk], None]:
    def set_(desk: BinanceDesk) -> None:
        row = VenueKey.objects.get()
        row.permissions[name] = value
        row.save()

    return set_


def drawn_down(desk: BinanceDesk) -> None:
    EquityPoint.objects.create(
        account=desk.account, at=clock.now(), equity=D(80), cash=D(80), unrealised=D(0), peak=D(100)
    )


def only_simulated(desk: BinanceDesk) -> None:
    """As if all of it had been traded on simulated prices (fills themselves are never changed)."""
    Account.objects.filter(broker="paper").update(is_demo=True)


WRONGS: list[tuple[str, Callable[[BinanceDesk], Any]]] = [
    ("limits", no_limit("max_daily_loss_ratio")), ("limits", no_limit("max_drawdown_ratio")),
    ("limits", no_limit("max_order_notional")), ("workflow", other_version), ("workflow", withdrawn),
    ("workflow", no_workflow), ("paper", only_simulated),
    ("books", old_books), ("books", lambda desk: Account.objects.update(reconciled_at=None)), ("books", differs),
    ("key", old_check), ("key", lambda desk: VenueKey.objects.all().delete()),
    ("key", lambda desk: VenueKey.objects.update(checked_at=None)), ("key", permission("can_withdraw", True)),
    ("key", permission("can_withdraw", None)), ("key", permission("can_trade", False)),
    ("standing", lambda desk: Account.objects.filter(pk=desk.account.pk).update(state="halted")),
    ("standing", drawn_down),
]  # fmt: skip
