"""Alpaca through the real alpaca-py client against a venue on loopback: the suite, and every way a call can go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from assets.markets import ratelimit
from assets.trading.brokers import alpaca
from assets.trading.brokers import alpaca_answers as answers
from assets.trading.brokers.alpaca import AlpacaBroker
from assets.trading.brokers.base import Accepted, Rejected, Unknown
from assets.trading.services import recovery
from assets.trading.tests.brokers.alpaca_desk import AlpacaDesk, error, fetched, with_stored_key
from assets.trading.tests.brokers.desk import D, make, place, request_of
from assets.trading.tests.brokers.suite import BrokerSuite, unavailable
from assets.trading.tests.venues.alpaca import KEY, AlpacaVenue
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


class TestAlpaca(BrokerSuite):
    """All of it."""


# --- What a call says about the order ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 422])
@pytest.mark.parametrize(("code", "word"), sorted(answers.DEFINITIVE.items()))
def test_a_code_of_the_whitelist_with_a_4xx_is_a_rejection(
    desk: AlpacaDesk, code: int, word: str, status: int
) -> None:
    desk.venue.faults.append(Fault("/orders", "POST", status=status, body=error(code)))
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == word


@pytest.mark.parametrize(("key", "word"), sorted(answers.AT_THE_DOOR.items()))
def test_a_refusal_at_the_door_is_a_rejection(desk: AlpacaDesk, key: tuple[int, str], word: str) -> None:
    body = json.dumps({"message": f"{key[1]}."}).encode()
    desk.venue.faults.append(Fault("/orders", "POST", status=key[0], body=body))
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == word


@pytest.mark.parametrize("status", [400, 403, 404, 408, 409, 422, 429])
@pytest.mark.parametrize(
    "body",
    [error(50010000), error(40410000), error(-1), b'{"message":"forbidden, perhaps"}', b"<html>Forbidden</html>", b"",
     b"[]", b'{"code":"x","message":"no"}', b'{"code":40310000}'],
    ids=["5001", "4041", "-1", "words", "html", "empty", "list", "text", "no words"],
)  # fmt: skip
def test_any_other_4xx_is_unknown(desk: AlpacaDesk, body: bytes, status: int) -> None:
    desk.venue.faults.append(Fault("/orders", "POST", status=status, body=body))
    assert isinstance(desk.broker.place(request_of(make(desk))), Unknown)


@pytest.mark.parametrize("status", [301, 500, 502, 503, 504])
def test_even_a_definitive_code_proves_nothing_without_a_4xx(desk: AlpacaDesk, status: int) -> None:
    desk.venue.faults.append(Fault("/orders", "POST", status=status, body=error(40310000)))
    assert isinstance(desk.broker.place(request_of(make(desk))), Unknown)


@pytest.mark.parametrize("acts", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"null",
        b"[]",
        b'"ok"',
        b"{}",
        b'{"id":"x","client_order_id":"CLIENT","submitted_at":"2024-01-02T15:00:00Z"}',
        b'{"id":"61e69015-8549-4bfd-b9c3-01e75843f47d","client_order_id":"CLIENT","submitted_at":"yesterday"}',
        b'{"id":"61e69015-8549-4bfd-b9c3-01e75843f47d","client_order_id":"CLIENT","submitted_at":"2024-01-02T15:00:00"}',
        b'{"id":"61e69015-8549-4bfd-b9c3-01e75843f47d","client_order_id":"b","submitted_at":"2024-01-02T15:00:00Z"}',
        b"\xff\xfe",
    ],
)
def test_an_accepted_order_whose_answer_is_garbled_is_unknown(
    desk: AlpacaDesk, body: bytes, acts: bool
) -> None:
    order = make(desk, limit="50")
    sent = body.replace(b"CLIENT", order.client_id.encode())
    desk.venue.faults.append(Fault("/orders", "POST", status=200, body=sent, acts=acts))
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    found = desk.broker.fetch_order(order.client_id)
    assert (found is not None) is acts and desk.truth("accepted", order.client_id) == acts


def test_an_answer_the_library_would_refuse_is_understood(desk: AlpacaDesk) -> None:
    """alpaca-py's models raise for a word they do not know, although the order was accepted; we read what we need."""
    order = make(desk, limit="50")
    told = {
        "id": "61e69015-8549-4bfd-b9c3-01e75843f47d", "client_order_id": order.client_id,
        "submitted_at": "2021-03-16T18:38:01.937734Z", "status": "a_new_word", "order_class": "new_too",
    }  # fmt: skip
    desk.venue.faults.append(Fault("/orders", "POST", status=200, body=json.dumps(told).encode(), acts=True))
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Accepted) and answer.venue_id == told["id"]


