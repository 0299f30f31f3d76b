"""FXCM through our FIX session against an acceptor on loopback: the suite, and what an order's answers prove."""

from __future__ import annotations

from typing import Any

import pytest

from assets.trading.brokers import fxcm_answers as answers
from assets.trading.brokers.base import Accepted, Rejected, Unknown
from assets.trading.models import Order
from assets.trading.services import fills
from assets.trading.tests import kit
from assets.trading.tests.brokers import fxcm_desk
from assets.trading.tests.brokers.desk import D, make, place, request_of
from assets.trading.tests.brokers.fxcm_desk import BUSINESS, SESSION, FxcmDesk
from assets.trading.tests.brokers.suite import BrokerSuite, unavailable
from assets.trading.tests.venues.fxcm import NUMBER, SUB, Fault

pytestmark = pytest.mark.django_db
venue, desk = fxcm_desk.venue, fxcm_desk.desk

REJECTED = [(35, "8"), (37, "NONE"), (11, "{11}"), (17, "0"), (150, "8"), (39, "8"), (14, "0"), (58, "no")]


class TestFxcm(BrokerSuite):
    """All of it."""


def refused(desk: FxcmDesk, pairs: list[tuple[int, Any]]) -> Accepted | Rejected | Unknown:
    desk.venue.faults.append(Fault("D", "answer", pairs))
    return desk.broker.place(request_of(make(desk)))


# --- What an answer proves of an order --------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "word"), sorted(answers.ORDER_REASONS.items()))
def test_a_rejection_with_a_reason_of_the_whitelist_is_one(desk: FxcmDesk, reason: str, word: str) -> None:
    answer = refused(desk, [*REJECTED, (103, reason)])
    assert isinstance(answer, Rejected) and answer.code == word


@pytest.mark.parametrize(("code", "word"), sorted(answers.ORA_CODES.items()))
def test_the_venues_own_codes_count_too(desk: FxcmDesk, code: str, word: str) -> None:
    text = f"19915;DAS 19915: ZDas Exception ORA-{code}: no"
    answer = refused(desk, [*REJECTED[:-1], (58, text)])
    assert isinstance(answer, Rejected) and answer.code == word and code in answer.message


@pytest.mark.parametrize("reason", ["", "0", "5", "6", "7", "9", "10", "12", "99"])
def test_a_rejection_with_any_other_reason_is_unknown(desk: FxcmDesk, reason: str) -> None:
    pairs = [*REJECTED[:-1], (58, "ORA-20103: Session expired"), *([(103, reason)] if reason else [])]
    assert isinstance(refused(desk, pairs), Unknown)


def test_a_rejection_after_a_part_was_filled_is_none(desk: FxcmDesk) -> None:
    pairs = [(35, "8"), (37, "77"), (11, "{11}"), (17, "E1"), (150, "4"), (39, "8"), (14, "1"), (103, "13"),
             (60, "20260101-00:00:00")]  # fmt: skip
    answer = refused(desk, pairs)
    assert isinstance(answer, Accepted) and answer.venue_id == "77"


@pytest.mark.parametrize(("reason", "word"), sorted(answers.BUSINESS_REASONS.items()))
def test_a_business_reject_of_the_whitelist_is_a_rejection(desk: FxcmDesk, reason: str, word: str) -> None:
    answer = refused(desk, [*BUSINESS, (380, reason)])
    assert isinstance(answer, Rejected) and answer.code == word


@pytest.mark.parametrize("reason", ["0", "1", "4", "7", "99"])
def test_any_other_business_reject_is_unknown(desk: FxcmDesk, reason: str) -> None:
    assert isinstance(refused(desk, [*BUSINESS, (380, reason)]), Unknown)


@pytest.mark.parametrize(("reason", "word"), sorted(answers.SESSION_REASONS.items()))
def test_a_session_reject_of_the_whitelist_is_a_rejection(desk: FxcmDesk, reason: str, word: str) -> None:
    answer = refused(desk, [*SESSION, (373, reason)])
    assert isinstance(answer, Rejected) and answer.code == word


