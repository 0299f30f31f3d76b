"""What must not slip through reconciliation: late trades, orders past their time, balances nobody compared, old passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assets.trading import agreement
from assets.trading.brokers.base import VenueOrder
from assets.trading.models import Account, Discrepancy, Fill, Order
from assets.trading.services import orders, reconciliation, recovery
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import D, make, place
from assets.trading.tests.brokers.test_binance import BinanceDesk
from tradingsite.foundation import clock
from tradingsite.foundation.models import Alert, AuditEvent

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def reconcile(live: BinanceDesk, later: timedelta = MINUTE) -> reconciliation.ReconcileReport:
    live.account.refresh_from_db()
    return reconciliation.reconcile(live.account, clock.now() + later)


def is_current(live: BinanceDesk, later: timedelta = MINUTE) -> bool:
    live.account.refresh_from_db()
    now = clock.now() + later
    return agreement.is_current(live.account.broker, live.account.reconciled_at, now)


# --- Trades that are told late ------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [0, 1])
@pytest.mark.parametrize("ending", ["cancelled", "filled"])
def test_an_order_ends_only_when_all_its_trades_were_told(live: BinanceDesk, ending: str, told: int) -> None:
    order = place(live, limit="50")
    live.fill(order, D("0.4"))
    live.fill(order, D("0.6") if ending == "filled" else D("0.1"))
    booked = live.venue.book.by_client(order.client_id, "BTCUSDT")
    booked.status = ending
    trades = live.venue._trades
    live.venue._trades = lambda query: trades(query)[:told]  # type: ignore[method-assign]
    report = reconcile(live)
    assert (report.ok, report.why) == (False, "trades-incomplete") and not is_current(live)
    order.refresh_from_db()
    assert order.status == ("partially_filled" if told else "accepted") and Fill.objects.count() == told
    live.venue._trades = trades  # type: ignore[method-assign]
    assert reconcile(live).ok
    order.refresh_from_db()
    assert order.status == ending and order.filled_quantity == booked.filled and Fill.objects.count() == 2


def test_recovery_adopts_an_order_whose_trades_are_told_late(live: BinanceDesk) -> None:
    order = place(live, limit="50")
    live.fill(order, D("0.4"))
    live.venue.book.by_client(order.client_id, "BTCUSDT").status = "cancelled"
    Order.objects.filter(pk=order.pk).update(
        status="unknown", sent_at=clock.now() - MINUTE, venue_id="", accepted_at=None
    )
    trades = live.venue._trades
    live.venue._trades = lambda query: []  # type: ignore[method-assign]
    recovery.recover(clock.now())
    order.refresh_from_db()
    assert order.status == "accepted" and order.venue_id
    live.venue._trades = trades  # type: ignore[method-assign]
    assert reconcile(live).ok
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("cancelled", D("0.4"))


def test_what_filled_before_our_cancel_is_booked_with_it(live: BinanceDesk) -> None:
    from tradingsite.foundation import audit

    order = place(live, limit="50")
    live.fill(order, D("0.4"))
    after = orders.cancel(order.pk, actor=audit.system("test"), now=clock.now())
    assert (after.status, after.filled_quantity, Fill.objects.get().quantity) == (
        "cancelled",
        D("0.4"),
        D("0.4"),
    )


# --- Validity -----------------------------------------------------------------------------------------------------


def test_an_order_past_its_time_is_taken_back_from_the_venue(live: BinanceDesk) -> None:
    order = place(live, limit="50")
    live.fill(order, D("0.2"))
    later = clock.now() + timedelta(minutes=6)
    with clock.use(clock.FixedClock(later)):
        young = make(live, limit="50", status="accepted", venue_id="x", accepted_at=later)
    assert recovery.recover(later).cancelled == 1
    assert dict(Order.objects.values_list("pk", "status")) == {order.pk: "cancelled", young.pk: "accepted"}
    assert live.truth("cancelled", order.client_id) == 1 and Fill.objects.get().quantity == D("0.2")
    row = AuditEvent.objects.get(action="order.cancel", object_id=str(order.pk))
    assert (row.actor_kind, row.actor_name, row.reason) == ("system", "validity", "validity over")
    assert recovery.recover(later).cancelled == 0


# --- Balances -----------------------------------------------------------------------------------------------------


def test_without_one_comparison_of_balances_books_do_not_agree(live: BinanceDesk) -> None:
    live.venue.book.balances["USDT"] -= 5000
    reconciliation.begin()
    make(live, limit="50", status="unknown", sent_at=clock.now())
    report = reconcile(live, timedelta(0))
    assert (report.ok, report.why) == (False, "balances-not-compared") and not is_current(live, timedelta(0))
    sent = orders.send_order(make(live, limit="50").pk, guard=orders.no_guard, now=clock.now())
    assert (sent.status, sent.status_code) == ("expired", "not_reconciled") and live.venue.posts() == []


def test_a_comparison_of_balances_counts_for_ten_minutes(live: BinanceDesk) -> None:
    assert reconcile(live, timedelta(0)).ok
    make(live, limit="50", status="unknown", sent_at=clock.now())
    assert reconcile(live, 9 * MINUTE).ok and is_current(live, 9 * MINUTE)
    assert not Alert.objects.filter(code="not-reconciled", status="open").exists()
    report = reconcile(live, 11 * MINUTE)
    assert (report.ok, report.why) == (False, "balances-not-compared") and not is_current(live, 11 * MINUTE)
    alert = Alert.objects.get(code="not-reconciled", status="open")
    assert alert.subject == live.account.name and alert.params["why"] == "balances-not-compared"
    Order.objects.all().update(status="expired", finished_at=clock.now())
    assert reconcile(live, 11 * MINUTE).ok and is_current(live, 11 * MINUTE)
    alert.refresh_from_db()
    assert alert.status == "resolved"


# --- Passes at the same time --------------------------------------------------------------------------------------


def during(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """`act` once after the pass under way has asked the venue, before it concludes."""
    real, done = reconciliation._balances, list[bool]()

    def asked(*args: Any) -> Any:
        found = real(*args)
        if not done:
            done.append(True)
            act()
        return found

    monkeypatch.setattr(reconciliation, "_balances", asked)


def test_an_older_pass_does_not_overrule_a_newer(live: BinanceDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def newer() -> None:
        live.venue.book.accept("web_x", "BTCUSDT", "buy", D(1), D(50))
        assert not reconcile(live, timedelta(0)).ok

    assert reconcile(live, timedelta(0)).ok
    during(monkeypatch, newer)
    report = reconcile(live, timedelta(0))
    assert (report.ok, report.why) == (False, "overtaken") and not is_current(live, timedelta(0))
    assert (
        Discrepancy.objects.get().status == "open" and Alert.objects.get(code="books-differ").status == "open"
    )


def test_a_pass_of_before_a_start_says_nothing_about_after(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    during(monkeypatch, reconciliation.begin)
    assert reconcile(live, timedelta(0)).why == "overtaken"
    assert Account.objects.get(pk=live.account.pk).reconciled_at is None


def test_what_ended_here_after_the_venue_was_asked_is_left_to_the_next_pass() -> None:
    at = datetime(2024, 5, 15, 12, tzinfo=UTC)
    account, row = kit.account(mode="live", broker="binance"), kit.instrument()
    order = kit.order(account, row, now=at, status="accepted")
    type(order).objects.filter(pk=order.pk).update(status="cancelled", finished_at=at + timedelta(seconds=1))
    listed = VenueOrder(
        client_id=order.client_id, venue_id="v", symbol=row.symbol, status="open", quantity=order.quantity,
        filled_quantity=order.filled_quantity, accepted_at=at,
    )  # fmt: skip
    broker: Any = object()  # asking it for anything would fail
    assert reconciliation._strangers(account, broker, {order.client_id: listed}, at) == (0, [])
