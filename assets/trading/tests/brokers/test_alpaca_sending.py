"""When an order may leave for Alpaca, and in which words: in time, within the hours, in exact numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assets.markets import ratelimit
from assets.trading.brokers import alpaca
from assets.trading.brokers.alpaca import AlpacaBroker
from assets.trading.brokers.base import Accepted, OrderRequest, PreparingBroker, Rejected
from assets.trading.tests.brokers.alpaca_desk import AlpacaDesk, fetched, with_stored_key
from assets.trading.tests.brokers.desk import D, make, place, request_of
from assets.trading.tests.brokers.suite import unavailable
from assets.trading.tests.venues.alpaca import KEY, SECRET, AlpacaVenue
from assets.trading.tests.venues.faults import Fault
from tradingsite.foundation import clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def venue() -> Iterator[AlpacaVenue]:
    with AlpacaVenue(clock.RealClock().now) as found:
        yield found


@pytest.fixture
def desk(venue: AlpacaVenue, db: Any) -> AlpacaDesk:
    return AlpacaDesk(venue)


@pytest.fixture
def ours(desk: AlpacaDesk, settings: Any) -> AlpacaDesk:
    return with_stored_key(desk, settings)


# --- In time ----------------------------------------------------------------------------------------------------


def test_an_order_that_was_held_up_never_leaves(desk: AlpacaDesk) -> None:
    asked = request_of(make(desk, limit="50"))
    for late in ({"sent_at": clock.now() - timedelta(seconds=6)}, {"send_before": clock.monotonic() - 0.001}):
        answer = desk.broker.place(replace(asked, **late))
        assert isinstance(answer, Rejected) and answer.code == "too_late"
    assert desk.venue.posts() == [] and desk.venue.book.truth == []
    assert isinstance(desk.broker.place(asked), Accepted)


def test_an_order_that_is_held_up_while_the_line_is_set_up_never_leaves(
    desk: AlpacaDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names may take long to resolve: the question is asked again when the connection stands."""
    asked: list[bool] = []

    def late_the_second_time(self: Any) -> bool:
        asked.append(True)
        return len(asked) > 1

    monkeypatch.setattr(OrderRequest, "is_late", late_the_second_time)
    answer = desk.broker.place(request_of(make(desk, limit="50")))
    assert isinstance(answer, Rejected) and answer.code == "too_late" and len(asked) == 2
    assert desk.venue.book.truth == []


def test_to_be_prepared_is_to_know_the_hours_and_to_have_counted_an_order(desk: AlpacaDesk) -> None:
    assert isinstance(desk.broker, PreparingBroker) and desk.broker.prepare() is None
    assert ratelimit.RateBudget.objects.get(venue="alpaca").used == 2
    before = len(desk.venue.requests)
    place(desk)
    assert len(desk.venue.requests) == before + 1
    for code, change in (("market_closed", {"is_open": False}), ("venue_silent", {})):
        desk.venue.is_open = not change
        desk.venue.faults += [] if change else [Fault("/clock", status=500)]
        refusal = AlpacaBroker(desk.account, key=KEY, secret=SECRET, url=desk.venue.url).prepare()
        assert refusal is not None and refusal.code == code


# --- Hours ------------------------------------------------------------------------------------------------------


def test_at_the_weekend_nothing_is_sent(desk: AlpacaDesk) -> None:
    """The venue would keep it for Monday's opening."""
    desk.venue.is_open = False
    for limit in (None, "50"):
        answer = desk.broker.place(request_of(make(desk, limit=limit)))
        assert isinstance(answer, Rejected) and answer.code == "market_closed"
    assert desk.venue.posts() == []
    desk.venue.is_open = True
    assert isinstance(desk.broker.place(request_of(make(desk))), Accepted)


def test_without_word_about_its_hours_nothing_is_sent(
    desk: AlpacaDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alpaca, "HOURS_DEADLINE_S", 0.3)
    said = b'{"is_open": true}'
    for fault in (
        Fault("/clock", drop="before"),
        Fault("/clock", hang_s=5.0),
        Fault("/clock", status=200, body=said),
    ):
        desk.venue.faults.append(fault)
        answer = desk.broker.place(request_of(make(desk)))
        assert isinstance(answer, Rejected) and answer.code == "venue_silent"
    assert desk.venue.posts() == []