@pytest.mark.parametrize("reason", ["7", "8", "12", "17", "99"])
def test_any_other_session_reject_is_unknown(desk: FxcmDesk, reason: str) -> None:
    assert isinstance(refused(desk, [*SESSION, (373, reason)]), Unknown)


def test_a_reject_of_another_message_says_nothing_of_ours(desk: FxcmDesk) -> None:
    desk.broker = desk.other(answer_s=0.3)
    answer = refused(desk, [(35, "3"), (45, "1"), (373, "5")])
    assert isinstance(answer, Unknown) and "0.3" in answer.reason


@pytest.mark.parametrize(
    "pairs",
    [
        [(39, "0"), (150, "0")],  # no order id
        [(39, "0"), (150, "0"), (37, "77")],  # no time
        [(39, "Z"), (150, "0"), (37, "77"), (60, "20260101-00:00:00")],
        [(37, "77"), (60, "20260101-00:00:00")],  # no status
        [(39, "0"), (150, "0"), (37, "77"), (60, "yesterday")],
        [(39, "0"), (150, "0"), (37, "77"), (60, "20260101-00:00:00"), (14, "1e3")],
    ],
)
def test_a_report_that_cannot_be_read_is_unknown(desk: FxcmDesk, pairs: list[tuple[int, str]]) -> None:
    assert isinstance(refused(desk, [(35, "8"), (11, "{11}"), (17, "E1"), *pairs]), Unknown)


@pytest.mark.parametrize("what", ["cut_before", "cut_after"])
def test_a_cut_line_is_unknown_and_looking_tells(desk: FxcmDesk, what: str) -> None:
    desk.venue.faults.append(Fault("D", what))
    order = make(desk, limit="50")
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    found = desk.broker.fetch_order(order.client_id)
    assert (found is not None) is (what == "cut_after") is bool(desk.truth("accepted", order.client_id))


def test_no_answer_in_time_is_unknown_and_the_late_one_confuses_nobody(desk: FxcmDesk) -> None:
    desk.broker = desk.other(answer_s=0.3)
    desk.venue.faults.append(Fault("D", "hold"))
    late = make(desk, limit="50")
    answer = desk.broker.place(request_of(late))
    assert isinstance(answer, Unknown) and "0.3" in answer.reason
    desk.venue.release.set()
    assert place(desk, limit="51").venue_id != ""
    found = desk.broker.fetch_order(late.client_id)
    assert found is not None and found.status == "open"


@pytest.mark.parametrize("what", ["duplicate", "same_number", "garbled", "gap"])
def test_doubled_broken_and_lost_answers_change_nothing(desk: FxcmDesk, what: str) -> None:
    desk.venue.faults += [Fault(kind, what, times=9) for kind in ("D", "H", "AF", "AD", "AN", "BB")]
    order = place(desk, limit="50")
    desk.fill(order, D("0.4")), desk.fill(order, D("0.6"))
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and [row.quantity for row in found.trades] == [D("0.4"), D("0.6")]
    assert desk.broker.open_orders() == () and desk.broker.balances() == desk.held()
    assert len(desk.venue.of_kind("D")) == desk.truth("accepted", order.client_id) == 1


def test_an_answer_that_is_never_sent_again_leaves_the_order_unknown(desk: FxcmDesk) -> None:
    desk.broker = desk.other(answer_s=0.5)
    desk.venue.forgets = True
    desk.venue.faults.append(Fault("D", "gap"))
    order = make(desk, limit="50")
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    assert desk.broker.fetch_order(order.client_id) is not None


def test_answers_in_parts_may_come_in_any_order(desk: FxcmDesk) -> None:
    desk.venue.faults += [Fault(kind, "reorder", times=9) for kind in ("AF", "AD", "AN", "F")]
    resting = {place(desk, limit=str(price)).client_id for price in (50, 51, 52)}
    order = place(desk, limit="53")
    desk.fill(order, D("0.4")), desk.fill(order, D("0.6"))
    assert {row.client_id for row in desk.broker.open_orders()} == resting
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and found.filled_quantity == 1 and len(found.trades) == 2
    assert desk.broker.balances() == desk.held() and desk.broker.cancel(resting.pop())


