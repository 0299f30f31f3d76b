"""Taking orders back: audited with the change itself, by everybody's name, and one bad order shields no other (I14)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from assets.markets.models import Candle
from assets.trading import invariants, market
from assets.trading.models import Order, OrderEvent
from assets.trading.services import orders, stopping
from assets.trading.tests import kit
from assets.trading.tests.test_execution import MINUTE, World, target
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Conflict
from tradingsite.foundation.models import AuditEvent

pytestmark = pytest.mark.django_db


def test_cancelling_is_audited_and_cancels_pass_while_stopped(at: datetime) -> None:
    world = World(at)
    world.execute(target(0.5))
    kit.switch("stopped")
    assert stopping.cancel_entries(actor=audit.system("test"), now=at, reason="kill") == 1
    assert Order.objects.get().status == "cancelled"
    assert AuditEvent.objects.filter(action="order.cancel").count() == 1


def test_an_order_nobody_can_cancel_does_not_shield_the_others(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(at)
    for key in ("a", "b", "c"):
        kit.order(world.account, world.coin, now=at, key=key, status="accepted")
    finish = orders.finish_cancel

    def fail_at_a(order: Order) -> Order:
        if order.intent.key == "a":
            raise ValueError("what an SDK raises")
        return finish(order)

    monkeypatch.setattr(orders, "finish_cancel", fail_at_a)
    with pytest.raises(ValueError, match="SDK"):
        stopping.cancel_entries(actor=audit.system("test"), now=at)
    status = dict(Order.objects.values_list("intent__key", "status"))
    assert status == {"a": "cancel_pending", "b": "cancelled", "c": "cancelled"}


def test_a_cancel_that_comes_too_late_leaves_no_audit_row(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(at)
    stale = kit.order(world.account, world.coin, now=at, status="accepted")
    Order.objects.update(status="filled")
    monkeypatch.setattr(orders, "_get", lambda pk: stale)
    with pytest.raises(Conflict):
        orders.cancel(stale.pk, actor=audit.system("test"), now=at)
    assert not AuditEvent.objects.filter(action="order.cancel").exists()


def test_a_cancel_that_cannot_be_audited_does_not_happen(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(at)
    order = kit.order(world.account, world.coin, now=at, status="accepted")

    def away(**values: object) -> None:
        raise DatabaseError("no room for an audit row")

    monkeypatch.setattr(audit, "record", away)
    with pytest.raises(DatabaseError):
        orders.cancel(order.pk, actor=audit.system("test"), now=at)
    assert Order.objects.get().status == "accepted" and not OrderEvent.objects.exists()


def test_who_cancelled_is_told_by_the_event_and_by_the_audit_log(at: datetime) -> None:
    world = World(at)
    for status in ("new", "accepted"):
        order = kit.order(world.account, world.coin, now=at, key=status, status=status)
        orders.cancel(order.pk, actor=audit.Actor("user", "7", "alice"), now=at, reason="too big")
    first = OrderEvent.objects.filter(event__in=("cancel", "request_cancel")).order_by("row", "pk").distinct()
    details = [event.detail for event in first if event.from_status in ("new", "accepted")]
    assert [(detail["actor"], detail["reason"]) for detail in details] == [("alice", "too big")] * 2
    rows = AuditEvent.objects.filter(action="order.cancel").order_by("pk")
    assert [(row.before, row.after) for row in rows] == [
        ({"status": "new"}, {"status": "cancelled"}),
        ({"status": "accepted"}, {"status": "cancel_pending"}),
    ]
    assert invariants.cancels_are_audited(at) == []
    bare = kit.order(world.account, world.coin, now=at, key="bare", status="cancelled")
    OrderEvent.objects.create(row=bare, event="cancel", from_status="new", to_status="cancelled", at=at)
    assert invariants.cancels_are_audited(at) == [
        f"Order {bare.pk} was cancelled and no audit row says by whom."
    ]


def test_a_cancel_the_venue_made_by_itself_is_audited_when_it_is_found(at: datetime) -> None:
    world = World(at)
    order = kit.order(world.account, world.coin, now=at, status="accepted")
    assert orders.settle(order, "cancel", code="cancelled_at_venue").status == "cancelled"
    row = AuditEvent.objects.get(object_type="order", object_id=str(order.pk))
    assert (row.action, row.actor_name) == ("order.cancelled_at_venue", "recovery")
    assert (row.before, row.after) == ({"status": "accepted"}, {"status": "cancelled"})
    assert invariants.cancels_are_audited(at) == []


def test_the_age_of_the_data_is_looked_at_again_when_an_order_leaves_late(at: datetime) -> None:
    world = World(at)
    look = market.look(world.coin, at)
    assert look.usable
    much_later = at + timedelta(seconds=90)
    Candle.objects.all().delete()  # the newest bar is gone: at the moment of sending there is nothing to go by
    kit.bars(world.coin, at - 30 * MINUTE, [100.0])
    order = kit.order(world.account, world.coin, now=at)
    with clock.use(clock.FixedClock(much_later)):
        after = orders.send_order(order.pk, guard=kit.nothing, now=at, seen=look)
    assert (after.status, after.status_code) == ("expired", "data_stale")


def test_an_order_that_leaves_at_once_relies_on_the_look_of_its_decision(at: datetime) -> None:
    world = World(at)
    look = market.look(world.coin, at)
    order = kit.order(world.account, world.coin, now=at)
    with clock.use(clock.FixedClock(at)), CaptureQueriesContext(connection) as queries:
        assert orders.send_order(order.pk, guard=kit.nothing, now=at, seen=look).status == "accepted"
    assert not any("markets_candle" in q["sql"] for q in queries)
