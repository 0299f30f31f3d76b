"""The invariants hold at every instant of a system that books fills all the time."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import connection

from assets.trading.models import Fill, Order
from assets.trading.services import fills, rebuild
from assets.trading.tests import kit
from tradingsite.foundation import audit, clock, invariants

pytestmark = pytest.mark.django_db(transaction=True)

_ABOUT = ("I1", "I2", "I3", "I5", "I6", "I7", "I12", "I14")


def test_checks_beside_a_busy_writer_are_never_broken(at: datetime) -> None:
    account, coin = kit.account(balance="1000000"), kit.instrument()
    kit.switch()
    stop, errors = threading.Event(), list[BaseException]()

    def write() -> None:
        try:
            for n in range(10_000):
                if stop.is_set():
                    return
                when = at + timedelta(seconds=n)
                order = kit.order(
                    account, coin, ("buy", "sell")[n % 2], now=when, key=f"k{n}", status="accepted"
                )
                fills.book(order, f"t{n}", D(1), D(100), D("0.1"), "BBB", when)
                audit.record(action="test.write", actor=audit.system("test"))
        except BaseException as e:  # noqa: BLE001 - carried over to the test's own thread
            errors.append(e)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    with clock.use(clock.FixedClock(at)):
        writer.start()
        try:
            while Fill.objects.count() < 5:
                threading.Event().wait(0.01)
            for _round in range(25):
                broken = [r.violations for r in invariants.run(at, _ABOUT) if not r.ok]
                assert broken == [] and rebuild.compare() == []
        finally:
            stop.set()
            writer.join(30)
    assert not errors, errors
    assert Order.objects.count() > 5