def test_nothing_is_ever_sent_twice(desk: FxcmDesk) -> None:
    for what in ("cut_before", "cut_after"):
        desk.venue.faults.append(Fault("D", what))
        desk.broker.place(request_of(make(desk)))
    desk.broker.place(request_of(make(desk)))
    ids = [found[11] for found in desk.venue.of_kind("D")]
    assert len(ids) == len(set(ids)) == 3


def test_duplicate_means_it_is_there(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    assert isinstance(desk.broker.place(request_of(order)), Unknown)
    assert desk.truth("accepted", order.client_id) == 1


def test_too_little_margin_is_a_rejection_in_its_words(desk: FxcmDesk) -> None:
    answer = desk.broker.place(request_of(make(desk, quantity="99999", limit="100")))
    assert (
        isinstance(answer, Rejected) and answer.code == "margin" and "Insufficient margin" in answer.message
    )


def test_orders_carry_our_id_exact_numbers_and_the_account(desk: FxcmDesk) -> None:
    order = place(desk, quantity="0.123", limit="99.01", side="sell")
    (sent,) = desk.venue.of_kind("D")
    assert (sent[11], sent[38], sent[44], sent[54]) == (order.client_id, "0.123", "99.01", "2")
    assert (sent[1], sent[55], sent[40], sent[57]) == (NUMBER, "EUR/USD", "2", SUB)


def test_a_symbol_that_is_no_pair_is_rejected_before_it_leaves(desk: FxcmDesk) -> None:
    desk.instrument = kit.instrument("GER30", base="GER", quote="USD", venue="fxcm", is_demo=False)
    answer = desk.broker.place(request_of(make(desk)))
    assert isinstance(answer, Rejected) and answer.code == "unknown_symbol" and not desk.venue.of_kind("D")


# --- What became of it ------------------------------------------------------------------------------------------


def test_a_fill_after_the_cancel_is_told(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    assert desk.broker.cancel(order.client_id)
    desk.fill(order, D("0.25"))
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and (found.status, found.filled_quantity) == ("cancelled", D("0.25"))
    assert [row.quantity for row in found.trades] == [D("0.25")]


def test_a_cancel_that_only_is_pending_waits_for_its_end(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.broker = desk.other(answer_s=0.3)
    pending = [(35, "8"), (37, order.venue_id), (11, "{11}"), (41, "{41}"), (17, "R"), (150, "6"), (39, "6")]
    desk.venue.faults.append(Fault("F", "answer", pending))
    unavailable(lambda: desk.broker.cancel(order.client_id))
    assert desk.broker.cancel(order.client_id)


def test_a_cancel_that_meets_a_fill_is_no_success(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    filled = [
        (35, "8"),
        (37, order.venue_id),
        (11, order.client_id),
        (17, "E"),
        (150, "F"),
        (39, "2"),
        (14, "1"),
    ]
    desk.venue.faults.append(Fault("F", "answer", filled))
    assert desk.broker.cancel(order.client_id) is False


def test_trades_carry_what_they_cost(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.5"), D("49.99"))
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None
    (trade,) = found.trades
    assert (trade.fee, trade.fee_asset, trade.price) == (
        D("0.5") * D("49.99") * D("0.00004"),
        "USD",
        D("49.99"),
    )
    assert trade.trade_id.startswith(f"{order.venue_id}-E")


def test_trades_that_do_not_add_up_are_no_answer(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.5"))
    none = [(35, "AQ"), (568, "{568}"), (748, "0"), (749, "0")]
    desk.venue.faults.append(Fault("AD", "answer", none, times=9))
    unavailable(lambda: desk.broker.fetch_order(order.client_id))
    assert len(desk.venue.of_kind("AD")) == 3


def test_trades_of_another_order_are_not_its_own(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.5"))
    theirs = [(35, "AE"), (568, "{568}"), (748, "1"), (17, "E9"), (37, "999"), (32, "0.5"), (31, "50"), (912, "Y"),
              (60, "20260101-00:00:00")]  # fmt: skip
    desk.venue.faults.append(Fault("AD", "answer", theirs, times=9))
    unavailable(lambda: desk.broker.fetch_order(order.client_id))


@pytest.mark.parametrize("reason", ["0", "1", "99", ""])
def test_only_unknown_order_says_that_there_is_none(desk: FxcmDesk, reason: str) -> None:
    told = [
        (35, "8"),
        (37, "NONE"),
        (11, "{11}"),
        (790, "{790}"),
        (17, "0"),
        (150, "I"),
        (39, "8"),
        (58, "busy"),
    ]
    desk.venue.faults.append(Fault("H", "answer", [*told, *([(103, reason)] if reason else [])]))
    order = make(desk)
    unavailable(lambda: desk.broker.fetch_order(order.client_id))
    assert desk.broker.fetch_order(order.client_id) is None


def test_the_answer_to_another_question_is_not_taken(desk: FxcmDesk) -> None:
    order = place(desk, limit="50")
    desk.broker = desk.other(answer_s=0.3)
    told = [(35, "8"), (37, "{11}"), (11, "{11}"), (790, "an older one"), (17, "0"), (150, "I"), (39, "4"),
            (60, "20260101-00:00:00")]  # fmt: skip
    desk.venue.faults.append(Fault("H", "answer", told))
    unavailable(lambda: desk.broker.fetch_order(order.client_id))
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and found.status == "open"


def test_without_ids_of_questions_our_order_is_still_found(desk: FxcmDesk) -> None:
    desk.venue.echoes_no_ids = True
    order = place(desk, limit="50")
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and found.client_id == order.client_id


def test_orders_nobody_here_made_are_listed_each_on_its_own(desk: FxcmDesk) -> None:
    for price in (50, 51):
        desk.venue.book.accept(f"by hand {price}", "EUR/USD", "buy", D(1), D(price)).client_id = ""
    found = desk.broker.open_orders()
    assert len({row.client_id for row in found}) == 2 and all(row.client_id for row in found)


# --- A venue that lists no trades -------------------------------------------------------------------------------


def book(found: Any, order: Order) -> None:
    for row in found.trades:
        fills.book(order, row.trade_id, row.quantity, row.price, row.fee, row.fee_asset, row.at)


def test_without_a_list_the_rest_is_one_trade_at_the_average_price(desk: FxcmDesk) -> None:
    desk.venue.lists_no_trades = True
    order = place(desk, limit="50")
    desk.fill(order, D("0.4"), D(50)), desk.fill(order, D("0.1"), D(45))
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and [(row.quantity, row.price) for row in found.trades] == [(D("0.5"), D(49))]
    book(found, order)
    desk.fill(order, D("0.5"), D(40))
    found = desk.broker.fetch_order(order.client_id)
    assert found is not None and [(row.quantity, row.price) for row in found.trades] == [
        (D("0.5"), D(49)), (D("0.5"), D(40))
    ]  # fmt: skip
    book(found, order)
    order.refresh_from_db()
    assert order.filled_quantity == 1 and len(desk.venue.of_kind("AD")) == 1


def test_without_a_list_two_looks_at_different_moments_book_nothing_twice(desk: FxcmDesk) -> None:
    desk.venue.lists_no_trades = True
    order = place(desk, limit="50")
    desk.fill(order, D("0.4"))
    early = desk.broker.fetch_order(order.client_id)
    desk.fill(order, D("0.6"))
    late = desk.broker.fetch_order(order.client_id)
    book(late, order), book(early, order)
    order.refresh_from_db()
    assert order.filled_quantity == 1
    book(desk.broker.fetch_order(order.client_id), order)
    order.refresh_from_db()
    assert order.filled_quantity == 1 and order.fills.count() == 1
