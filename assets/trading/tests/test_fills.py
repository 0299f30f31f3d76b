"""Booking: fill, journal, position and order move together, once, whatever the order of events (F06, F14, F25, F26)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal as D

import pytest
from django.core.management import call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.trading import invariants
from assets.trading.models import Fill, Journal, Order, OrderEvent, Position
from assets.trading.selectors import cash_balances
from assets.trading.services import fills, rebuild
from assets.trading.tests import kit
from tradingsite.foundation import audit
from tradingsite.foundation.errors import Invalid
from tradingsite.foundation.models import Alert

pytestmark = pytest.mark.django_db


def healthy(now: datetime) -> None:
    for check in (
        invariants.journals_balance, invariants.cash_follows_from_positions, invariants.fills_stay_inside_intents,
        invariants.trades_are_booked_once, invariants.positions_follow_from_fills, invariants.finished_orders_say_when,
    ):  # fmt: skip
        assert check(now) == [], check.__name__


def test_a_fill_moves_cash_position_and_order_at_once(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "2", now=at, status="accepted")
    fill = fills.book(order, "t1", D(2), D("100.15"), D("0.2003"), "BBB", at)
    position = Position.objects.get()
    order.refresh_from_db()
    assert cash_balances(account.pk) == {"AAA": D(2), "BBB": D("9799.4997")}
    assert (position.quantity, position.cost, position.fees) == (D(2), D("200.3"), D("0.2003"))
    assert (order.status, order.filled_quantity, order.finished_at) == ("filled", D(2), at)
    assert fill.slippage_bps == pytest.approx(15.0)
    assert [e.event for e in OrderEvent.objects.all()] == ["fill"]
    healthy(at)


def test_the_same_trade_id_books_once(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "2", now=at, status="accepted")
    first = fills.book(order, "t1", D(1), D(100), D(0), "BBB", at)
    again = fills.book(order, "t1", D(1), D(100), D(0), "BBB", at)
    assert first.pk == again.pk and Fill.objects.count() == 1
    assert Position.objects.get().quantity == D(1)
    assert not Alert.objects.exists()


def test_a_trade_id_reported_again_with_other_numbers_is_kept_once_and_alarms(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "2", now=at, status="accepted")
    fills.book(order, "t1", D(1), D(100), D(0), "BBB", at)
    fills.book(order, "t1", D(2), D(100), D(0), "BBB", at)
    assert Position.objects.get().quantity == D(1)
    assert Alert.objects.get().code == "trade-id-conflict"


def test_more_than_ordered_is_booked_and_alarms(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "1", now=at, status="accepted")
    fills.book(order, "t1", D(1), D(100), D(0), "BBB", at)
    fills.book(order, "t2", D("0.5"), D(100), D(0), "BBB", at)
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("filled", D("1.5"))
    assert Position.objects.get().quantity == D("1.5")
    assert Alert.objects.get().code == "order-overfilled"
    assert invariants.fills_stay_inside_intents(at) == [f"Order {order.pk} wanted 1 and has 1.5."]


@pytest.mark.parametrize("status", ["cancelled", "expired", "sending", "unknown", "cancel_pending"])
def test_a_fill_that_comes_early_or_late_is_booked(at: datetime, status: str) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "2", now=at, status=status)
    fills.book(order, "t1", D(1), D(100), D(0), "BBB", at)
    fills.book(order, "t2", D(1), D(100), D(0), "BBB", at)
    order.refresh_from_db()
    assert order.status == "filled" and Position.objects.get().quantity == D(2)
    healthy(at)


def test_partial_fills_keep_the_average_exact(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "10", now=at, status="accepted")
    for n, (quantity, price) in enumerate([("3", "10"), ("3", "11"), ("4", "12")]):
        fills.book(order, f"t{n}", D(quantity), D(price), D(0), "BBB", at)
    position = Position.objects.get()
    assert position.cost / position.quantity == D("11.1")
    healthy(at)


def test_a_fee_kept_in_the_bought_asset_shrinks_the_holding(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "1", now=at, status="accepted")
    fills.book(order, "t", D(1), D(100), D("0.001"), "AAA", at)
    assert cash_balances(account.pk) == {"AAA": D("0.999"), "BBB": D(9900)}
    assert Position.objects.get().quantity == D("0.999")
    healthy(at)


def test_a_fee_in_a_third_asset_and_a_rebate_balance(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    fills.book(
        kit.order(account, row, "buy", "1", now=at, status="accepted"),
        "a",
        D(1),
        D(100),
        D("0.01"),
        "BNB",
        at,
    )
    order = kit.order(account, row, "sell", "1", now=at, key="k2", status="accepted")
    fills.book(order, "b", D(1), D(100), D("-0.05"), "BBB", at)
    assert cash_balances(account.pk) == {"AAA": D(0), "BBB": D("10000.05"), "BNB": D("-0.01")}
    healthy(at)


@pytest.mark.parametrize(
    ("quantity", "price", "trade_id"), [("0", "1", "t"), ("-1", "1", "t"), ("1", "0", "t"), ("1", "1", "")]
)
def test_nonsense_is_refused(at: datetime, quantity: str, price: str, trade_id: str) -> None:
    order = kit.order(kit.account(), kit.instrument(), now=at, status="accepted")
    with pytest.raises(Invalid):
        fills.book(order, trade_id, D(quantity), D(price), D(0), "BBB", at)
    assert not Fill.objects.exists() and not Journal.objects.filter(kind="fill").exists()


def test_a_failure_between_fill_and_position_leaves_neither(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, "buy", "1", now=at, status="accepted")

    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(fills, "_move_position", fail)
    with pytest.raises(RuntimeError), transaction.atomic():
        fills.book(order, "t", D(1), D(100), D(0), "BBB", at)
    assert not Fill.objects.exists() and not Journal.objects.filter(kind="fill").exists()
    healthy(at)


def test_rebuild_finds_and_repairs_an_edited_position(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    fills.book(
        kit.order(account, row, "buy", "2", now=at, status="accepted"), "t", D(2), D(100), D(0), "BBB", at
    )
    Position.objects.update(quantity=D(3))
    [difference] = rebuild.compare()
    assert (difference.stored.quantity, difference.derived.quantity) == (D(3), D(2))
    assert invariants.positions_follow_from_fills(at) and invariants.cash_follows_from_positions(at)
    assert rebuild.repair(actor=audit.system("test"), now=at) == 1
    assert rebuild.compare() == []
    healthy(at)


sides = st.sampled_from(["buy", "sell"])
quantities = st.decimals(min_value="0.001", max_value="1e12", places=9, allow_nan=False)
trade_prices = st.decimals(min_value="0.00000001", max_value="1e9", places=11, allow_nan=False)
fees = st.decimals(min_value="-10", max_value="10", places=12, allow_nan=False)
trades = st.lists(
    st.tuples(sides, quantities, trade_prices, fees, st.sampled_from(["BBB", "AAA", "CCC"])), max_size=8
)


@given(story=trades)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_story_of_fills_keeps_every_invariant(
    at: datetime, story: list[tuple[str, D, D, D, str]]
) -> None:
    with transaction.atomic():
        account, row = kit.account(), kit.instrument()
        for n, (side, quantity, price, fee, asset) in enumerate(story):
            order = kit.order(account, row, side, str(quantity), now=at, key=f"k{n}", status="accepted")
            fills.book(order, f"t{n}", quantity, price, fee, asset, at)
        healthy(at)
        assert Order.objects.exclude(status="filled").count() == 0
        transaction.set_rollback(True)


def test_the_command_compares_and_rewrites(at: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    account, row = kit.account(), kit.instrument()
    fills.book(
        kit.order(account, row, "buy", "2", now=at, status="accepted"), "t", D(2), D(100), D(0), "BBB", at
    )
    call_command("rebuild_positions")
    Position.objects.update(cost=D(3))
    with pytest.raises(SystemExit):
        call_command("rebuild_positions")
    assert "3 != 200" in capsys.readouterr().out
    call_command("rebuild_positions", "--write")
    assert Position.objects.get().cost == D(200)
