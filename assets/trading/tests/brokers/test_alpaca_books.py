"""What Alpaca knows becomes what we know: executions, replaced orders, lists, balances, and what a key may do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from assets.markets.testkit.loopback import Request
from assets.trading import brokers
from assets.trading.brokers import alpaca
from assets.trading.brokers import alpaca_answers as answers
from assets.trading.brokers.alpaca import AlpacaBroker
from assets.trading.brokers.base import Unknown
from assets.trading.models import Account, Discrepancy, Fill
from assets.trading.selectors.valuation import cash_balances
from assets.trading.services import reconciliation, venues
from assets.trading.tests.brokers.alpaca_desk import AlpacaDesk, error, fetched, with_stored_key
from assets.trading.tests.brokers.desk import D, make, place, request_of
from assets.trading.tests.brokers.suite import unavailable
from assets.trading.tests.venues.alpaca import KEY, SECRET, AlpacaVenue
from assets.trading.tests.venues.faults import Fault
from tradingsite.foundation import clock
from tradingsite.foundation.testkit import shared_dir

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


# --- Executions -------------------------------------------------------------------------------------------------


def test_only_the_orders_own_executions_are_taken(desk: AlpacaDesk) -> None:
    mine, other = place(desk, limit="50"), place(desk, limit="51")
    desk.fill(other, D("0.2")), desk.fill(mine, D("0.3")), desk.fill(other, D("0.8"))
    assert [trade.quantity for trade in fetched(desk, mine).trades] == [D("0.3")]
    assert [trade.quantity for trade in fetched(desk, other).trades] == [D("0.2"), D("0.8")]


def test_many_executions_come_in_pages(desk: AlpacaDesk) -> None:
    mine, other = place(desk, limit="50"), place(desk, limit="51", quantity="9")
    for number in range(250):
        desk.fill(mine if number % 5 == 0 else other, D("0.01"))
    found = fetched(desk, mine)
    assert len(found.trades) == 50 and len({trade.trade_id for trade in found.trades}) == 50
    asked = [path for _method, path, _query in desk.venue.requests if path.endswith("/FILL")]
    assert len(asked) == 3


def test_executions_that_are_not_listed_yet_are_waited_for(ours: AlpacaDesk) -> None:
    """An order that ended must not be closed here before all it did is booked."""
    order = place(ours, limit="50")
    ours.fill(order, D("0.3")), ours.fill(order, D("0.2"))
    ours.broker.cancel(order.client_id)
    ours.venue.hidden.add(ours.venue.by_client(order.client_id).trades[1].id)
    found = fetched(ours, order)
    assert (found.filled_quantity, [trade.quantity for trade in found.trades]) == (D("0.5"), [D("0.3")])
    assert reconciliation.reconcile(ours.account, clock.now()).why == "trades-incomplete"
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("partially_filled", D("0.3"))
    ours.venue.hidden.clear()
    assert reconciliation.reconcile(ours.account, clock.now() + timedelta(minutes=1)).caught_up == 1
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == ("cancelled", D("0.5"))


@pytest.mark.parametrize("carries", [False, True])
def test_executions_of_a_replaced_order_that_are_not_listed_yet_are_missed(
    desk: AlpacaDesk, carries: bool
) -> None:
    order = place(desk, limit="50", quantity="2")
    desk.fill(order, D("0.5"))
    new = desk.venue.replace(desk.venue.by_client(order.client_id), D(3), carries=carries)
    desk.venue.book.fill(new, D("0.25"), D(50))
    desk.venue.hidden |= {trade.id for trade in new.trades}
    found = fetched(desk, order)
    assert found.filled_quantity > sum((trade.quantity for trade in found.trades), D(0))


@pytest.mark.parametrize("row", [{}, {"order_id": "ORDER"}, {"order_id": "ORDER", "id": "a", "qty": "x"}])
def test_an_execution_that_cannot_be_read_is_no_answer(desk: AlpacaDesk, row: dict[str, str]) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D(1))
    body = json.dumps([row]).replace("ORDER", order.venue_id).encode()
    desk.venue.faults.append(Fault("/FILL", status=200, body=body))
    unavailable(lambda: desk.broker.fetch_order(order.client_id))


# --- Orders somebody changed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("carries", [False, True])
@pytest.mark.parametrize("times", [1, 3])
def test_a_replaced_order_is_followed_to_the_living_one(desk: AlpacaDesk, times: int, carries: bool) -> None:
    order = place(desk, limit="50", quantity="2")
    desk.fill(order, D("0.5"))
    row = desk.venue.by_client(order.client_id)
    for number in range(times):
        row = desk.venue.replace(row, D(3 + number), carries=carries)
    desk.venue.book.fill(row, D("0.25"), D(50))
    found = fetched(desk, order)
    assert (found.status, found.client_id, found.venue_id) == ("open", order.client_id, order.venue_id)
    assert found.filled_quantity == D("0.75") and len({trade.trade_id for trade in found.trades}) == 2
    assert desk.broker.cancel(order.client_id)
    assert fetched(desk, order).status == "cancelled" and row.status == "cancelled"


def test_the_open_replacement_of_our_order_is_no_stranger(ours: AlpacaDesk) -> None:
    order = place(ours, limit="50", quantity="2")
    ours.venue.replace(ours.venue.by_client(order.client_id), D(1))
    (listed,) = ours.broker.open_orders()
    assert (listed.client_id, listed.venue_id, listed.quantity) == (order.client_id, order.venue_id, 1)
    assert reconciliation.reconcile(ours.account, clock.now() + timedelta(minutes=1)).ok


def test_a_chain_that_goes_in_circles_is_no_answer(desk: AlpacaDesk) -> None:
    order = place(desk, limit="50", quantity="2")
    row = desk.venue.by_client(order.client_id)
    new = desk.venue.replace(row, D(1))
    desk.venue.successors[new.id] = row.id
    desk.venue.words[new.id] = "replaced"
    unavailable(lambda: desk.broker.fetch_order(order.client_id))


@pytest.mark.parametrize("word", sorted(answers.OPEN))
def test_every_word_for_a_living_order_is_open(desk: AlpacaDesk, word: str) -> None:
    order = place(desk, limit="50")
    desk.venue.words[desk.venue.by_client(order.client_id).id] = word
    assert fetched(desk, order).status == "open"


def test_every_word_of_the_library_is_known() -> None:
    from alpaca.trading.enums import OrderStatus

    assert {str(word.value) for word in OrderStatus} == answers.OPEN | answers.ENDED.keys() | {"replaced"}


def test_a_word_nobody_knows_is_no_answer(desk: AlpacaDesk) -> None:
    order = place(desk, limit="50")
    desk.venue.words[desk.venue.by_client(order.client_id).id] = "a_new_word"
    unavailable(lambda: desk.broker.fetch_order(order.client_id))
    unavailable(desk.broker.open_orders)


@pytest.mark.parametrize("ended", ["rejected", "expired", "canceled"])
def test_what_ends_at_the_venue_after_it_was_accepted_ends_here(ours: AlpacaDesk, ended: str) -> None:
    order = place(ours, limit="50")
    row = ours.venue.by_client(order.client_id)
    row.status, ours.venue.words[row.id] = "expired", ended
    assert reconciliation.reconcile(ours.account, clock.now() + timedelta(minutes=1)).ok
    order.refresh_from_db()
    assert order.status == ("expired" if ended == "expired" else "cancelled")


# --- Lists ------------------------------------------------------------------------------------------------------


def test_open_orders_come_in_pages(desk: AlpacaDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca, "ORDERS_A_PAGE", 3)
    placed = [place(desk, limit="50").client_id for _ in range(7)]
    assert [row.client_id for row in desk.broker.open_orders()] == placed


def test_a_list_without_end_is_no_answer(desk: AlpacaDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alpaca, "ORDERS_A_PAGE", 1)
    monkeypatch.setattr(alpaca, "_MOST_PAGES", 4)
    place(desk, limit="50"), place(desk, limit="50")
    assert len(desk.broker.open_orders()) == 2
    page = json.dumps([desk.venue._json(row) for row in list(desk.venue.book.orders.values())[:1]]).encode()
    desk.venue.faults.append(Fault("/orders", "GET", status=200, body=page, times=99))
    unavailable(desk.broker.open_orders)


def test_an_order_in_money_made_by_hand_does_not_blind_us(desk: AlpacaDesk) -> None:
    order = desk.venue.book.accept("by-hand", "SPY", "buy", D(1), D(50))
    desk.venue.money[order.id] = "50"
    (row,) = desk.broker.open_orders()
    assert (row.client_id, row.quantity) == ("by-hand", 0)


def test_debts_and_short_positions_are_told_below_zero(desk: AlpacaDesk) -> None:
    desk.venue.book.balances = {"USD": D("-12.34"), "SPY": D("-0.5"), "QQQ": D(0)}
    assert desk.broker.balances() == {"USD": D("-12.34"), "SPY": D("-0.5")}


# --- The books --------------------------------------------------------------------------------------------------


def test_a_day_of_trading_leaves_equal_books(ours: AlpacaDesk) -> None:
    bought, resting = place(ours, quantity="3"), place(ours, limit="50", quantity="2")
    ours.fill(resting, D("0.4"))
    assert reconciliation.reconcile(ours.account, clock.now() + timedelta(minutes=1)).caught_up == 2
    report = reconciliation.reconcile(ours.account, clock.now() + timedelta(minutes=2))
    assert report.ok and not Discrepancy.objects.exists()
    assert cash_balances(ours.account.pk) == {"USD": D(9680), "SPY": D("3.4")}
    bought.refresh_from_db(), resting.refresh_from_db()
    assert (bought.status, resting.status) == ("filled", "partially_filled")
    assert Fill.objects.count() == 2 and all(fill.fee == 0 for fill in Fill.objects.all())


def test_an_order_made_by_hand_blocks_the_account(ours: AlpacaDesk) -> None:
    ours.venue.book.accept("by-hand", "SPY", "buy", D(1), D(50))
    report = reconciliation.reconcile(ours.account, clock.now())
    assert not report.ok and [row.kind for row in report.differences] == ["foreign_order"]


# --- About the key, and what is sent ----------------------------------------------------------------------------


def test_the_broker_of_an_account_uses_its_stored_key(ours: AlpacaDesk) -> None:
    broker = brokers.get(ours.account)
    assert isinstance(broker, AlpacaBroker) and broker.balances() == {"USD": D(10000)}


def test_a_stored_key_is_checked(ours: AlpacaDesk) -> None:
    report = venues.check_key(ours.account.name, clock.now())
    assert report.can_trade and not report.can_withdraw and abs(report.clock_offset_s) < 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "ONBOARDING"), ("trading_blocked", True), ("account_blocked", True), ("trade_suspended_by_user", True)],
)  # fmt: skip
def test_an_account_that_may_not_trade_is_told(desk: AlpacaDesk, name: str, value: Any) -> None:
    assert desk.broker.permissions().can_trade
    desk.venue.account[name] = value
    assert not desk.broker.permissions().can_trade


def test_a_wallet_that_can_send_counts_as_withdrawal_for_real_money_only(
    venue: AlpacaVenue, desk: AlpacaDesk, settings: Any
) -> None:
    venue.account["crypto_status"] = "ACTIVE"
    assert not desk.broker.permissions().can_withdraw
    settings.ALPACA_PAPER = False
    broker = AlpacaBroker(desk.account, key=KEY, secret=SECRET, url=venue.url)
    assert broker.permissions().can_withdraw
    venue.account["transfers_blocked"] = True
    assert not broker.permissions().can_withdraw


@pytest.mark.parametrize(
    ("mode", "paper", "address"),
    [("paper", True, "https://paper-api.alpaca.markets"), ("paper", False, "https://paper-api.alpaca.markets"),
     ("live", True, "https://paper-api.alpaca.markets"), ("live", False, "https://api.alpaca.markets")],
)  # fmt: skip
def test_real_money_needs_a_live_account_and_the_owners_word(
    desk: AlpacaDesk, settings: Any, mode: str, paper: bool, address: str
) -> None:
    settings.ALPACA_PAPER = paper
    Account.objects.filter(pk=desk.account.pk).update(mode=mode)
    desk.account.refresh_from_db()
    client = AlpacaBroker(desk.account, key=KEY, secret=SECRET, url="")._client()
    assert str(getattr(client._base_url, "value", client._base_url)) == address


def test_the_secret_is_in_no_answer(desk: AlpacaDesk, caplog: pytest.LogCaptureFixture) -> None:
    desk.venue.faults += [
        Fault("/orders", "POST", status=400, body=error(-9999, f"echo {SECRET} of {KEY}")),
        Fault("/orders", "POST", drop="before"),
    ]
    with caplog.at_level("DEBUG"):
        told = [desk.broker.place(request_of(make(desk))) for _ in range(2)]
    assert all(isinstance(answer, Unknown) for answer in told) and "echo ***" in repr(told)
    assert SECRET not in repr(told) + caplog.text and KEY not in repr(told) + caplog.text


def test_a_redirect_takes_no_keys_elsewhere(desk: AlpacaDesk) -> None:
    elsewhere = (("Location", f"{desk.venue.url}/elsewhere"),)
    desk.venue.faults += [Fault(path, status=307, headers=elsewhere) for path in ("/account", "/orders")]
    unavailable(desk.broker.balances)
    assert isinstance(desk.broker.place(request_of(make(desk))), Unknown)
    assert not any(path == "/elsewhere" for _method, path, _query in desk.venue.requests)


def test_only_the_given_address_is_asked(desk: AlpacaDesk) -> None:
    """The guard in conftest refuses any other connection; each call must reach the venue."""
    before = len(desk.venue.requests)
    desk.broker.balances(), desk.broker.open_orders(), desk.broker.permissions(), desk.broker.clock_offset()
    assert len(desk.venue.requests) == before + 5


def test_the_library_is_imported_for_the_first_call_only() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tradingsite.settings.test'; django.setup();"
        "import assets.trading.brokers.alpaca, assets.markets.feeds.alpaca;"
        "sys.exit('alpaca.trading' in sys.modules or 'alpaca.data' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


# --- Recorded answers of the real venue --------------------------------------------------------------------------


def recorded(name: str) -> Any:
    return json.loads((shared_dir("api-samples") / "alpaca" / name).read_text())["body"]


def test_recorded_orders_are_understood(desk: AlpacaDesk) -> None:
    body = recorded("test_order_routes/test_get_order_by_client_id.json")
    body |= {"client_order_id": "mine", "filled_qty": "0"}
    desk.venue.faults.append(Fault("/orders:by_client_order_id", status=200, body=json.dumps(body).encode()))
    found = desk.broker.fetch_order("mine")
    assert found is not None and found.symbol == body["symbol"] and found.quantity == D(str(body["qty"]))


def test_recorded_balances_are_understood(desk: AlpacaDesk) -> None:
    desk.venue.faults += [
        Fault("/account", status=200, body=json.dumps(recorded("test_account_routes/test_get_account.json")).encode()),
        Fault("/positions", status=200, body=json.dumps(recorded("test_position_routes/test_get_all_positions.json")).encode()),
    ]  # fmt: skip
    assert desk.broker.balances() == {"USD": D("-23140.2"), "AAPL": D(5)}


def test_our_venue_tells_orders_in_the_words_of_the_real_one(desk: AlpacaDesk) -> None:
    order = place(desk, limit="50")
    ours = desk.venue._json(desk.venue.by_client(order.client_id))
    theirs = recorded("test_order_routes/test_market_order.json")
    assert set(ours) <= set(theirs)
    query = desk.venue.parameters(Request("GET", "/v2/orders", "status=open", ""))
    assert query == {"status": "open"}
