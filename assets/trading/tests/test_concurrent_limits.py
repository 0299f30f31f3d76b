"""Two workflows that act on one account at the same instant stay inside its limits together (I15)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal as D

import pytest
from django.db import connection

from assets.markets import hub
from assets.trading.models import Account, Intent, Order
from assets.trading.services import execution, fills
from assets.trading.targets import Target
from assets.trading.tests import kit
from orchestrator.plugins import RunContext
from tradingsite.foundation import clock

pytestmark = pytest.mark.django_db(transaction=True)

COINS = ("AAABBB", "CCCBBB")


@pytest.fixture
def account(at: datetime) -> Account:
    for symbol in COINS:
        kit.bars(kit.instrument(symbol), at - 5 * kit.MINUTE, [100.0] * 5)
    kit.switch()
    return kit.account(max_leverage=1.0, max_position_ratio=1.0, max_orders_per_minute=1000)


def _at_once(
    monkeypatch: pytest.MonkeyPatch,
    at: datetime,
    account: Account,
    wishes: Sequence[tuple[RunContext, Target]],
) -> list[execution.ExecutionReport]:
    """Execute each wish in a thread (and connection) of its own; all have passed the gate before one commits."""
    meeting = threading.Barrier(len(wishes))
    reports: list[execution.ExecutionReport] = []
    errors: list[BaseException] = []

    def meet(point: str) -> None:
        if point == "before_intent":
            meeting.wait(10)

    def act(context: RunContext, target: Target) -> None:
        try:
            reports.append(execution.execute_targets(ctx=context, account=account, targets=(target,), now=at))
        except BaseException as e:  # noqa: BLE001 - carried over to the test's own thread
            errors.append(e)
        finally:
            connection.close()

    monkeypatch.setattr(execution, "crash_here", meet)
    threads = [threading.Thread(target=act, args=wish) for wish in wishes]
    with clock.use(clock.FixedClock(at)):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not errors, errors
    return reports


def _wishes(at: datetime, *targets: Target) -> list[tuple[RunContext, Target]]:
    return [
        (kit.context(at, row=kit.run(at, slug=f"toy-{number}")), target)
        for number, target in enumerate(targets)
    ]


def _exposure() -> D:
    return sum((o.quantity * D(100) for o in Order.objects.exclude(status="denied")), start=D(0))


def test_two_instruments_together_stay_inside_the_buying_power(
    at: datetime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = _wishes(at, *(Target(symbol=symbol, weight=0.7) for symbol in COINS))
    reports = _at_once(monkeypatch, at, account, wishes)
    assert _exposure() <= D(10_000)
    assert sorted(report.sent for report in reports) == [0, 1]
    assert [report.denied for report in reports if report.denied] == [{"buying_power": 1}]
    assert Order.objects.get(status="denied").status_code == "buying_power"


def test_two_workflows_that_want_the_same_position_open_it_once(
    at: datetime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = _wishes(at, Target(symbol=COINS[0], weight=0.5), Target(symbol=COINS[0], weight=0.5))
    reports = _at_once(monkeypatch, at, account, wishes)
    assert _exposure() == D(5_000) and Intent.objects.count() == 1
    assert [report.ignored for report in reports if report.ignored] == [{"on_target": 1}]


def test_two_exits_of_one_position_sell_it_once(
    at: datetime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought = kit.order(account, hub.by_symbol(COINS[0]), quantity="10", now=at, status="accepted")
    fills.book(bought, "t1", D(10), D(100), D(0), "BBB", at)
    wishes = _wishes(at, Target(symbol=COINS[0], weight=0.0), Target(symbol=COINS[0], weight=0.0))
    _at_once(monkeypatch, at, account, wishes)
    sold = sum((o.quantity for o in Order.objects.filter(side="sell").exclude(status="denied")), start=D(0))
    assert sold == D(10)


def test_the_order_rate_counts_both(at: datetime, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    Account.objects.update(max_orders_per_minute=1)
    wishes = _wishes(at, *(Target(symbol=symbol, weight=0.1) for symbol in COINS))
    reports = _at_once(monkeypatch, at, account, wishes)
    assert sorted(report.sent for report in reports) == [0, 1]
    assert Order.objects.exclude(status="denied").count() == 1


def test_an_account_halted_at_the_last_moment_gets_no_order(
    at: datetime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wish,) = _wishes(at, Target(symbol=COINS[0], weight=0.1))

    def halt(point: str) -> None:
        if point == "before_intent":
            Account.objects.update(state="halted")

    monkeypatch.setattr(execution, "crash_here", halt)
    with clock.use(clock.FixedClock(at)):
        report = execution.execute_targets(ctx=wish[0], account=account, targets=(wish[1],), now=at)
    assert report.denied == {"account_halted": 1} and Order.objects.get().status == "denied"


def test_alone_the_gate_is_asked_once(
    at: datetime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    gate_all = execution.gate_all

    def counted(drafts: list[execution.Draft], work: execution.Pass) -> None:
        asked.append(len(drafts))
        gate_all(drafts, work)

    monkeypatch.setattr(execution, "gate_all", counted)
    with clock.use(clock.FixedClock(at)):
        for number, weight in enumerate((0.1, 0.2)):
            (context,) = [kit.context(at, row=kit.run(at, slug=f"toy-{number}"))]
            execution.execute_targets(
                ctx=context, account=account, targets=(Target(symbol=COINS[0], weight=weight),), now=at
            )
    assert asked == [1, 1]