def test_the_hours_are_asked_for_once_and_again_after_the_close(desk: AlpacaDesk) -> None:
    place(desk), place(desk)
    asked = [path for _method, path, _query in desk.venue.requests]
    assert asked.count("/v2/clock") == 1
    assert not desk.broker._is_open(
        clock.now() + timedelta(hours=4)
    )  # the close it announced is over by then
    assert [path for _method, path, _query in desk.venue.requests].count("/v2/clock") == 2


def test_an_order_that_slips_past_the_close_rests_and_can_be_taken_back(desk: AlpacaDesk) -> None:
    desk.broker._is_open(clock.now())
    desk.venue.is_open = False
    order = place(desk)
    found = fetched(desk, order)
    assert (found.status, found.filled_quantity) == ("open", 0)
    assert desk.broker.cancel(order.client_id) and fetched(desk, order).status == "cancelled"


def test_the_clock_of_the_venue_is_compared(venue: AlpacaVenue, desk: AlpacaDesk) -> None:
    venue.now = lambda: clock.RealClock().now() - timedelta(seconds=30)
    assert desk.broker.clock_offset() == pytest.approx(timedelta(seconds=-30), abs=timedelta(seconds=5))


# --- Quantities and prices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["0.5", "1.5"])
def test_parts_of_a_share_are_refused_where_only_whole_ones_are_allowed(
    desk: AlpacaDesk, quantity: str
) -> None:
    order = make(desk, quantity=quantity)
    asked = request_of(order)
    answer = desk.broker.place(replace(asked, rules=replace(asked.rules, lot_step=D(1), min_quantity=D(1))))
    assert isinstance(answer, Rejected) and answer.code == "filter_lot_step" and desk.venue.posts() == []


def test_parts_of_a_share_are_sent_for_the_day_in_exact_words(desk: AlpacaDesk) -> None:
    rules = {"lot_step": D("0.000000001"), "min_quantity": D("0.000000001")}
    order = make(desk, quantity="1.123456789", limit="99.01")
    asked = request_of(order)
    assert isinstance(desk.broker.place(replace(asked, rules=replace(asked.rules, **rules))), Accepted)
    (sent,) = desk.venue.posts()
    assert sent == {
        "symbol": "SPY", "qty": "1.123456789", "side": "buy", "type": "limit", "limit_price": "99.01",
        "time_in_force": "day", "client_order_id": order.client_id,
    }  # fmt: skip
    assert fetched(desk, order).quantity == D("1.123456789")


@pytest.mark.parametrize(
    ("quantity", "limit"), [("0.0000000001", None), ("0.001", "50"), ("1", "50.001"), ("0.1", None)]
)
def test_what_the_venue_refuses_is_a_rejection(desk: AlpacaDesk, quantity: str, limit: str | None) -> None:
    desk.venue.is_whole_only.add("SPY")
    order = make(desk, quantity=quantity, limit=limit)
    asked = request_of(order)
    tiny = replace(asked.rules, lot_step=D("1e-12"), min_quantity=D("1e-12"), tick_size=D("1e-12"))
    answer = desk.broker.place(replace(asked, rules=tiny))
    assert isinstance(answer, Rejected) and answer.message
    assert len(desk.venue.posts()) == 1 and desk.truth("accepted", order.client_id) == 0


def test_numbers_of_an_answer_stay_exact(desk: AlpacaDesk) -> None:
    order = place(desk, limit="50")
    row = desk.venue._json(desk.venue.by_client(order.client_id))
    body = json.dumps(row | {"qty": 0}).replace('"qty": 0', '"qty": 1.123456789012345678901')
    desk.venue.faults.append(Fault("/orders:by_client_order_id", status=200, body=body.encode()))
    assert fetched(desk, order).quantity == D("1.123456789012345678901")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", '"NaN"', "null", '"a"', "true"])
def test_an_amount_that_is_none_is_no_answer(desk: AlpacaDesk, amount: str) -> None:
    order = place(desk, limit="50")
    row = desk.venue._json(desk.venue.by_client(order.client_id))
    body = json.dumps(row | {"filled_qty": 0}).replace('"filled_qty": 0', f'"filled_qty": {amount}')
    desk.venue.faults.append(Fault("/orders:by_client_order_id", status=200, body=body.encode()))
    unavailable(lambda: desk.broker.fetch_order(order.client_id))
