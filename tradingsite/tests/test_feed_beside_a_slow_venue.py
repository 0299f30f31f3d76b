"""A venue that keeps the feed waiting delays neither the cancels of a stop (G9) nor the feed's lease."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from assets.markets.feeds.base import Batch
from assets.trading.models import Account, Order
from assets.trading.tests import kit
from orchestrator.models import Lease, Workflow
from orchestrator.services import leases
from tradingsite.foundation import clock
from tradingsite.foundation.models import AuditEvent
from tradingsite.management.commands import feed

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 8.0


class StuckFeed:
    """Its poll answers when it is told to."""

    name = "stuck"

    def __init__(self) -> None:
        self.polled, self.answer = threading.Event(), threading.Event()

    def poll(self, now: datetime) -> Iterator[Batch]:
        self.polled.set()
        assert self.answer.wait(60)
        yield from ()

    def history(self, *_: Any) -> Iterator[Any]:
        yield from ()

    def forget(self, *_: Any) -> None: ...


def eventually(holds: Callable[[], bool]) -> bool:
    until = clock.monotonic() + PATIENCE_S
    while clock.monotonic() < until:
        if holds():
            return True
        threading.Event().wait(0.05)
    return holds()


@pytest.fixture
def polling(monkeypatch: pytest.MonkeyPatch) -> Iterator[StuckFeed]:
    """A feed process, in a thread, whose venue does not answer."""
    account, coin = kit.account(), kit.instrument()
    kit.switch()
    now = clock.now()
    kit.run(now)
    kit.order(account, coin, now=now, key="entry", status="accepted")
    kit.order(account, coin, "sell", now=now, key="exit", status="accepted", reduces=True)
    stuck, stop = StuckFeed(), threading.Event()
    monkeypatch.setattr(feed.feeds, "get", lambda name: stuck)

    def serve() -> None:
        try:
            feed.Pipeline().serve(stop)
        finally:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert stuck.polled.wait(30)
    yield stuck
    stop.set()
    stuck.answer.set()
    thread.join(30)
    assert not thread.is_alive()


def _status() -> dict[str, str]:
    return dict(Order.objects.values_list("intent__key", "status"))


def test_a_stop_takes_entries_back_while_the_venue_keeps_the_feed_waiting(polling: StuckFeed) -> None:
    kit.switch("stopped", clock.now())
    assert eventually(lambda: _status()["entry"] == "cancelled")
    assert _status()["exit"] == "accepted" and not polling.answer.is_set()


def test_the_halt_of_an_account_takes_its_entries_back(polling: StuckFeed) -> None:
    Account.objects.update(state="halted")
    assert eventually(lambda: _status()["entry"] == "cancelled")
    assert _status()["exit"] == "accepted"
    assert AuditEvent.objects.get(action="order.cancel").reason == "account halted"


def test_the_halt_of_a_workflow_takes_its_entries_back(polling: StuckFeed) -> None:
    Workflow.objects.update(status="halted")
    assert eventually(lambda: _status()["entry"] == "cancelled")
    assert _status()["exit"] == "accepted"
    assert AuditEvent.objects.get(action="order.cancel").reason == "workflow halted"


def test_entries_of_others_stay(polling: StuckFeed) -> None:
    kit.order(
        kit.account(name="other", asset_type="other"), kit.instrument("CCCBBB"), now=clock.now(), key="other",
        status="accepted",
    )  # fmt: skip
    Account.objects.filter(name="toy").update(state="halted")
    assert eventually(lambda: _status()["entry"] == "cancelled")
    assert _status()["other"] == "accepted"


def test_the_lease_is_renewed_while_the_venue_keeps_the_feed_waiting(polling: StuckFeed) -> None:
    first = Lease.objects.get(pk="feed").expires_at
    assert eventually(lambda: Lease.objects.get(pk="feed").expires_at > first)
    assert leases.acquire("feed", "somebody else", 10.0) is None
