"""An account whose key is gone, whose venue is silent or whose rows are odd holds up nobody but itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from assets.trading import brokers
from assets.trading.brokers import venue_keys
from assets.trading.models import Account, Fill, Order, VenueKey
from assets.trading.services import matching, orders, reconciliation, recovery, stopping
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import D, make, place
from assets.trading.tests.brokers.test_binance import ALICE, BinanceDesk
from assets.trading.tests.venues.binance import KEY, SECRET, Fault
from tradingsite.foundation import audit, clock
from tradingsite.foundation.models import Alert

pytestmark = pytest.mark.django_db


def paper_order(status: str = "unknown", name: str = "paper") -> Order:
    """An order of a paper account; in doubt long enough to be closed."""
    now = clock.now()
    account = Account.objects.filter(name=name).first() or kit.account(name=name, asset_type=name)
    number = Order.objects.count()
    return kit.order(
        account,
        kit.instrument(f"P{number:02}BBB"),
        now=now - timedelta(seconds=60),
        key=f"p{number}",
        status=status,
    )


def test_recovery_goes_on_beside_an_account_without_a_key(live: BinanceDesk) -> None:
    stuck = make(live, limit="50", status="unknown", sent_at=clock.now() - timedelta(seconds=90))
    VenueKey.objects.all().delete()
    other = paper_order()
    report = recovery.recover(clock.now())
    assert (report.open, report.expired) == (1, 1)
    assert (
        Order.objects.get(pk=stuck.pk).status == "unknown"
        and Order.objects.get(pk=other.pk).status == "expired"
    )
    assert Alert.objects.get(code="order-in-doubt").params["why"] == "no-venue-key"


def test_a_cancel_nobody_can_deliver_stays_pending_and_shields_nobody(live: BinanceDesk) -> None:
    mine, other = place(live, limit="50"), paper_order("accepted")
    VenueKey.objects.all().delete()
    assert orders.cancel(mine.pk, actor=audit.system("test"), now=clock.now()).status == "cancel_pending"
    recovery.recover(clock.now())
    Account.objects.filter(pk=other.account_id).update(state="halted")
    assert stopping.keep_the_stop(clock.now()) == 1
    assert dict(Order.objects.values_list("pk", "status")) == {
        mine.pk: "cancel_pending",
        other.pk: "cancelled",
    }


def test_reconciliation_goes_on_and_says_which_account_cannot_be_asked(live: BinanceDesk) -> None:
    kit.account(name="a-nobody", asset_type="other", broker="no-such-broker", mode="live", is_demo=False)
    reports = reconciliation.reconcile_all(clock.now())
    assert reports["a-nobody"].why == "unknown-broker" and reports[live.account.name].ok
    alert = Alert.objects.get(code="not-reconciled")
    assert alert.subject == "a-nobody" and alert.params["why"] == "unknown-broker"
    Account.objects.filter(name="a-nobody").update(broker="paper")
    reconciliation.reconcile_all(clock.now())


def test_a_bug_in_one_broker_is_told_after_the_others_were_reconciled(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Account.objects.update(broker="bug")
    other = kit.account(
        currency="USDT", name="z", asset_type="other", broker="binance", mode="live", is_demo=False
    )
    venue_keys.store(other, KEY, SECRET, actor=ALICE, now=clock.now())
    real = brokers.get

    def get(account: Account) -> Any:
        if account.broker == "bug":
            raise KeyError("what an SDK raises")
        return real(account)

    monkeypatch.setattr(brokers, "get", get)
    with pytest.raises(KeyError, match="SDK"):
        reconciliation.reconcile_all(clock.now())
    other.refresh_from_db()
    assert other.reconciled_at is not None


@pytest.mark.parametrize("status", ["rejected", "expired", "cancelled"])
def test_what_lives_at_the_venue_after_it_ended_here_is_taken_back_and_booked(
    live: BinanceDesk, status: str
) -> None:
    order = place(live, limit="50")
    live.fill(order, D("0.3"))
    Order.objects.filter(pk=order.pk).update(status=status, finished_at=clock.now())
    reports = reconciliation.reconcile_all(clock.now() + timedelta(seconds=60))
    order.refresh_from_db()
    assert reports[live.account.name].caught_up == 1 and reports[live.account.name].differences == ()
    assert (order.status, order.filled_quantity, Fill.objects.get().quantity) == (
        "cancelled",
        D("0.3"),
        D("0.3"),
    )
    assert live.truth("cancelled", order.client_id) == 1
    assert Alert.objects.get(code="order-came-back").params["was"] == status


def test_one_taken_back_whose_trades_come_later_is_not_lost(live: BinanceDesk) -> None:
    order = place(live, limit="50")
    live.fill(order, D("0.3"))
    Order.objects.filter(pk=order.pk).update(status="expired", finished_at=clock.now())
    live.venue.faults.append(Fault("/myTrades", status=503))
    later = clock.now() + timedelta(seconds=60)
    assert not reconciliation.reconcile(live.account, later).ok
    assert live.truth("cancelled", order.client_id) == 1  # not open there any more, and still open here
    assert Order.objects.get().status == "cancel_pending"
    assert reconciliation.reconcile(live.account, later).caught_up == 1
    assert Order.objects.get().status == "cancelled" and Fill.objects.get().quantity == D("0.3")


# --- Paper's own beat -----------------------------------------------------------------------------------------------


def test_what_is_done_for_paper_asks_no_venue(live: BinanceDesk) -> None:
    make(live, limit="50", status="unknown", sent_at=clock.now() - timedelta(seconds=60))
    pending = place(live, limit="50")
    resting, other = place(live, limit="51"), paper_order("accepted")
    Order.objects.filter(pk=pending.pk).update(status="cancel_pending")
    in_doubt = paper_order()
    Account.objects.update(state="halted")
    asked = len(live.venue.requests)
    assert recovery.recover(clock.now(), paper=True).expired == 1
    assert stopping.keep_the_stop(clock.now(), paper=True) == 1
    matching.match(clock.now())
    assert len(live.venue.requests) == asked
    assert {pk: Order.objects.get(pk=pk).status for pk in (resting.pk, other.pk, in_doubt.pk)} == {
        resting.pk: "accepted", other.pk: "cancelled", in_doubt.pk: "expired"
    }  # fmt: skip
    assert recovery.recover(clock.now(), paper=False).cancelled == 1
    assert Order.objects.get(pk=pending.pk).status == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_the_feed_beats_on_beside_a_silent_venue_and_an_account_without_a_key(live: BinanceDesk) -> None:
    from tradingsite.management.commands import feed

    make(live, limit="50", status="unknown", sent_at=clock.now() - timedelta(seconds=60))
    place(live, limit="50")
    Account.objects.update(state="halted")
    live.venue.faults.append(Fault(drop="before", times=99))
    asked = len(live.venue.requests)
    pipeline = feed.Pipeline()
    pipeline.tick()
    assert pipeline.epoch is not None and len(live.venue.requests) == asked
    VenueKey.objects.all().delete()
    pipeline.tick()
    pipeline._recover()
    assert pipeline.epoch is not None and len(live.venue.requests) == asked
    pipeline.leave()