def test_the_library_raises_after_sending_and_it_is_unknown(
    desk: AlpacaDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alpaca.common.rest import RESTClient

    def bad(self: Any, *arguments: Any) -> Any:
        RESTClient._one_request(self, *arguments)
        raise LookupError("after the order was taken in")

    desk.broker.clock_offset()
    desk.broker._is_open(clock.now())
    monkeypatch.setattr(type(desk.broker._line._client), "_one_request", bad)
    order = make(desk, limit="50")
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    assert desk.truth("accepted", order.client_id) == 1


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_cut_line_is_unknown_and_looking_tells(desk: AlpacaDesk, drop: str) -> None:
    desk.venue.faults.append(Fault("/orders", "POST", drop=drop))
    order = make(desk, limit="50")
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    found = desk.broker.fetch_order(order.client_id)
    assert (found is not None) is (drop == "after")
    assert desk.truth("accepted", order.client_id) == (drop == "after")


@pytest.mark.parametrize(
    "fault",
    [Fault("/orders", "POST", drop="before"), Fault("/orders", "POST", status=503),
     Fault("/orders", "POST", status=429, body=error(42910000)), Fault("/orders", "POST", status=504)],
    ids=["cut", "503", "429", "504"],
)  # fmt: skip
def test_nothing_is_ever_sent_twice(desk: AlpacaDesk, fault: Fault) -> None:
    desk.venue.faults.append(Fault(**{**vars(fault), "times": 9}))
    started = clock.monotonic()
    desk.broker.place(request_of(make(desk)))
    assert len(desk.venue.posts()) == 1
    assert clock.monotonic() - started < 3  # the library's own wait before it sends again


def test_no_answer_in_time_is_unknown(desk: AlpacaDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.broker._is_open(clock.now())
    monkeypatch.setattr(alpaca, "DEADLINE_S", 0.3)
    desk.venue.faults.append(Fault("/orders", "POST", hang_s=5.0, acts=True))
    order = make(desk, limit="50")
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Unknown) and "0.3" in answer.reason
    monkeypatch.setattr(alpaca, "DEADLINE_S", 10.0)
    assert fetched(desk, order).status == "open"


def test_every_call_has_limits(desk: AlpacaDesk) -> None:
    from assets.markets.feeds import alpaca_client

    desk.broker.clock_offset()
    client = desk.broker._line._client
    assert client._retry == 0 and not client._session.trust_env
    adapter = client._session.get_adapter(desk.venue.url)
    assert isinstance(adapter, alpaca_client.Wire) and adapter.max_retries.total == 0
    assert (alpaca_client.CONNECT_S, alpaca_client.DEADLINE_S) == (3, 10)
    assert client._session.get_adapter("https://api.alpaca.markets/v2") is adapter


def test_duplicate_means_it_is_there(desk: AlpacaDesk) -> None:
    order = place(desk, limit="50")
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Unknown) and desk.truth("accepted", order.client_id) == 1
    desk.broker.cancel(order.client_id)
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    assert desk.truth("accepted", order.client_id) == 1


def test_too_little_money_is_a_rejection_in_its_words(desk: AlpacaDesk) -> None:
    answer = desk.broker.place(request_of(make(desk, quantity="9999", limit="100")))
    assert isinstance(answer, Rejected) and "insufficient buying power" in answer.message


