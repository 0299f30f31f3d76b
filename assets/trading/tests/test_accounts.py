"""Accounts of the asset types that register one, the broker port, and the checks of the registry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from assets.quant.fills import VenueRules
from assets.trading import brokers, invariants, registry, selectors
from assets.trading.brokers.base import Accepted, OrderRequest, Rejected
from assets.trading.models import Account, Journal
from assets.trading.services import accounts, orders
from assets.trading.tests import kit
from tradingsite.foundation import audit, clock
from tradingsite.foundation import invariants as registered
from tradingsite.foundation.errors import Conflict, Invalid, NotFound
from tradingsite.foundation.transitions import IllegalTransition

SPEC = registry.AccountSpec(
    asset_type="toy", currency="USD", opening_balance=D(5000), allows_short=True, max_leverage=3.0
)


@pytest.fixture
def toy():  # type: ignore[no-untyped-def]
    registry.register_account(SPEC)
    yield
    registry.unregister_account("toy")


def test_an_asset_type_registers_one_account(toy: None) -> None:
    registry.register_account(SPEC)
    with pytest.raises(ValueError, match="twice"):
        registry.register_account(replace(SPEC, currency="EUR"))
    with pytest.raises(ValueError):
        registry.register_account(replace(SPEC, asset_type="toy2", opening_balance=D(0)))


@pytest.mark.django_db
def test_paper_accounts_are_opened_once_with_a_journal(toy: None, at: datetime, settings) -> None:  # type: ignore[no-untyped-def]
    settings.TRADING_FEED = "simulated"
    accounts.ensure_paper_accounts(at, is_demo=True)
    accounts.ensure_paper_accounts(at, is_demo=True)
    accounts.ensure_paper_accounts(at, is_demo=False)
    mine = Account.objects.filter(asset_type="toy")
    assert mine.count() == 2
    assert Journal.objects.filter(account__in=mine).count() == 2
    account = selectors.account_for("toy")
    assert account.is_demo and account.max_leverage == 3.0 and account.mode == "paper"
    assert selectors.cash_balances(account.pk) == {"USD": D(5000)}
    settings.TRADING_FEED = "binance"
    assert not selectors.account_for("toy").is_demo
    with pytest.raises(NotFound):
        selectors.account_for("unheard of")
    assert invariants.cash_follows_from_positions(at) == []


@pytest.mark.django_db
def test_an_account_is_halted_and_activated_only_along_its_table(at: datetime) -> None:
    account = kit.account()
    actor = audit.system("test")
    assert accounts.set_state(account.pk, "halt", actor=actor, now=at).state == "halted"
    with pytest.raises(IllegalTransition):
        accounts.set_state(account.pk, "halt", actor=actor, now=at)
    assert accounts.set_state(account.pk, "activate", actor=actor, now=at).state == "active"
    with pytest.raises(Invalid):
        accounts.set_state(account.pk, "explode", actor=actor, now=at)


def request(**values: object) -> OrderRequest:
    rules = VenueRules(tick_size=D("0.01"), lot_step=D("0.001"), min_quantity=D("0.01"), min_notional=D(5))
    base = OrderRequest(
        client_id="ts1", symbol="A", side="buy", quantity=D(1), limit_price=None, reduces=False,
        valid_until=datetime(2024, 1, 1, tzinfo=UTC), rules=rules, sent_at=clock.now(),
    )  # fmt: skip
    return replace(base, **values)  # type: ignore[arg-type]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"quantity": D("1.0005")}, "filter_lot_step"),
        ({"quantity": D(0)}, "filter_lot_step"),
        ({"quantity": D("0.009")}, "filter_min_quantity"),
        ({"limit_price": D("1.005")}, "filter_tick_size"),
    ],
)
def test_the_paper_venue_refuses_what_a_venue_refuses(
    at: datetime, values: dict[str, object], code: str
) -> None:
    broker = brokers.get(kit.account())
    assert isinstance(broker.place(request()), Accepted)
    assert broker.place(request(**values)) == Rejected(code=code)


@pytest.mark.django_db
def test_the_paper_venue_knows_only_what_it_accepted(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    broker = brokers.get(account)
    kit.order(account, row, now=at, key="a", status="sending")
    rests = kit.order(account, row, now=at, key="b", status="accepted")
    assert broker.fetch_order(orders.working()[0].client_id) is not None
    assert [found.client_id for found in broker.open_orders()] == [rests.client_id]
    assert broker.fetch_order("unheard of") is None
    assert broker.balances() == {"BBB": D(10000)}


@pytest.mark.django_db
def test_an_unknown_broker_is_named(at: datetime) -> None:
    account = kit.account(broker="moon")
    with pytest.raises(Invalid, match="moon"):
        brokers.get(account)


@pytest.mark.django_db
def test_an_order_in_doubt_cannot_be_cancelled(at: datetime) -> None:
    order = kit.order(kit.account(), kit.instrument(), now=at, status="unknown")
    with pytest.raises(Conflict):
        orders.cancel(order.pk, actor=audit.system("test"), now=at)


@pytest.mark.django_db
def test_paper_recovery_closes_what_never_reached_the_book(at: datetime) -> None:
    account, row = kit.account(), kit.instrument()
    kit.bars(row, at - 5 * kit.MINUTE, [100.0] * 5)
    kit.switch()
    kit.order(account, row, now=at - timedelta(seconds=8), key="a", status="sending")
    kit.order(account, row, now=at - timedelta(seconds=3), key="b", status="sending")
    kit.order(account, row, now=at - timedelta(seconds=20), key="c")
    kit.order(account, row, now=at - timedelta(seconds=1), key="d")
    report = orders.recover(at)
    assert (report.expired, report.open, report.sent) == (1, 1, 1)


@pytest.mark.django_db
def test_every_invariant_of_this_room_is_registered_and_holds_in_an_empty_house(at: datetime) -> None:
    codes = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I12", "I15")
    results = registered.run(at, only=codes)
    assert {item.code for item in results} == set(codes)
    assert all(item.ok for item in results), results


@pytest.mark.django_db
def test_limits_are_seen_when_broken(at: datetime) -> None:
    account, row = kit.account(max_order_notional=D(50), max_orders_per_minute=1), kit.instrument()
    kit.order(account, row, now=at, key="a", status="filled")
    kit.order(account, row, now=at, key="b", status="filled")
    found = invariants.limits_hold(at)
    assert len(found) == 3 and "the limit is 50" in found[0] and "2 orders" in found[2]
