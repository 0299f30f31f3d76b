"""Every position has a stop, it follows the price, and whoever is beyond it is closed, once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assets.quant.trailing import StopRule
from assets.trading import invariants, registry
from assets.trading.models import Account, Order, Position, ProtectiveStop
from assets.trading.services import execution, fills, matching, orders, protective_stops
from assets.trading.targets import Target
from assets.trading.tests import kit
from assets.trading.tests.kit import MINUTE, D
from orchestrator.models import ProcessBeat
from tradingsite.foundation import clock
from tradingsite.foundation.models import Alert

pytestmark = pytest.mark.django_db

AT = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)
TEN_PERCENT = registry.StopPolicy(rule=lambda params: StopRule(multiple=1.0, low=0.10, high=0.10))


@pytest.fixture
def at() -> Iterator[clock.VirtualClock]:
    with clock.use(clock.VirtualClock(AT)) as virtual:
        yield virtual


@pytest.fixture(autouse=True)
def _stops(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.TRADING_FEED = "replay"
    monkeypatch.setitem(registry._stops, "toy", TEN_PERCENT)
    kit.switch()


def open_long(at: clock.VirtualClock, prices: tuple[float, ...] = (100.0,)) -> tuple[Account, Position]:
    """Ten coins at 100, filled; `prices` are the bars that closed up to now."""
    account, row = kit.account(is_demo=False), kit.instrument(is_demo=False)
    kit.bars(row, AT - len(prices) * MINUTE, list(prices))
    order = kit.order(account, row, quantity="10", now=AT - MINUTE, status="accepted")
    fills.book(order, "t1", D(10), D(100), D(0), "BBB", AT)
    return account, Position.objects.get()


def later(at: clock.VirtualClock, *prices: float, after: int = 0, spread: float = 0.0) -> datetime:
    """Bars after AT; time moves to the close of the last."""
    row = Position.objects.get().instrument
    kit.bars(row, AT + after * MINUTE, list(prices), spread=spread)
    at.advance_to(AT + (after + len(prices)) * MINUTE)
    return at.now()


def test_a_position_gets_its_stop_at_the_first_look_and_only_one(at: clock.VirtualClock) -> None:
    open_long(at)
    assert protective_stops.keep(AT).placed == 1
    assert protective_stops.keep(AT).placed == 0
    stop = ProtectiveStop.objects.get()
    assert (stop.level, stop.cause, stop.status, stop.acts) == (
        pytest.approx(90.0),
        "initial",
        "active",
        True,
    )


def test_the_stop_follows_the_price_up_and_never_down(at: clock.VirtualClock) -> None:
    open_long(at)
    protective_stops.keep(AT)
    assert protective_stops.keep(later(at, 110.0)).moved == 1
    assert ProtectiveStop.objects.get().level == pytest.approx(99.0)
    assert protective_stops.keep(later(at, 105.0, after=1)).moved == 0
    assert ProtectiveStop.objects.get().level == pytest.approx(99.0)


def test_a_price_at_the_stop_closes_the_whole_position_once(at: clock.VirtualClock) -> None:
    open_long(at)
    protective_stops.keep(AT)
    now = later(at, 89.0)
    report = protective_stops.keep(now)
    assert (report.hit, report.exits) == (1, 1)
    assert protective_stops.keep(now + timedelta(seconds=1)).exits == 0
    order = Order.objects.get(intent__workflow_slug=protective_stops.SLUG)
    assert (order.side, order.quantity, order.intent.reduces, order.status) == (
        "sell",
        D(10),
        True,
        "accepted",
    )
    assert order.intent.reasons[0]["params"]["cause"] == "initial"
    now = later(at, 88.0, after=1)
    matching.match(now)
    assert Position.objects.get().quantity == 0
    assert protective_stops.keep(now).closed == 1
    assert Order.objects.count() == 2


def test_a_wick_between_two_looks_counts(at: clock.VirtualClock) -> None:
    open_long(at)
    protective_stops.keep(AT)
    now = later(at, 100.0, spread=11.0)  # down to 89 and back within the bar
    assert protective_stops.keep(now).hit == 1


def test_bars_from_before_the_stop_do_not_count(at: clock.VirtualClock) -> None:
    open_long(at, prices=(80.0, 100.0))
    protective_stops.keep(AT)
    assert protective_stops.keep(later(at, 100.0)).hit == 0


def test_an_exit_that_expired_is_sent_again_until_the_position_is_closed(at: clock.VirtualClock) -> None:
    open_long(at)
    protective_stops.keep(AT)
    now = later(at, 89.0)
    protective_stops.keep(now)
    first = Order.objects.get(intent__workflow_slug=protective_stops.SLUG)
    orders.expire(first, "validity_over")
    assert protective_stops.keep(now + timedelta(seconds=5)).exits == 0  # no loop
    now = later(at, 89.0, 89.0, after=1)
    assert protective_stops.keep(now).exits == 1
    assert Order.objects.filter(intent__workflow_slug=protective_stops.SLUG).count() == 2


def test_no_strategy_takes_the_exit_back_or_buys_behind_it(at: clock.VirtualClock) -> None:
    account, position = open_long(at)
    protective_stops.keep(AT)
    now = later(at, 89.0)
    protective_stops.keep(now)
    wanted = [Target(symbol=position.instrument.symbol, quantity=D(10))]
    report = execution.execute_targets(ctx=kit.context(now), account=account, targets=wanted, now=now)
    assert report.ignored == {"stop_hit": 1}
    assert Order.objects.get(intent__workflow_slug=protective_stops.SLUG).status == "accepted"


@pytest.mark.parametrize("position", ["paused", "draining"])
def test_stops_act_while_entries_are_paused(at: clock.VirtualClock, position: str) -> None:
    open_long(at)
    protective_stops.keep(AT)
    kit.switch(position)
    assert protective_stops.keep(later(at, 89.0)).exits == 1


def test_nothing_is_sent_after_a_stop_and_the_exit_goes_out_when_trading_starts(
    at: clock.VirtualClock,
) -> None:
    open_long(at)
    protective_stops.keep(AT)
    kit.switch("stopped")
    now = later(at, 89.0)
    report = protective_stops.keep(now)
    assert (report.hit, report.exits) == (1, 0)
    kit.switch()
    assert protective_stops.keep(now).exits == 1


def test_stale_data_sends_nothing(at: clock.VirtualClock) -> None:
    open_long(at)
    protective_stops.keep(AT)
    later(at, 89.0)
    late = AT + timedelta(hours=2)
    at.advance_to(late)
    report = protective_stops.keep(late)
    assert (report.hit, report.exits) == (1, 0)


def test_a_warning_level_tells_once_closes_nothing_and_ends_by_itself(
    at: clock.VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = registry.StopPolicy(
        rule=lambda p: StopRule(multiple=1.0, low=0.1, high=0.1, trails=False), acts=False
    )
    monkeypatch.setitem(registry._stops, "toy", quiet)
    open_long(at)
    protective_stops.keep(AT)
    now = later(at, 89.0)
    for _look in range(3):
        report = protective_stops.keep(now)
        assert (report.hit, report.exits) == (0, 0)
    alert = Alert.objects.get(code="stop-level-passed")
    assert (alert.count, Position.objects.get().quantity) == (1, D(10))
    protective_stops.keep(later(at, 95.0, after=1))
    alert.refresh_from_db()
    assert alert.status == Alert.Status.RESOLVED


def test_buying_more_moves_the_entry_and_never_loosens_the_stop(at: clock.VirtualClock) -> None:
    account, position = open_long(at)
    protective_stops.keep(AT)
    more = kit.order(account, position.instrument, quantity="10", now=AT, key="more", status="accepted")
    fills.book(more, "t2", D(10), D(110), D(0), "BBB", AT)
    protective_stops.keep(AT)
    stop = ProtectiveStop.objects.get()
    assert (stop.entry, stop.level) == (pytest.approx(105.0), pytest.approx(94.5))


def test_a_position_without_a_stop_for_ten_seconds_breaks_i8(at: clock.VirtualClock) -> None:
    open_long(at)
    assert invariants.positions_have_stops(clock.now() + timedelta(seconds=9)) == []
    (sentence,) = invariants.positions_have_stops(clock.now() + timedelta(seconds=11))
    assert "without a stop" in sentence
    protective_stops.keep(AT)
    assert invariants.positions_have_stops(clock.now() + timedelta(seconds=11)) == []


def test_the_ten_seconds_count_while_the_keeper_lives(at: clock.VirtualClock) -> None:
    open_long(at)
    began = clock.now() + timedelta(hours=1)  # a power cut, and then a new feed
    beat = ProcessBeat.objects.create(
        name="feed@here:1",
        role="feed",
        host="here",
        pid=1,
        started_at=began,
        beat_at=began + timedelta(seconds=9),
    )
    assert invariants.positions_have_stops(began + timedelta(minutes=1)) == []
    ProcessBeat.objects.filter(pk=beat.pk).update(beat_at=began + timedelta(seconds=11))
    assert len(invariants.positions_have_stops(began + timedelta(minutes=1))) == 1