def test_it_never_resends(ours: AlpacaDesk) -> None:
    """Nothing at the venue proves that a lost request will not arrive: the order stays in doubt for a person."""
    ours.venue.faults.append(Fault("/orders", "POST", drop="before"))
    order = make(ours, limit="50", status="unknown", sent_at=clock.now())
    assert isinstance(ours.broker.place(request_of(order)), Unknown)
    assert not ours.broker.capabilities.refuses_stale
    for hours in range(1, 5):
        assert recovery.recover(clock.now() + timedelta(hours=hours)).open == 1
    order.refresh_from_db()
    assert order.status == "unknown" and len(ours.venue.posts()) == 1


def test_an_order_whose_answer_was_lost_is_adopted_with_its_trades(ours: AlpacaDesk) -> None:
    ours.venue.faults.append(Fault("/orders", "POST", drop="after"))
    order = make(ours, quantity="2", status="unknown", sent_at=clock.now())
    assert isinstance(ours.broker.place(request_of(order)), Unknown)
    assert recovery.recover(clock.now() + timedelta(minutes=1)).adopted == 1
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("filled", D(2))


# --- Refusals of the venue as a whole ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [((("Retry-After", "30"),), 30), ((("X-Ratelimit-Reset", "SOON"),), 20), ((), 60)],
    ids=["wait", "reset", "silent"],
)
def test_after_a_429_nothing_is_sent_until_it_ends(desk: AlpacaDesk, headers: Any, seconds: int) -> None:
    soon = str(int(clock.now().timestamp()) + 20)
    told = tuple((name, value.replace("SOON", soon)) for name, value in headers)
    desk.venue.faults.append(Fault("/orders", "POST", status=429, body=error(42910000), headers=told))
    assert isinstance(desk.broker.place(request_of(make(desk))), Rejected)
    until = ratelimit.blocked_until("alpaca", clock.now())
    assert until is not None
    assert timedelta(seconds=seconds - 5) < until - clock.now() <= timedelta(seconds=seconds)
    sent = len(desk.venue.requests)
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "rate_limited"
    unavailable(desk.broker.balances)
    assert len(desk.venue.requests) == sent


def test_the_budget_of_reads_is_kept_below_the_venues(desk: AlpacaDesk) -> None:
    desk.broker.balances()
    ratelimit.record_used("alpaca", alpaca.LIMIT.weight, clock.now())
    sent = len(desk.venue.requests)
    unavailable(desk.broker.balances)
    assert len(desk.venue.requests) == sent and alpaca.LIMIT.weight < 200


def test_a_wrong_secret_is_refused(venue: AlpacaVenue, desk: AlpacaDesk) -> None:
    broker = AlpacaBroker(desk.account, key=KEY, secret="wrong", url=venue.url)
    answer = broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and venue.posts() == []


@pytest.mark.parametrize(
    "fault",
    [Fault(drop="before"), Fault(status=500), Fault(status=400, body=error(40010000)), Fault(status=200, body=b"null"),
     Fault(status=200, body=b"{}"), Fault(status=200, body=b'[1, "a"]'), Fault(status=200, body=b'[{"id": 1}]'),
     Fault(status=404, body=b'{"message": "Not Found"}'), Fault(status=401, body=b'{"message": "unauthorized."}')],
    ids=["cut", "500", "400", "null", "empty", "list", "rows", "404", "401"],
)  # fmt: skip
@pytest.mark.parametrize(
    "read", ["open_orders", "balances", "permissions", "clock_offset", "fetch_order", "cancel"]
)
def test_no_answer_is_never_taken_for_nothing(desk: AlpacaDesk, read: str, fault: Fault) -> None:
    order = place(desk, limit="50")
    desk.venue.faults.append(Fault(**{**vars(fault), "times": 3}))
    call = getattr(desk.broker, read)
    unavailable((lambda: call(order.client_id)) if read in ("fetch_order", "cancel") else call)
