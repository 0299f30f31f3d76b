"""The account at FXCM: what it holds, and the self-test without which no order leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assets.trading import brokers
from assets.trading.brokers import fxcm, venue_keys
from assets.trading.brokers.base import Accepted, PreparingBroker, Rejected
from assets.trading.brokers.fxcm import FxcmBroker
from assets.trading.models import VenueKey
from assets.trading.services import venues
from assets.trading.tests.brokers import fxcm_desk
from assets.trading.tests.brokers.desk import D, make, place, request_of
from assets.trading.tests.brokers.fxcm_desk import ALICE, BUSINESS, SESSION, FxcmDesk
from assets.trading.tests.brokers.suite import unavailable
from assets.trading.tests.venues.fxcm import NUMBER, PASSWORD, SENDER, SUB, Fault
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid

pytestmark = pytest.mark.django_db
venue, desk = fxcm_desk.venue, fxcm_desk.desk


# --- Balances and the self-test ---------------------------------------------------------------------------------


def test_balances_are_those_of_our_ledger(desk: FxcmDesk) -> None:
    for side, quantity, limit in (
        ("buy", "3", "150"),
        ("sell", "1", "50"),
        ("sell", "4", "60"),
        ("buy", "0.5", "170"),
    ):
        place(desk, side=side, quantity=quantity, limit=limit)
        assert desk.broker.balances() == desk.held()
    assert desk.broker.balances()["EUR"] == D("-1.5")


@pytest.mark.parametrize(
    "pairs",
    [
        [
            (35, "AP"),
            (710, "{710}"),
            (721, "1"),
            (1, NUMBER),
            (55, "GER30"),
            (727, "1"),
            (704, "1"),
            (730, "9"),
        ],
        [(35, "AO"), (710, "{710}"), (727, "0"), (728, "99")],
        [(35, "AO"), (710, "{710}"), (727, "x"), (728, "0")],
    ],
)
def test_positions_that_cannot_be_read_are_no_answer(desk: FxcmDesk, pairs: list[tuple[int, str]]) -> None:
    desk.venue.faults.append(Fault("AN", "answer", pairs))
    unavailable(desk.broker.balances)


def test_positions_of_another_account_are_not_ours(desk: FxcmDesk) -> None:
    theirs = [
        (35, "AP"),
        (710, "{710}"),
        (721, "1"),
        (1, "999"),
        (55, "EUR/USD"),
        (727, "1"),
        (704, "5"),
        (730, "9"),
    ]
    desk.venue.faults.append(Fault("AN", "answer", theirs))
    assert desk.broker.balances() == {"USD": D(100_000)}


@pytest.mark.parametrize(
    "fault",
    [("cut_before", []), ("cut_after", []), ("silent", []), ("answer", [*BUSINESS, (380, "0")]),
     ("answer", [*SESSION, (373, "99")])],
    ids=["cut before", "cut after", "silent", "business", "session"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("read", "kind"),
    [("open_orders", "AF"), ("balances", "BB"), ("balances", "AN"), ("permissions", "g"), ("fetch_order", "H"),
     ("fetch_order", "AD"), ("clock_offset", "1")],
)  # fmt: skip
def test_no_answer_is_never_taken_for_nothing(
    desk: FxcmDesk, read: str, kind: str, fault: tuple[str, list[tuple[int, Any]]]
) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.5"))
    desk.broker = desk.other(answer_s=0.25, number=NUMBER)
    desk.venue.faults.append(Fault(kind, *fault, times=9))
    call = getattr(desk.broker, read)
    unavailable((lambda: call(order.client_id)) if read == "fetch_order" else call)


def test_no_order_leaves_before_the_self_test_has_passed(desk: FxcmDesk) -> None:
    for row in ({"checked_at": None}, {"checked_at": desk.now, "permissions": {"can_trade": False}}):
        VenueKey.objects.update(**row)
        answer = desk.broker.place(request_of(make(desk)))
        assert isinstance(answer, Rejected) and answer.code == "not_self_tested"
    assert not desk.venue.received


def test_checking_the_key_opens_the_gate_and_a_new_key_closes_it(desk: FxcmDesk, settings: Any) -> None:
    settings.FXCM_FIX_HOST, settings.FXCM_FIX_PORT = "127.0.0.1", desk.venue.port
    settings.FXCM_FIX_SENDER, settings.FXCM_FIX_TARGET_SUB = SENDER, SUB
    desk.other()
    user, password = venue_keys.read(desk.account)
    venue_keys.store(desk.account, user, password, actor=ALICE, now=desk.now)
    broker = brokers.get(desk.account)
    assert isinstance(broker.place(request_of(make(desk))), Rejected)
    found = venues.check_key(desk.account.name, desk.now)
    assert (found.can_trade, found.can_withdraw) == (True, False) and abs(found.clock_offset_s) < 5
    assert isinstance(broker.place(request_of(make(desk))), Accepted)
    venue_keys.store(desk.account, user, password, actor=ALICE, now=desk.now)
    assert isinstance(broker.place(request_of(make(desk))), Rejected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("position_maintenance", "Y"), ("parameters", {"SERVER_TIME_UTC": "EST", "BASE_CRNCY": "USD"}),
     ("parameters", {"SERVER_TIME_UTC": "UTC", "BASE_CRNCY": "EUR"}), ("parameters", {})],
)  # fmt: skip
def test_what_our_books_cannot_follow_fails_the_self_test(desk: FxcmDesk, name: str, value: object) -> None:
    assert desk.broker.permissions().can_trade
    setattr(desk.venue, name, value)
    assert not desk.broker.permissions().can_trade


def test_a_login_with_several_accounts_wants_one_named(desk: FxcmDesk) -> None:
    desk.venue.accounts = ["111", NUMBER]
    unavailable(desk.broker.balances)
    assert isinstance(desk.broker.place(request_of(make(desk))), Rejected)
    named = desk.other(number=NUMBER)
    assert named.balances() and isinstance(named.place(request_of(make(desk))), Accepted)


def test_an_account_in_another_currency_is_not_ours(desk: FxcmDesk) -> None:
    desk.venue.currency = "EUR"
    unavailable(desk.broker.balances)


def test_a_clock_that_is_off_is_measured(desk: FxcmDesk) -> None:
    desk.venue.now = lambda: clock.RealClock().now() + timedelta(seconds=30)
    assert desk.broker.clock_offset() == pytest.approx(timedelta(seconds=30), abs=timedelta(seconds=5))


def test_an_order_that_would_leave_too_late_does_not_leave(desk: FxcmDesk) -> None:
    order = make(desk, limit="50")
    for late in ({"sent_at": clock.now() - timedelta(seconds=6)}, {"send_before": clock.monotonic() - 0.001}):
        answer = desk.broker.place(replace(request_of(order), **late))
        assert isinstance(answer, Rejected) and answer.code == "too_late"
    assert not desk.venue.of_kind("D") and isinstance(desk.broker.place(request_of(order)), Accepted)


def test_to_be_prepared_is_to_be_logged_on_without_an_order(desk: FxcmDesk) -> None:
    assert isinstance(desk.broker, PreparingBroker) and desk.broker.prepare() is None
    assert desk.venue.of_kind("A") and desk.venue.of_kind("BB") and not desk.venue.of_kind("D")
    desk.pass_the_test(can_trade=False)
    refusal = desk.broker.prepare()
    assert isinstance(refusal, Rejected) and refusal.code == "not_self_tested"


def test_without_settings_it_says_which_are_missing(desk: FxcmDesk) -> None:
    with pytest.raises(Invalid, match="TRADING_FXCM_FIX_HOST"):
        brokers.get(desk.account)


@pytest.mark.parametrize(
    ("host", "tls"), [("127.0.0.1", False), ("localhost", False), ("fix.example.com", True)]
)
def test_only_this_machine_is_spoken_to_without_tls(
    settings: Any, desk: FxcmDesk, host: str, tls: bool
) -> None:
    settings.FXCM_FIX_HOST, settings.FXCM_FIX_PORT = host, 443
    settings.FXCM_FIX_SENDER, settings.FXCM_FIX_TARGET_SUB = SENDER, SUB
    assert fxcm.endpoint_of_settings().tls is tls
    broker = brokers.get(desk.account)
    assert isinstance(broker, FxcmBroker) and PASSWORD not in repr(vars(broker)) + repr(
        vars(vars(broker)["_line"])
    )
