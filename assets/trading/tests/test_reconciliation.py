"""The venue's books and ours: what was missed is booked once, what cannot be explained blocks and is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from assets.trading import agreement, brokers
from assets.trading.brokers import binance, venue_keys
from assets.trading.models import Account, Discrepancy, Fill, Order
from assets.trading.selectors.valuation import cash_balances
from assets.trading.services import orders, reconciliation
from assets.trading.tests.brokers.desk import D, make, place
from assets.trading.tests.brokers.test_binance import ALICE, BinanceDesk
from assets.trading.tests.venues.binance import KEY, SECRET, BinanceVenue, Fault
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Conflict
from tradingsite.foundation.models import Alert

pytestmark = pytest.mark.django_db


@pytest.fixture
def venue() -> Iterator[BinanceVenue]:
    with BinanceVenue(clock.RealClock().now) as found:
        yield found


@pytest.fixture
def desk(venue: BinanceVenue, db: Any, settings: Any) -> BinanceDesk:
    """An account whose venue holds what its ledger opened with."""
    settings.BINANCE_URL, settings.LIVE_TRADING_ENABLED = venue.url, True
    made = BinanceDesk(venue)
    venue.book.balances = {"USDT": made.account.opening_balance}
    venue_keys.store(made.account, KEY, SECRET, actor=ALICE, now=made.now)
    return made


def reconcile(desk: BinanceDesk, later_s: float = 60.0) -> reconciliation.ReconcileReport:
    """A pass when all is quiet: fills booked just now are old by then."""
    desk.account.refresh_from_db()
    return reconciliation.reconcile(desk.account, clock.now() + timedelta(seconds=later_s))


def is_current(account: Account, now: datetime) -> bool:
    return agreement.is_current(account.broker, account.reconciled_at, now)


def open_kinds(desk: BinanceDesk) -> dict[str, str]:
    return dict(Discrepancy.objects.filter(status="open").values_list("kind", "subject"))


def test_the_broker_of_an_account_uses_its_stored_key(desk: BinanceDesk) -> None:
    broker = brokers.get(desk.account)
    assert isinstance(broker, binance.BinanceBroker) and broker.balances() == {"USDT": D(10000)}


def test_equal_books_make_the_account_current(desk: BinanceDesk) -> None:
    now = clock.now()
    assert not is_current(desk.account, now)
    assert reconciliation.reconcile(desk.account, now).ok
    desk.account.refresh_from_db()
    assert is_current(desk.account, now + agreement.MAX_AGE)
    assert not is_current(desk.account, now + agreement.MAX_AGE + timedelta(seconds=1))
    assert not is_current(desk.account, now - timedelta(seconds=1))


def test_after_a_start_nothing_is_known(desk: BinanceDesk) -> None:
    reconcile(desk)
    assert reconciliation.begin() == 1
    desk.account.refresh_from_db()
    assert not is_current(desk.account, clock.now())


def test_trades_we_missed_are_booked_once(desk: BinanceDesk) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.4"))
    assert reconcile(desk).caught_up == 1
    assert reconcile(desk).caught_up == 0
    desk.fill(order, D("0.6"))
    report = reconcile(desk)
    order.refresh_from_db()
    assert report.ok and order.status == "filled" and Fill.objects.count() == 2
    ours = {asset: amount for asset, amount in cash_balances(desk.account.pk).items() if amount}
    assert ours == desk.broker.balances()


@pytest.mark.parametrize(("ending", "status"), [("cancelled", "cancelled"), ("expired", "expired")])
def test_an_order_the_venue_ended_is_ended_here(desk: BinanceDesk, ending: str, status: str) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.4"))
    desk.venue.book.by_client(order.client_id, "BTCUSDT").status = ending
    assert reconcile(desk).ok
    order.refresh_from_db()
    assert (order.status, order.filled_quantity) == (status, D("0.4"))


def test_a_cancel_that_lost_the_race_ends_as_filled(desk: BinanceDesk) -> None:
    order = place(desk, limit="50")
    Order.objects.filter(pk=order.pk).update(status="cancel_pending")
    desk.fill(order, D(1))
    assert reconcile(desk).ok
    order.refresh_from_db()
    assert order.status == "filled"


def test_an_order_the_venue_does_not_have_is_told_and_blocks(desk: BinanceDesk) -> None:
    order = place(desk, limit="50")
    desk.venue.book.orders.clear()
    report = reconcile(desk)
    assert not report.ok and open_kinds(desk) == {"order_missing": order.client_id}
    desk.account.refresh_from_db()
    assert desk.account.reconciled_at is None
    assert Alert.objects.get(code="books-differ").status == "open"


def test_a_stranger_s_order_is_told_and_not_touched(desk: BinanceDesk) -> None:
    desk.venue.book.accept("web_somebody", "BTCUSDT", "buy", D(1), D(50))
    assert not reconcile(desk).ok and open_kinds(desk) == {"foreign_order": "web_somebody"}
    assert desk.venue.book.count("cancelled", "web_somebody") == 0


def test_an_order_that_arrived_after_we_gave_it_up_is_taken_back(desk: BinanceDesk) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.3"))
    Order.objects.filter(pk=order.pk).update(status="expired")
    assert reconcile(desk).ok
    assert desk.venue.book.count("cancelled", order.client_id) == 1
    assert Fill.objects.get().quantity == D("0.3")


def test_a_balance_that_differs_blocks_until_it_agrees(desk: BinanceDesk) -> None:
    desk.venue.book.balances["USDT"] += D("0.00000001")
    report = reconcile(desk)
    assert not report.ok and report.differences[0].theirs == "10000.00000001"
    desk.venue.book.balances["USDT"] -= D("0.00000001")
    assert reconcile(desk).ok
    assert (
        Discrepancy.objects.get().status == "resolved"
        and Alert.objects.get(code="books-differ").status == "resolved"
    )


def test_while_something_is_in_doubt_balances_prove_nothing(desk: BinanceDesk) -> None:
    assert reconcile(desk).ok
    make(desk, limit="50", status="unknown", sent_at=clock.now())
    desk.venue.book.balances["USDT"] -= 50
    assert reconcile(desk).ok


def test_what_is_ignored_does_not_block_until_it_changes(desk: BinanceDesk) -> None:
    desk.venue.book.balances["BNB"] = D(1)
    reconcile(desk)
    row = Discrepancy.objects.get()
    reconciliation.ignore(row.pk, actor=ALICE, now=clock.now(), reason="a gift for fees")
    assert reconcile(desk).ok
    desk.venue.book.balances["BNB"] = D(2)
    assert not reconcile(desk).ok


def test_ignoring_needs_a_reason_and_what_was_seen(desk: BinanceDesk) -> None:
    desk.venue.book.balances["BNB"] = D(1)
    reconcile(desk)
    row = Discrepancy.objects.get()
    with pytest.raises(Conflict, match="why"):
        reconciliation.ignore(row.pk, actor=ALICE, now=clock.now(), reason="  ")
    reconciliation.ignore(row.pk, actor=ALICE, now=clock.now(), reason="fees")
    with pytest.raises(Conflict, match="changed"):
        reconciliation.ignore(row.pk, actor=ALICE, now=clock.now(), reason="fees")


@pytest.mark.parametrize("path", ["/openOrders", "/account", "/order"])
@pytest.mark.parametrize(
    "fault",
    [Fault(drop="before"), Fault(status=503), Fault(status=200, body=b"null")],
    ids=["cut", "503", "null"],
)
def test_no_answer_changes_nothing(desk: BinanceDesk, path: str, fault: Fault) -> None:
    order = place(desk, limit="50")
    desk.fill(order, D("0.5"))
    reconcile(desk)
    desk.fill(order, D("0.1"))
    before = (Account.objects.get(pk=desk.account.pk).reconciled_at, Discrepancy.objects.count())
    desk.venue.faults.append(Fault(**{**vars(fault), "path": path, "times": 9}))
    report = reconcile(desk)
    assert not report.ok and report.why
    assert (Account.objects.get(pk=desk.account.pk).reconciled_at, Discrepancy.objects.count()) == before


def test_a_restored_older_backup_catches_up_without_sending(desk: BinanceDesk) -> None:
    """The backup knows the order as resting; the venue has filled it since."""
    order = place(desk, limit="50")
    desk.fill(order, D(1))
    sent = len(desk.venue.posts())
    report = reconcile(desk)
    assert report.ok and report.caught_up == 1 and len(desk.venue.posts()) == sent
    assert Decimal(sum(fill.quantity for fill in Fill.objects.all())) == D(1)


def test_paper_needs_no_venue(at: Any, db: Any) -> None:
    from assets.trading.tests import kit

    account = kit.account()
    assert is_current(account, at) and reconciliation.reconcile_all(at) == {}
    assert orders.working(account.pk) == []


def test_a_difference_found_later_blocks_at_once(desk: BinanceDesk) -> None:
    assert reconcile(desk, later_s=0).ok
    desk.venue.book.balances["USDT"] -= 1
    assert not reconcile(desk, later_s=0).ok
    desk.account.refresh_from_db()
    assert not is_current(desk.account, clock.now())


def test_balances_that_were_not_compared_stay_as_they_were_told(desk: BinanceDesk) -> None:
    desk.venue.book.balances["USDT"] -= 1
    reconcile(desk)
    make(desk, limit="50", status="unknown", sent_at=clock.now())
    assert not reconcile(desk).ok and open_kinds(desk) == {"balance": "USDT"}
    row = Discrepancy.objects.get()
    reconciliation.ignore(row.pk, actor=ALICE, now=clock.now(), reason="a fee")
    assert reconcile(desk).ok and Discrepancy.objects.get().status == "ignored"


def test_a_fill_between_the_questions_is_no_difference(desk: BinanceDesk) -> None:
    """It is in the balances and not yet in our books: the next pass books it."""
    order = place(desk, limit="50")
    assert reconcile(desk).ok
    account = desk.venue._account

    def and_fills_meanwhile(query: dict[str, str]) -> Any:
        desk.venue.book.fill(desk.venue.book.by_client(order.client_id, "BTCUSDT"), D("0.5"), D(50))
        desk.venue._account = account  # type: ignore[method-assign]
        return account(query)

    desk.venue._account = and_fills_meanwhile  # type: ignore[method-assign]
    assert reconcile(desk).ok and not Discrepancy.objects.exists()
    assert reconcile(desk).caught_up == 1 and not Discrepancy.objects.exists()


def test_an_account_without_a_key_holds_up_no_other(desk: BinanceDesk) -> None:
    from assets.trading.tests import kit

    kit.account(name="a-keyless", asset_type="other", broker="binance", mode="live", is_demo=False)
    reports = reconciliation.reconcile_all(clock.now())
    assert reports["a-keyless"].why == "no-venue-key" and reports[desk.account.name].ok


# --- What it lets pass --------------------------------------------------------------------------------------------


@pytest.fixture
def priced(desk: BinanceDesk) -> BinanceDesk:
    """Fresh bars at 100 and the switch on."""
    from assets.trading.tests import kit

    minute = clock.now().replace(second=0, microsecond=0)
    kit.bars(desk.instrument, minute - timedelta(minutes=5), [100.0] * 5)
    kit.switch()
    return desk


def test_nothing_leaves_before_the_books_agree(priced: BinanceDesk) -> None:
    order = orders.send_order(make(priced).pk, guard=orders.no_guard, now=clock.now())
    assert (order.status, order.status_code) == ("expired", "not_reconciled") and priced.venue.posts() == []


def test_a_run_s_targets_become_an_order_a_trade_and_a_position_that_equal_the_venue_s(
    priced: BinanceDesk,
) -> None:
    from assets.trading.models import Position
    from assets.trading.services import execution
    from assets.trading.targets import Target
    from assets.trading.tests import kit

    now = clock.now()
    target = Target(symbol="BTCUSDT", weight=0.5, quantity=None, reasons=())
    denied = execution.execute_targets(
        ctx=kit.context(now), account=priced.account, targets=[target], now=now
    )
    assert denied.denied == {"not_reconciled": 1} and priced.venue.posts() == []
    assert reconcile(priced, later_s=0).ok
    later = now + timedelta(seconds=1)
    report = execution.execute_targets(
        ctx=kit.context(later), account=priced.account, targets=[target], now=later
    )
    assert report.sent == 1 and len(priced.venue.posts()) == 1
    assert reconcile(priced).ok
    position = Position.objects.get()
    # The venue keeps its fee in what was bought: 50 less 0.1 %.
    assert position.quantity == priced.broker.balances()["BTC"] == D("49.95")
    ours = {asset: amount for asset, amount in cash_balances(priced.account.pk).items() if amount}
    assert ours == priced.broker.balances()


@pytest.mark.parametrize(
    ("flag", "mode"), [(False, "paper"), (False, "live"), (True, "paper"), ("True", "live"), (1, "live")]
)
def test_without_both_switches_no_real_order_leaves(
    priced: BinanceDesk, settings: Any, flag: object, mode: str
) -> None:
    assert reconcile(priced, later_s=0).ok
    settings.LIVE_TRADING_ENABLED = flag
    Account.objects.filter(pk=priced.account.pk).update(mode=mode)
    order = orders.send_order(make(priced).pk, guard=orders.no_guard, now=clock.now())
    assert (order.status, order.status_code) == ("expired", "live_not_allowed") and priced.venue.posts() == []
