"""I12 is judged by the switch as it stood when an order was sent, not as it stands now."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from assets.trading import invariants
from assets.trading.models import Order, OrderEvent
from assets.trading.tests import kit
from assets.trading.tests.test_execution import World, target
from orchestrator.engine.types import Switch
from orchestrator.models import ControlSwitch
from orchestrator.services import control
from tradingsite.foundation import audit, clock

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def _turn(position: str, at: datetime) -> None:
    with clock.use(clock.FixedClock(at)):
        control.change(Switch(position), audit.system("test"), at)


def _sent(at: datetime, key: str, *, reduces: bool = False) -> Order:
    world = Order.objects.first()
    assert world is not None
    order = kit.order(world.account, world.instrument, now=at, key=key, status="accepted", reduces=reduces)
    OrderEvent.objects.create(row=order, event="send", from_status="new", to_status="sending", at=at)
    return order


@pytest.fixture
def past(at: datetime) -> datetime:
    """Running, stopped at `at`, running again a minute later; a first order before all that."""
    ControlSwitch.objects.all().delete()
    coin = kit.instrument()
    kit.order(kit.account(), coin, now=at, key="first", status="filled")
    _turn("running", at - 60 * SECOND)
    _turn("stopped", at)
    _turn("running", at + 60 * SECOND)
    return at


def test_no_order_is_sent_later_than_a_second_after_a_stop(at: datetime) -> None:
    world = World(at)
    world.execute(target(0.5))
    kit.switch("stopped", at - timedelta(seconds=1))
    assert invariants.nothing_is_sent_after_a_stop(at) == []
    kit.switch("stopped", at - timedelta(seconds=2))
    assert len(invariants.nothing_is_sent_after_a_stop(at)) == 1


@pytest.mark.parametrize("reduces", [False, True])
def test_an_order_sent_while_stopped_is_a_violation_after_the_start_too(
    past: datetime, reduces: bool
) -> None:
    order = _sent(past + 30 * SECOND, "late", reduces=reduces)
    (sentence,) = invariants.nothing_is_sent_after_a_stop(past + 3600 * SECOND)
    assert sentence.startswith(
        f"Order {order.pk} was sent at 2024-05-14T12:00:30+00:00, after the stop at 2024"
    )


@pytest.mark.parametrize("second", [-30, 1, 61])
def test_orders_before_the_stop_within_its_second_and_after_the_start_are_fine(
    past: datetime, second: int
) -> None:
    _sent(past + second * SECOND, "fine")
    assert invariants.nothing_is_sent_after_a_stop(past + 3600 * SECOND) == []


@pytest.mark.parametrize("position", ["paused", "draining"])
def test_entries_sent_while_they_were_forbidden_are_violations_exits_are_not(
    past: datetime, position: str
) -> None:
    _turn(position, past + 100 * SECOND)
    _sent(past + 110 * SECOND, "exit", reduces=True)
    entry = _sent(past + 110 * SECOND, "entry")
    _turn("running", past + 120 * SECOND)
    (sentence,) = invariants.nothing_is_sent_after_a_stop(past + 3600 * SECOND)
    assert sentence.startswith(f"Order {entry.pk} was sent")


def test_a_pause_during_a_stop_does_not_end_what_it_forbids(past: datetime) -> None:
    _turn("stopped", past + 100 * SECOND)
    _turn("paused", past + 110 * SECOND)
    _sent(past + 110 * SECOND + SECOND / 2, "just after the pause")
    assert len(invariants.nothing_is_sent_after_a_stop(past + 3600 * SECOND)) == 1
