"""A stop takes back what rests at venues: whatever the budget of reads, and however silent one of them is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from assets.markets import ratelimit
from assets.trading import brokers
from assets.trading.models import Account, Order
from assets.trading.services import orders, recovery, stopping
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import place
from assets.trading.tests.brokers.suite import unavailable
from assets.trading.tests.brokers.test_binance import BinanceDesk
from tradingsite.foundation import clock
from tradingsite.foundation.models import AuditEvent

PATIENCE_S = 20.0


def eventually(holds: Callable[[], bool]) -> bool:
    until = clock.monotonic() + PATIENCE_S
    while clock.monotonic() < until and not holds():
        threading.Event().wait(0.02)
    return holds()


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No budget is left, whichever minute it is."""
    monkeypatch.setattr(ratelimit, "spend", lambda *_: False)
    return monkeypatch


@pytest.mark.django_db
def test_the_budget_of_reads_holds_no_cancel_back(live: BinanceDesk, spent: pytest.MonkeyPatch) -> None:
    order = place(live, limit="50")
    unavailable(live.broker.balances)
    assert live.broker.cancel(order.client_id) is True and live.truth("cancelled", order.client_id) == 1


@pytest.mark.django_db
def test_a_ban_does(live: BinanceDesk) -> None:
    order = place(live, limit="50")
    ratelimit.block("binance", clock.now() + recovery._GRACE)
    asked = len(live.venue.requests)
    unavailable(lambda: live.broker.cancel(order.client_id))
    assert len(live.venue.requests) == asked


@pytest.mark.django_db(transaction=True)
def test_a_stop_cancels_at_the_venue_at_once(live: BinanceDesk, spent: pytest.MonkeyPatch) -> None:
    found = [place(live, limit="50", quantity="0.5") for _ in range(6)]
    kit.switch("stopped", clock.now())
    assert stopping.keep_the_stop(clock.now(), wait_s=PATIENCE_S) == 6
    assert all(live.truth("cancelled", order.client_id) == 1 for order in found)
    assert set(Order.objects.values_list("status", flat=True)) == {
        "cancel_pending"
    }  # its trades were not told yet
    spent.undo()
    recovery.recover(clock.now())
    assert set(Order.objects.values_list("status", flat=True)) == {"cancelled"}
    assert AuditEvent.objects.filter(action="order.cancel", actor_name="kill switch").count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_silent_venue_delays_no_other(live: BinanceDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its orders come first, and it answers only when all is over."""
    now, answer = clock.now(), threading.Event()
    silent = kit.account(name="silent", asset_type="other", broker="silent", mode="live", is_demo=False)
    first = [kit.order(silent, live.instrument, now=now, key=f"s{n}", status="accepted") for n in range(9)]
    mine = place(live, limit="50")
    paper = kit.order(
        kit.account(name="p", asset_type="p"), kit.instrument(), now=now, key="p", status="accepted"
    )
    real = brokers.get

    class Silent:
        def cancel(self, client_id: str) -> bool:
            assert answer.wait(PATIENCE_S * 2)
            return False

    def get(account: Account) -> Any:
        return Silent() if account.broker == "silent" else real(account)

    monkeypatch.setattr(orders.brokers, "get", get)
    kit.switch("stopped", clock.now())
    try:
        assert stopping.keep_the_stop(clock.now(), wait_s=0.0) == 11
        assert Order.objects.get(pk=paper.pk).status == "cancelled"
        assert {Order.objects.get(pk=order.pk).status for order in first} == {"cancel_pending"}
        assert eventually(lambda: Order.objects.get(pk=mine.pk).status == "cancelled")
        assert live.truth("cancelled", mine.client_id) == 1
    finally:
        answer.set()
        for thread in threading.enumerate():
            if thread.name.startswith("cancel-"):
                thread.join(PATIENCE_S)
