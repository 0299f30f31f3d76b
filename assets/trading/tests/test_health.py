"""What trading tells the health monitor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from assets.trading import health, invariants
from assets.trading.models import Account, Order
from assets.trading.tests import kit
from orchestrator.health import checks
from tradingsite.foundation import clock

pytestmark = pytest.mark.django_db
NOW = datetime(2024, 5, 14, 12, 0, tzinfo=UTC)


def codes(found: object) -> list[tuple[str, str, str]]:
    return [(f.component, f.subject, f.code) for f in found]  # type: ignore[attr-defined]


def test_the_checks_are_registered() -> None:
    assert {"ledger", "orders", "accounts", "markets"} <= set(checks.registered())


def test_a_sound_ledger_has_no_finding_and_a_broken_one_is_critical(monkeypatch: pytest.MonkeyPatch) -> None:
    kit.account()
    with clock.use(clock.VirtualClock(NOW)) as time:
        check = health.LedgerCheck()
        assert list(check(time.now())) == []
        monkeypatch.setattr(invariants, "journals_balance", lambda now: ["Journal 1 sums to 1 BBB."])
        assert list(check(time.now())) == []  # the answer of a minute ago stands
        time.advance(timedelta(seconds=61))
        found = list(check(time.now()))
    assert codes(found) == [("ledger", "", "unbalanced")]
    assert found[0].severity == "critical"


@pytest.mark.parametrize(
    ("status", "age_s", "found"),
    [("unknown", 14, []), ("unknown", 16, ["in_doubt"]), ("sending", 16, ["in_doubt"]), ("new", 179, []), ("new", 181, ["not_sent"])],
)  # fmt: skip
def test_orders_without_an_answer_are_found_once_they_are_old_enough(
    status: str, age_s: int, found: list[str]
) -> None:
    account, row = kit.account(), kit.instrument()
    order = kit.order(account, row, now=NOW)
    Order.objects.filter(pk=order.pk).update(status=status, created_at=NOW - timedelta(seconds=age_s))
    assert [f.code for f in health.orders_have_answers(NOW)] == found


def test_a_halted_account_is_a_finding() -> None:
    account = kit.account()
    assert list(health.accounts_are_active(NOW)) == []
    Account.objects.filter(pk=account.pk).update(state=Account.State.HALTED)
    assert codes(health.accounts_are_active(NOW)) == [("account", "toy", "halted")]
