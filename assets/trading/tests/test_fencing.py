"""What a fenced-off run or a halted workflow left behind must never leave the house later."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest

from assets.trading.models import Order
from assets.trading.services import execution, matching, recovery
from assets.trading.targets import Target
from assets.trading.tests import kit
from orchestrator.models import Workflow
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Locked

pytestmark = pytest.mark.django_db
LATER = timedelta(seconds=30)  # old enough for recovery, young enough to be sent


def _statuses() -> set[tuple[str, str]]:
    return set(Order.objects.values_list("status", "status_code"))


def _recover(at: datetime) -> recovery.RecoveryReport:
    with clock.use(clock.FixedClock(at + LATER)):
        return recovery.recover(at + LATER)


def test_no_order_of_a_refused_batch_is_sent_by_recovery(at: datetime) -> None:
    kit.switch()
    account, symbols = kit.account(), ("AAABBB", "CCCBBB", "DDDBBB")
    for symbol in symbols:
        kit.bars(kit.instrument(symbol), at - 5 * kit.MINUTE, [100.0] * 5)

    def refuse() -> None:
        raise Locked("This run may not act any more.", code="superseded")

    targets = [Target(symbol=symbol, weight=0.1, reasons=()) for symbol in symbols]
    with pytest.raises(Locked):
        execution.execute_targets(ctx=kit.context(at, guard=refuse), account=account, targets=targets, now=at)
    assert _statuses() == {("expired", "superseded")} and Order.objects.count() == 3
    assert _recover(at).sent == 0


def _crashed_before_sending(at: datetime, **values: bool) -> Order:
    kit.switch()
    coin = kit.instrument()
    kit.bars(coin, at - 5 * kit.MINUTE, [100.0] * 5)
    order = kit.order(kit.account(), coin, "buy", "1", now=at, **values)
    return order


@pytest.mark.parametrize(
    ("standing", "reduces", "sent"),
    [
        ({"status": "active"}, False, 1),
        ({"status": "halted"}, False, 0),
        ({"status": "halted"}, True, 0),
        ({"entries_paused": True}, False, 0),
        ({"entries_paused": True}, True, 1),
    ],
)
def test_recovery_asks_the_workflow_of_an_order_before_sending_it(
    at: datetime, standing: dict[str, object], reduces: bool, sent: int
) -> None:
    order = _crashed_before_sending(at, reduces=reduces)
    kit.run(at)
    Workflow.objects.filter(slug=order.intent.workflow_slug).update(**standing)
    report = _recover(at)
    assert (report.sent, report.expired) == (sent, 1 - sent)
    assert _statuses() == ({("accepted", "")} if sent else {("expired", "workflow-locked")})
    assert Order.objects.get().quantity == D(1)


@pytest.mark.parametrize(("weight", "sent"), [(0.1, 0), (0.0, 1)])
def test_entries_paused_while_the_run_is_under_way_stop_its_entries_and_no_exit(
    at: datetime, weight: float, sent: int
) -> None:
    kit.switch()
    account, coin = kit.account(), kit.instrument()
    kit.bars(coin, at - 5 * kit.MINUTE, [100.0] * 10)
    if not sent:
        context = kit.context(at)
    else:  # something to sell
        execution.execute_targets(
            ctx=(context := kit.context(at)),
            account=account, targets=[Target(symbol="AAABBB", weight=0.1, reasons=())], now=at,
        )  # fmt: skip
        with clock.use(clock.FixedClock(at + 2 * kit.MINUTE)):
            matching.match(at + 2 * kit.MINUTE)
    Workflow.objects.update(entries_paused=True)  # after the run asked whether entries are allowed
    before = Order.objects.exclude(status="expired").count()
    now = at + (3 * kit.MINUTE if sent else timedelta(0))
    with clock.use(clock.FixedClock(now)):
        report = execution.execute_targets(
            ctx=replace(context, run_id=kit.run(now).pk) if sent else context,
            account=account, targets=[Target(symbol="AAABBB", weight=weight, reasons=())], now=now,
        )  # fmt: skip
    assert report.sent == sent
    assert Order.objects.exclude(status="expired").count() == before + sent
