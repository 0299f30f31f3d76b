"""An order that is slow on its way out never trades after it was given up; one that does all the same is not lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from assets.markets import ratelimit
from assets.trading import brokers
from assets.trading.brokers import binance
from assets.trading.brokers.base import Accepted, OrderRequest, Rejected, Unknown
from assets.trading.models import Account, Fill, Order, OrderEvent
from assets.trading.services import orders, reconciliation, recovery
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import D, make, request_of
from assets.trading.tests.brokers.test_binance import BinanceDesk
from assets.trading.tests.test_execution import World
from tradingsite.foundation import clock
from tradingsite.foundation.models import Alert, AuditEvent

pytestmark = pytest.mark.django_db


def send(order: Order) -> Order:
    return orders.send_order(order.pk, guard=orders.no_guard, now=clock.now())


def give_up_during(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[recovery.RecoveryReport]:
    """While `owner.name` runs, recovery looks twice after the quarantine."""
    real, reports = getattr(owner, name), list[recovery.RecoveryReport]()

    def slow(*args: Any, **named: Any) -> Any:
        if not reports and Order.objects.filter(status="sending").exists():
            later = clock.now() + timedelta(seconds=15)
            reports.extend([recovery.recover(later), recovery.recover(later + timedelta(seconds=1))])
        return real(*args, **named)

    monkeypatch.setattr(owner, name, slow)
    return reports


def test_the_venue_itself_refuses_what_was_claimed_too_long_ago(live: BinanceDesk) -> None:
    order = make(live, limit="50", status="sending", sent_at=clock.now() - timedelta(seconds=6))
    answer = live.broker.place(request_of(order))
    assert isinstance(answer, Rejected) and answer.code == "outside_receive_window"
    assert live.truth("accepted", order.client_id) == 0


def test_a_request_says_when_it_was_claimed(live: BinanceDesk) -> None:
    order = make(live, limit="50", status="sending", sent_at=clock.now() - timedelta(seconds=2))
    assert isinstance(live.broker.place(request_of(order)), Accepted)
    (sent,) = live.venue.posts()
    assert order.sent_at is not None and int(sent["timestamp"]) == int(order.sent_at.timestamp() * 1000)


def test_key_budget_and_client_are_at_hand_before_the_order_is_claimed(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconciliation.reconcile(live.account, clock.now()).ok
    seen: list[tuple[str, str]] = []

    def note(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def noted(*args: Any, **named: Any) -> Any:
            seen.append((name, str(Order.objects.get().status)))
            return real(*args, **named)

        monkeypatch.setattr(owner, name, noted)

    note(ratelimit, "spend")
    note(binance.venue_keys, "read")
    note(binance, "redirect")
    assert send(make(live, limit="50")).status == "accepted"
    assert set(seen) == {("spend", "new"), ("read", "new"), ("redirect", "new")}


def test_an_account_without_a_key_sends_nothing_and_says_why(live: BinanceDesk) -> None:
    assert reconciliation.reconcile(live.account, clock.now()).ok
    order = make(live, limit="50")
    Account.objects.get().venue_key.delete()
    after = send(order)
    assert (after.status, after.status_code) == ("expired", "no-venue-key") and live.venue.posts() == []


class _Behind(clock.RealClock):
    """It is 15 seconds ago until `behind` is taken away."""

    behind = timedelta(seconds=15)

    def now(self) -> datetime:
        return super().now() - self.behind


def test_an_order_recovery_has_given_up_before_it_was_signed_is_refused_by_the_venue(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, reports, real = _Behind(), list[int](), binance._order_parameters

    def held_up(request: OrderRequest) -> dict[str, str]:
        late.behind = timedelta(0)  # 15 seconds pass between the last look and the signature
        reports.extend(recovery.recover(clock.now()).expired for _ in range(2))
        return real(request)

    monkeypatch.setattr(binance, "_order_parameters", held_up)
    with clock.use(late):
        assert reconciliation.reconcile(live.account, clock.now()).ok
        after = send(make(live))
    assert reports == [0, 1] and (after.status, after.status_code) == ("expired", "not_at_venue")
    assert len(live.venue.posts()) == 1
    assert live.venue.book.truth == [] and not Fill.objects.exists()


def test_an_answer_for_an_order_given_up_is_told_and_what_it_did_is_booked(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue accepts it all the same (its clock stood still): never dropped."""
    assert reconciliation.reconcile(live.account, clock.now()).ok
    give_up_during(monkeypatch, binance, "_order_parameters")
    order = make(live)
    after = send(order)
    alert = Alert.objects.get(code="order-came-back")
    assert alert.severity == "critical" and alert.subject == "BTCUSDT"
    assert (after.status, after.filled_quantity) == ("filled", D(1)) and Fill.objects.count() == 1
    events = list(OrderEvent.objects.order_by("pk").values_list("event", "to_status"))
    assert events == [
        ("send", "sending"),
        ("expire", "expired"),
        ("reappear", "cancel_pending"),
        ("fill", "filled"),
    ]
    assert AuditEvent.objects.filter(action="order.cancel", object_id=str(order.pk)).count() == 1


