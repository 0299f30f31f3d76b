"""Limits: tighter at once, looser later and only with the password; protections a person lets go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assets.quant.protections import Rules
from assets.trading import registry
from assets.trading.models import Account, EquityPoint, LimitChange
from assets.trading.rates import Rates
from assets.trading.services import fills, limits, risk_facts
from assets.trading.tests import kit
from assets.trading.tests.kit import MINUTE, D
from tradingsite.foundation import audit
from tradingsite.foundation.errors import Conflict, Invalid, NotFound
from tradingsite.foundation.models import AuditEvent

pytestmark = pytest.mark.django_db
AT = datetime(2024, 5, 15, 12, tzinfo=UTC)
ME = audit.system("me")


def changed(values: dict[str, Any], *, now: datetime = AT, **more: Any) -> limits.Outcome:
    return limits.change(Account.objects.get().pk, values, actor=ME, now=now, **more)


@pytest.fixture(autouse=True)
def account() -> Account:
    return kit.account(max_position_ratio=0.5, max_daily_loss_ratio=0.05)


def test_what_tightens_counts_at_once_and_is_audited() -> None:
    outcome = changed({"max_position_ratio": 0.2, "max_order_notional": "500", "max_orders_per_day": 10})
    assert set(outcome.applied) == {"max_position_ratio", "max_order_notional", "max_orders_per_day"}
    row = Account.objects.get()
    assert (row.max_position_ratio, row.max_order_notional, row.max_orders_per_day) == (0.2, D(500), 10)
    event = AuditEvent.objects.filter(action="limits.change").first()
    assert event is not None and event.before == {"max_orders_per_day": 0}


def test_without_the_password_nothing_is_loosened_and_nothing_else_changed() -> None:
    with pytest.raises(Conflict, match="password"):
        changed({"max_order_notional": "500", "max_position_ratio": 0.6})
    row = Account.objects.get()
    assert (row.max_position_ratio, row.max_order_notional) == (0.5, D(0))
    assert not LimitChange.objects.exists()


def test_what_loosens_waits_ten_minutes() -> None:
    assert changed({"max_position_ratio": 0.6}, may_loosen=True).waiting == ("max_position_ratio",)
    assert limits.apply_due(AT + timedelta(minutes=10, seconds=-1)) == 0
    assert Account.objects.get().max_position_ratio == 0.5
    assert limits.apply_due(AT + timedelta(minutes=10)) == 1
    assert Account.objects.get().max_position_ratio == 0.6
    assert limits.apply_due(AT + timedelta(minutes=20)) == 0


def test_a_newer_wish_replaces_one_that_waits() -> None:
    changed({"max_position_ratio": 0.9}, may_loosen=True)
    changed({"max_position_ratio": 0.4})
    assert limits.apply_due(AT + timedelta(hours=1)) == 0
    assert Account.objects.get().max_position_ratio == 0.4


def test_a_waiting_change_can_be_taken_back_once() -> None:
    changed({"max_position_ratio": 0.9}, may_loosen=True)
    pk = LimitChange.objects.get().pk
    limits.withdraw(pk, actor=ME, now=AT)
    with pytest.raises(Conflict):
        limits.withdraw(pk, actor=ME, now=AT)
    assert limits.apply_due(AT + timedelta(hours=1)) == 0


@pytest.mark.parametrize(
    ("values", "is_looser"),
    [
        ({"max_daily_loss_ratio": 0}, True),  # 0 switches it off
        ({"max_daily_loss_ratio": 0.04}, False),
        ({"max_orders_per_day": 1000}, False),  # there was no limit
        ({"allows_short": True}, True),
        ({"allowed_symbols": ["AAABBB"]}, False),
    ],
)
def test_what_is_looser(values: dict[str, Any], is_looser: bool, settings: Any) -> None:
    settings.TRADING_FEED = "simulated"
    kit.instrument()
    assert bool(limits.loosening(Account.objects.get().pk, values)) == is_looser


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"max_position_ratio": 0}, "between 0.001 and 100"),
        ({"max_position_ratio": "NaN"}, "number"),
        ({"max_orders_per_minute": 1.5}, "whole number"),
        ({"allows_short": "yes"}, "yes or no"),
        ({"allowed_symbols": ["NOPE"]}, "NOPE"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_bad_value_names_the_field_and_the_range(values: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid, match=text) as caught:
        changed(values, may_loosen=True)
    assert caught.value.errors[0]["pointer"] == f"#/{next(iter(values))}"


def test_an_unknown_account_is_said() -> None:
    with pytest.raises(NotFound):
        limits.change(99, {}, actor=ME, now=AT)


# --- Protections ------------------------------------------------------------------------------------------------


def close_at_a_loss(account: Account, *, at: datetime, number: int, slug: str) -> None:
    """Bought at 100, sold at 90."""
    row = kit.instrument(f"C{number:02}BBB")
    buy = kit.order(account, row, quantity="1", now=at, key=f"b{number}", status="accepted")
    fills.book(buy, f"b{number}", D(1), D(100), D(0), "BBB", at)
    sell = kit.order(
        account,
        row,
        "sell",
        quantity="1",
        now=at,
        key=f"s{number}",
        status="accepted",
        reduces=True,
        slug=slug,
    )
    fills.book(sell, f"s{number}", D(1), D(90), D(1), "BBB", at)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = registry.AccountSpec(
        asset_type="toy", currency="BBB", opening_balance=D(1),
        protections=Rules(cooldown_s=60, stops=2, stops_within_s=3600, stops_lock_s=7200),
    )  # fmt: skip
    monkeypatch.setitem(registry._specs, "toy", spec)


def test_closed_trades_say_what_they_cost_and_who_closed_them(account: Account) -> None:
    close_at_a_loss(account, at=AT, number=1, slug=risk_facts.STOP_SLUG)
    (trade,) = risk_facts.closed_trades([account], AT - MINUTE, AT)[account.pk]
    assert (trade.subject, trade.by_stop, trade.gain) == ("C01BBB", True, pytest.approx(-0.11))


@pytest.mark.usefixtures("guarded")
def test_two_stops_lock_the_account_until_a_person_lets_go(account: Account) -> None:
    for number in (1, 2):
        close_at_a_loss(account, at=AT, number=number, slug=risk_facts.STOP_SLUG)
    later = AT + 2 * MINUTE
    (lock,) = risk_facts.in_force(account, later)
    assert (lock.kind, lock.subject) == ("stop_guard", "*")
    with pytest.raises(Invalid, match="reason"):
        limits.release(account.pk, "stop_guard", "*", actor=ME, now=later, reason=" ")
    limits.release(account.pk, "stop_guard", "*", actor=ME, now=later, reason="a wick on one venue")
    assert risk_facts.in_force(account, later) == ()
    assert AuditEvent.objects.filter(action="protection.release").exists()


@pytest.mark.usefixtures("guarded")
def test_losses_a_strategy_took_lock_only_their_instrument(account: Account) -> None:
    for number in (1, 2):
        close_at_a_loss(account, at=AT, number=number, slug="toy-trading")
    assert {(lock.kind, lock.subject) for lock in risk_facts.in_force(account, AT)} == {
        ("cooldown", "C01BBB"), ("cooldown", "C02BBB"),
    }  # fmt: skip
    assert risk_facts.in_force(account, AT + MINUTE) == ()


def test_the_other_accounts_of_the_same_mode_and_world_count(account: Account) -> None:
    def other(name: str, *, equity: str, exposure: str, **values: Any) -> None:
        row = kit.account(name=name, **values)
        EquityPoint.objects.create(
            account=row,
            at=AT,
            equity=D(equity),
            cash=D(0),
            unrealised=D(0),
            exposure=D(exposure),
            peak=D(equity),
        )

    other("same", equity="2000", exposure="500", asset_type="t2")
    other("real", equity="9", exposure="9", asset_type="t3", is_demo=False)
    other("live", equity="9", exposure="9", asset_type="t4", mode="live")
    other("yen", equity="9", exposure="9", asset_type="t5", currency="JPY")
    kit.account(
        name="new", asset_type="t6", balance="100"
    )  # no point yet: its opening balance, nothing invested
    found = risk_facts._others(account, Rates("BBB", []))
    assert (found.equity, found.exposure) == (D(2100), D(500))
