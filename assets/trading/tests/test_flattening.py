"""Out of everything: kept until no position is left, then stopped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assets.trading.models import Account, Flattening, Order, Position
from assets.trading.services import fills, flattening, matching
from assets.trading.tests import kit
from assets.trading.tests.kit import MINUTE, D
from orchestrator.engine.types import Switch
from orchestrator.services import control, exits
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Conflict
from tradingsite.foundation.models import AuditEvent

pytestmark = pytest.mark.django_db
AT = datetime(2024, 5, 15, 12, tzinfo=UTC)
ME = audit.system("me")


@pytest.fixture(autouse=True)
def at(settings: Any) -> Iterator[clock.VirtualClock]:
    settings.TRADING_FEED = "replay"
    kit.switch()
    with clock.use(clock.VirtualClock(AT)) as virtual:
        yield virtual


@pytest.fixture
def account() -> Account:
    """Long in one coin, short in another, an entry resting in the first."""
    account = kit.account(is_demo=False, allows_short=True)
    for number, (symbol, side) in enumerate((("AAABBB", "buy"), ("CCCBBB", "sell"))):
        row = kit.instrument(symbol, is_demo=False)
        kit.bars(row, AT - MINUTE, [100.0] * 5)
        order = kit.order(account, row, side, "2", now=AT, key=f"o{number}", status="accepted")
        fills.book(order, f"t{number}", D(2), D(100), D(0), "BBB", AT)
    kit.order(
        account, kit.instrument("DDDBBB", is_demo=False), "buy", "1", now=AT, key="rest", status="accepted"
    )
    return account


def test_entries_stop_at_once_everything_is_closed_and_then_all_is_stopped(
    account: Account, at: clock.VirtualClock
) -> None:
    assert exits.flatten("", actor=ME, now=AT, reason="enough") == 2
    state = control.current()
    assert (state.position, state.orders_allowed) == (Switch.PAUSED, True)
    assert flattening.work(AT) == 2
    assert Order.objects.get(intent__key="rest").status == "cancelled"
    at.advance_to(AT + 3 * MINUTE)
    matching.match(at.now())
    assert not Position.objects.filter(opened_at__isnull=False).exists()
    flattening.work(at.now())
    assert control.current().position is Switch.STOPPED
    assert Flattening.objects.get().status == "done"
    assert {"trading.flatten", "trading.flat"} <= set(AuditEvent.objects.values_list("action", flat=True))


def test_a_second_wish_changes_nothing_and_no_exit_is_sent_twice(account: Account) -> None:
    exits.flatten("", actor=ME, now=AT)
    exits.flatten("", actor=ME, now=AT)
    assert Flattening.objects.count() == 1
    assert (flattening.work(AT), flattening.work(AT)) == (2, 0)
    assert flattening.work(AT + timedelta(seconds=31)) == 0  # the exits still work
    assert Order.objects.filter(intent__workflow_slug="flatten").count() == 2


def test_only_the_asset_type_named_is_closed_and_nothing_is_stopped(account: Account) -> None:
    assert exits.flatten("other", actor=ME, now=AT) == 0
    assert flattening.work(AT) == 0
    assert Flattening.objects.get().status == "done"
    assert control.current().position is Switch.RUNNING


def test_while_all_is_stopped_no_exit_may_leave(account: Account) -> None:
    kit.switch("stopped")
    with pytest.raises(Conflict, match="stopped"):
        exits.flatten("", actor=ME, now=AT)
    assert not Flattening.objects.exists()


def test_a_stop_in_between_holds_the_exits_back_and_the_wish_stays(account: Account) -> None:
    exits.flatten("", actor=ME, now=AT)
    kit.switch("stopped")
    assert flattening.work(AT) == 0
    kit.switch("paused")
    assert flattening.work(AT + timedelta(seconds=31)) == 2


def test_a_stale_market_is_waited_for(account: Account, at: clock.VirtualClock) -> None:
    exits.flatten("", actor=ME, now=AT)
    late = AT + timedelta(hours=3)
    at.advance_to(late)
    assert flattening.work(late) == 0
    assert Flattening.objects.get().status == "working"


def test_it_can_be_given_up(account: Account) -> None:
    exits.flatten("", actor=ME, now=AT)
    assert flattening.give_up(ME, AT) == 1
    assert flattening.work(AT) == 0
    assert AuditEvent.objects.filter(action="trading.flatten_given_up").exists()
