"""Invariants ask venues before they look at the database: nobody waits for a venue, and no answer is held against what was
booked meanwhile."""

from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from assets.markets import ratelimit
from assets.trading import brokers
from assets.trading.models import Account, Order, VenueKey
from assets.trading.services import fills, reconciliation
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import D, make, place
from assets.trading.tests.brokers.test_binance import BinanceDesk
from assets.trading.tests.venues.binance import Fault
from tradingsite.foundation import clock, invariants

ABOUT_VENUES = ("I4", "I7")


def broken(later: timedelta = timedelta(0)) -> list[str]:
    return [
        line for result in invariants.run(clock.now() + later, ABOUT_VENUES) for line in result.violations
    ]


@pytest.mark.django_db(transaction=True)
def test_a_venue_is_asked_outside_the_snapshot(live: BinanceDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[bool] = []
    real = brokers.get

    def get(account: Account) -> Any:
        inside.append(connection.in_atomic_block)
        return real(account)

    monkeypatch.setattr(brokers, "get", get)
    assert broken() == [] and inside and not any(inside)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite has one lock for all writers")
def test_others_write_while_the_invariants_are_judged_beside_a_venue(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def writer(now: Any) -> list[str]:
        link = sqlite3.connect(connection.settings_dict["NAME"], timeout=0.2, isolation_level=None)
        try:
            link.execute("BEGIN IMMEDIATE")
            link.execute("ROLLBACK")
            told.append("free")
        finally:
            link.close()
        return []

    monkeypatch.setattr(invariants, "_checks", {**invariants._checks, "I99": [("last", writer)]})
    assert [r.violations for r in invariants.run(clock.now()) if not r.ok] == [] and told == ["free"]


@pytest.mark.django_db(transaction=True)
def test_bookings_of_a_venue_s_account_beside_the_checks_are_no_contradiction(
    live: BinanceDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend = ratelimit.spend
    monkeypatch.setattr(
        ratelimit, "spend", lambda *cost: spend(*cost) or True
    )  # more rounds than a minute allows
    assert reconciliation.reconcile(live.account, clock.now()).ok
    found = [place(live, limit="50", quantity="0.5") for _ in range(12)]
    stop, errors = threading.Event(), list[BaseException]()

    def trade() -> None:
        try:
            for order in found:
                live.fill(order, D("0.5"))
                seen = brokers.get(live.account).fetch_order(order.client_id)
                assert seen is not None
                for t in seen.trades:
                    fills.book(order, t.trade_id, t.quantity, t.price, t.fee, t.fee_asset, t.at)
                if stop.is_set():
                    return
        except BaseException as e:  # noqa: BLE001 - carried over to the test's own thread
            errors.append(e)
        finally:
            connection.close()

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        for _round in range(8):
            assert broken(timedelta(minutes=5)) == []
    finally:
        stop.set()
        thread.join(30)
    assert not errors, errors


@pytest.mark.django_db
def test_what_a_quiet_account_holds_must_be_what_its_venue_says(live: BinanceDesk) -> None:
    order = place(live, limit="50")
    live.fill(order, D(1))
    assert reconciliation.reconcile(live.account, clock.now() + timedelta(minutes=1)).caught_up == 1
    later = timedelta(minutes=1)
    with clock.use(_Ahead()):
        assert broken(later) == []
        live.venue.book.balances["BTC"] = D("0.5")
        (line,) = broken(later)
    assert "BTCUSDT" in line and "0.5 there" in line


class _Ahead(clock.RealClock):
    """A minute later: nothing was booked just now."""

    def now(self) -> Any:
        return super().now() + timedelta(minutes=1)


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["expired", "none"])
def test_an_order_that_rests_there_and_not_here_is_a_contradiction(live: BinanceDesk, status: str) -> None:
    order = place(live, limit="50")
    if status == "none":
        booked = live.venue.book.by_client(order.client_id, "BTCUSDT")
        booked.client_id = "tsstranger"
        Order.objects.update(status="expired", finished_at=clock.now())
    else:
        Order.objects.update(status=status, finished_at=clock.now() - timedelta(minutes=1))
    (line,) = broken()
    assert ("unknown here" if status == "none" else "expired here") in line


@pytest.mark.django_db
def test_a_venue_that_is_silent_or_has_no_key_proves_nothing_and_is_told(live: BinanceDesk) -> None:
    make(live, limit="50")
    live.venue.faults.append(Fault(drop="before", times=9))
    assert len(broken()) == 2
    VenueKey.objects.all().delete()
    assert len(broken()) == 2
    kit.account(name="p", asset_type="p")  # paper's book is ours
    assert len(broken()) == 2
