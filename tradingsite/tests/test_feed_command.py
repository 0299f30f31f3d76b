"""The feed's beat keeps the promise of the switch: after a stop no resting entry may still fill (I12)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError

from assets.trading.models import Fill, Order
from assets.trading.tests import kit
from orchestrator.services import control
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Unavailable
from tradingsite.management.commands import feed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_the_tests_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "close_old_connections", lambda: None)


def _resting(at: datetime) -> None:
    """An entry and an exit accepted at `at`, and the bars that would fill both."""
    account, coin = kit.account(), kit.instrument()
    kit.bars(coin, at, [100.0] * 5)
    kit.order(account, coin, now=at, key="entry", status="accepted")
    kit.order(account, coin, "sell", now=at, key="exit", status="accepted", reduces=True)


def _beat(at: datetime, settings: Any) -> dict[str, str]:
    settings.TRADING_FEED = "none"
    with clock.use(clock.FixedClock(at + 2 * kit.MINUTE)):
        feed.Pipeline().tick()
    return dict(Order.objects.values_list("intent__key", "status"))


def test_a_stop_takes_entries_back_before_they_fill_and_leaves_exits(at: datetime, settings: Any) -> None:
    _resting(at)
    kit.switch("stopped")
    assert _beat(at, settings) == {"entry": "cancelled", "exit": "filled"}
    assert Fill.objects.get().side == "sell"


@pytest.mark.parametrize("position", ["running", "paused", "draining"])
def test_without_a_stop_nothing_is_taken_back(at: datetime, settings: Any, position: str) -> None:
    _resting(at)
    kit.switch(position)
    assert _beat(at, settings) == {"entry": "filled", "exit": "filled"}


def test_a_switch_that_cannot_be_read_postpones_the_beat(
    at: datetime, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resting(at)

    def unreadable() -> control.ControlState:
        raise Unavailable("The switch cannot be read.") from DatabaseError()

    monkeypatch.setattr(control, "current", unreadable)
    assert _beat(at, settings) == {"entry": "accepted", "exit": "accepted"}
