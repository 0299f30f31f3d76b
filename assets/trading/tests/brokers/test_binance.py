"""Binance through the real ccxt client against a venue on loopback: the suite, and every way a call can go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from assets.markets import ratelimit
from assets.trading.brokers import binance
from assets.trading.brokers.base import Accepted, Rejected, Unknown
from assets.trading.brokers.binance import BinanceBroker
from assets.trading.models import Order
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import D, make, place, request_of
from assets.trading.tests.brokers.suite import BrokerSuite, unavailable
from assets.trading.tests.venues.binance import KEY, SECRET, BinanceVenue, Fault
from tradingsite.foundation import audit, clock

pytestmark = pytest.mark.django_db
ALICE = audit.Actor("user", "1", "Alice")


class BinanceDesk:
    """One account at the loopback venue."""

    def __init__(self, venue: BinanceVenue) -> None:
        self.venue, self.now = venue, clock.now()
        self.instrument = kit.instrument("BTCUSDT", base="BTC", quote="USDT", venue="binance", is_demo=False)
        self.account = kit.account(currency="USDT", broker="binance", mode="live", is_demo=False)
        self.broker = BinanceBroker(self.account, key=KEY, secret=SECRET, url=venue.url)

    def fill(self, order: Order, quantity: Decimal) -> None:
        booked = self.venue.book.by_client(order.client_id, "BTCUSDT")
        self.venue.book.fill(booked, quantity, Decimal(50))

    def truth(self, what: str, client_id: str) -> int:
        return self.venue.book.count(what, client_id)


@pytest.fixture
def venue() -> Iterator[BinanceVenue]:
    with BinanceVenue(clock.RealClock().now) as found:
        yield found


@pytest.fixture
def desk(venue: BinanceVenue, db: Any) -> BinanceDesk:
    return BinanceDesk(venue)


class TestBinance(BrokerSuite):
    """All of it."""


def error(code: int, text: str = "no") -> bytes:
    return json.dumps({"code": code, "msg": text}).encode()


# --- What a call says about the order ---------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "word"), sorted(binance.DEFINITIVE.items()))
def test_a_code_of_the_whitelist_with_a_4xx_is_a_rejection(desk: BinanceDesk, code: int, word: str) -> None:
    desk.venue.faults.append(Fault("/order", "POST", status=400, body=error(code)))
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == word


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1016, -1020, -2011, -2013, -2026, -9999])
@pytest.mark.parametrize("status", [400, 503])
def test_any_other_code_is_unknown(desk: BinanceDesk, code: int, status: int) -> None:
    desk.venue.faults.append(Fault("/order", "POST", status=status, body=error(code)))
    assert isinstance(desk.broker.place(request_of(make(desk))), Unknown)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_even_a_definitive_code_proves_nothing_with_a_5xx(desk: BinanceDesk, status: int) -> None:
    desk.venue.faults.append(Fault("/order", "POST", status=status, body=error(-2010)))
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
        b'{"orderId":"x","transactTime":1}',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_cannot_be_read_is_unknown(desk: BinanceDesk, body: bytes, acts: bool) -> None:
    desk.venue.faults.append(Fault("/order", "POST", status=200, body=body, acts=acts))
    assert isinstance(desk.broker.place(request_of(make(desk))), Unknown)


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_cut_line_is_unknown_and_looking_tells(desk: BinanceDesk, drop: str) -> None:
    desk.venue.faults.append(Fault("/order", "POST", drop=drop))
    order = make(desk, limit="50")
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    found = desk.broker.fetch_order(order.client_id)
    assert (found is not None) is (drop == "after")
    assert desk.truth("accepted", order.client_id) == (drop == "after")


def test_nothing_is_ever_sent_twice(desk: BinanceDesk) -> None:
    for fault in (
        Fault("/order", "POST", drop="before"),
        Fault("/order", "POST", status=503),
        Fault("/order", "POST", status=429),
    ):
        desk.venue.faults.append(fault)
        desk.broker.place(request_of(make(desk)))
        ratelimit.RateBudget.objects.all().delete()
    ids = [found["newClientOrderId"] for found in desk.venue.posts()]
    assert len(ids) == len(set(ids)) == 3


def test_no_answer_in_time_is_unknown(desk: BinanceDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "DEADLINE_S", 0.2)
    desk.venue.faults.append(Fault("/order", "POST", hang_s=5.0, acts=True))
    order = make(desk, limit="50")
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Unknown) and "0.2" in answer.reason
    monkeypatch.setattr(binance, "DEADLINE_S", 8.0)
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and found.status == "open"


def test_duplicate_means_it_is_there(desk: BinanceDesk) -> None:
    order = place(desk, limit="50")
    answer = desk.broker.place(request_of(order))
    assert isinstance(answer, Unknown) and desk.truth("accepted", order.client_id) == 1


def test_too_little_money_is_a_rejection_in_its_words(desk: BinanceDesk) -> None:
    answer = desk.broker.place(request_of(make(desk, quantity="9999", limit="100")))
    assert isinstance(answer, Rejected) and "insufficient balance" in answer.message


# --- Refusals of the venue as a whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [418, 429])
def test_after_a_ban_nothing_is_sent_until_it_ends(desk: BinanceDesk, status: int) -> None:
    desk.venue.faults.append(
        Fault("/order", "POST", status=status, body=error(-1003), headers=(("Retry-After", "30"),))
    )
    assert isinstance(desk.broker.place(request_of(make(desk))), Rejected)
    until = ratelimit.blocked_until("binance", clock.now())
    assert until is not None and timedelta(seconds=20) < until - clock.now() <= timedelta(seconds=31)
    sent = len(desk.venue.requests)
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "rate_limited"
    unavailable(desk.broker.balances)
    assert len(desk.venue.requests) == sent


def test_a_wrong_clock_is_refused_not_unknown(venue: BinanceVenue, desk: BinanceDesk) -> None:
    venue.now = lambda: clock.RealClock().now() + timedelta(seconds=30)
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "outside_receive_window"
    assert desk.broker.clock_offset() == pytest.approx(timedelta(seconds=30), abs=timedelta(seconds=5))


def test_a_wrong_secret_is_refused(venue: BinanceVenue, desk: BinanceDesk) -> None:
    broker = BinanceBroker(desk.account, key=KEY, secret="wrong", url=venue.url)
    answer = broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "bad_signature"


@pytest.mark.parametrize(
    "fault",
    [Fault(drop="before"), Fault(status=500), Fault(status=400, body=error(-1000)), Fault(status=200, body=b"null"),
     Fault(status=200, body=b"{}"), Fault(status=401, body=error(-2015))],
    ids=["cut", "500", "400", "null", "empty", "401"],
)  # fmt: skip
@pytest.mark.parametrize("read", ["open_orders", "balances", "permissions", "clock_offset", "fetch_order"])
def test_no_answer_is_never_taken_for_nothing(desk: BinanceDesk, read: str, fault: Fault) -> None:
    order = place(desk, limit="50")
    desk.venue.faults.append(Fault(**{**vars(fault), "times": 3}))
    call = getattr(desk.broker, read)
    unavailable((lambda: call(order.client_id)) if read == "fetch_order" else call)


# --- About the key, and what is sent ----------------------------------------------------------------------------


def test_what_the_key_may_do_is_read(desk: BinanceDesk) -> None:
    found = desk.broker.permissions()
    assert (found.can_read, found.can_trade, found.can_withdraw, found.is_ip_restricted) == (
        True,
        True,
        False,
        True,
    )
    desk.venue.permissions["enableWithdrawals"] = True
    assert desk.broker.permissions().can_withdraw


def test_an_unclear_answer_about_withdrawals_counts_as_yes(desk: BinanceDesk) -> None:
    desk.venue.permissions["enableWithdrawals"] = "no"  # type: ignore[assignment]
    assert desk.broker.permissions().can_withdraw


def test_orders_carry_our_id_exact_numbers_and_a_small_window(desk: BinanceDesk) -> None:
    order = make(desk, quantity="0.123", limit="99.01")
    assert isinstance(desk.broker.place(request_of(order)), Accepted)
    (sent,) = desk.venue.posts()
    assert (sent["newClientOrderId"], sent["quantity"], sent["price"]) == (order.client_id, "0.123", "99.01")
    assert int(sent["recvWindow"]) == binance.RECEIVE_WINDOW_MS


def test_the_secret_is_in_no_answer(desk: BinanceDesk, caplog: pytest.LogCaptureFixture) -> None:
    desk.venue.faults += [
        Fault("/order", "POST", status=400, body=error(-9999, f"echo {SECRET}")),
        Fault(drop="before"),
    ]
    told = [desk.broker.place(request_of(make(desk))) for _ in range(2)]
    assert SECRET not in repr(told) + caplog.text and "signature=" not in repr(told).replace(
        "signature=***", ""
    )


def test_only_the_given_address_is_asked(desk: BinanceDesk) -> None:
    """The guard in conftest refuses any other connection; each call must reach the venue."""
    before = len(desk.venue.requests)
    desk.broker.balances(), desk.broker.open_orders(), desk.broker.permissions(), desk.broker.clock_offset()
    assert len(desk.venue.requests) == before + 4


def test_fees_in_another_asset_are_told(desk: BinanceDesk) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.5"))
    desk.venue.book.by_client(order.client_id, "BTCUSDT").trades[0].fee_asset = "BNB"
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and found.trades[0].fee_asset == "BNB"