def test_one_that_came_back_and_rests_is_taken_back(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconciliation.reconcile(live.account, clock.now()).ok
    give_up_during(monkeypatch, binance, "_order_parameters")
    order = make(live, limit="50")
    after = send(order)
    assert after.status == "cancelled" and live.truth("cancelled", order.client_id) == 1
    assert after.venue_id and after.finished_at is not None


def test_a_venue_that_is_silent_about_one_that_came_back_is_asked_again(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assets.trading.tests.venues.binance import Fault

    assert reconciliation.reconcile(live.account, clock.now()).ok
    give_up_during(monkeypatch, binance, "_order_parameters")
    live.venue.faults.append(Fault("/order", "DELETE", status=503))
    after = send(make(live, limit="50"))
    assert after.status == "cancel_pending" and after.finished_at is None
    recovery.recover(clock.now())
    assert Order.objects.get().status == "cancelled"


class _Slow:
    """A venue that refuses nothing for its age; `_place` reaches it late."""

    def __init__(self, account: Account) -> None:
        from assets.trading.brokers.paper import CAPABILITIES

        self.capabilities = CAPABILITIES

    def place(self, request: OrderRequest) -> Accepted | Rejected | Unknown:
        return Rejected(code="too_late") if request.is_late() else Accepted(venue_id="v", at=clock.now())


@pytest.mark.parametrize(("wait_s", "status", "code"), [(0.0, "accepted", ""), (9.0, "expired", "too_late")])
def test_an_order_that_took_too_long_to_leave_is_withdrawn(
    at: datetime, monkeypatch: pytest.MonkeyPatch, wait_s: float, status: str, code: str
) -> None:
    world = World(at)
    monkeypatch.setattr(brokers, "get", _Slow)
    elapsed = [100.0]
    real = orders.transitions.apply

    def slow(*args: Any, **named: Any) -> Any:
        elapsed[0] += wait_s  # the database kept us waiting
        return real(*args, **named)

    monkeypatch.setattr(orders.transitions, "apply", slow)
    monkeypatch.setattr(clock, "monotonic", lambda: elapsed[0])
    order = kit.order(world.account, world.coin, now=at)
    with clock.use(clock.FixedClock(at)):
        after = orders.send_order(order.pk, guard=kit.nothing, now=at)
    assert (after.status, after.status_code) == (status, code)


def test_a_broker_can_tell_that_its_time_is_over(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.trading.tests.test_accounts import request

    asked = request(send_before=clock.monotonic() + 1000)
    assert not asked.is_late() and not request().is_late()
    monkeypatch.setattr(clock, "monotonic", lambda: asked.send_before + 0.01)
    assert asked.is_late()
