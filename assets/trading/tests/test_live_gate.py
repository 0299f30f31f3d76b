"""Real money: every condition is needed, at the switch and whenever an order leaves, and what is in doubt ends it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from assets.trading.brokers import venue_keys
from assets.trading.models import Account, LiveApproval
from assets.trading.selectors import live
from assets.trading.services import accounts, execution, limits, live_gate, reconciliation, venues
from assets.trading.targets import Target
from assets.trading.tests import kit
from assets.trading.tests.brokers.test_binance import BinanceDesk
from assets.trading.tests.live_kit import (
    ALICE,
    CODES,
    WRONGS,
    approve,
    drawn_down,
    mode,
    only_simulated,
    other_version,
    paper_trades,
    red,
    send,
    withdrawn,
)
from assets.trading.tests.venues.binance import KEY, SECRET
from tradingsite.foundation import clock
from tradingsite.foundation.errors import NotFound, RiskRefused
from tradingsite.foundation.models import Alert, AuditEvent

pytestmark = pytest.mark.django_db


def test_with_everything_in_order_it_is_switched_for_thirty_days(ready: BinanceDesk) -> None:
    assert red(ready) == set() and {c.code for c in live_gate.checks(ready.account, clock.now())} == CODES
    assert send(ready) == ("expired", "live_not_allowed")
    now = clock.now()
    row = approve(ready, now)
    assert row.expires_at == now + timedelta(days=30)
    account = Account.objects.get(pk=ready.account.pk)
    assert (account.mode, account.state) == ("live", "active")
    assert AuditEvent.objects.filter(action="live.approve").count() == 1
    assert send(ready) == ("accepted", "") and len(ready.venue.posts()) == 1


@pytest.mark.parametrize(("code", "spoil"), WRONGS)
def test_one_red_condition_is_enough_to_refuse(
    ready: BinanceDesk, code: str, spoil: Callable[[BinanceDesk], Any]
) -> None:
    spoil(ready)
    assert red(ready) == {code}
    with pytest.raises(RiskRefused) as refusal:
        approve(ready)
    assert refusal.value.detail["red"] == [code]
    assert mode(ready) == "paper" and not LiveApproval.objects.exists()
    assert send(ready)[1] == "live_not_allowed" and ready.venue.posts() == []


def test_simulated_prices_prove_nothing(ready: BinanceDesk) -> None:
    only_simulated(ready)
    assert live.paper_record("toy") == (0, 0.0) and red(ready) == {"paper"}


@pytest.mark.parametrize(
    ("count", "days", "enough"),
    [(20, 7.0, True), (19, 7.0, False), (20, 6.9, False), (500, 1.0, False), (0, 0, False)],
)
def test_twenty_paper_trades_over_seven_days_are_needed(
    db: Any, count: int, days: float, enough: bool
) -> None:
    account = kit.account(name="venue", broker="binance", mode="paper", is_demo=False)
    paper_trades(clock.now(), count, days)
    found = {check.code: check for check in live_gate.checks(account, clock.now())}
    assert found["paper"].ok is enough, found["paper"].detail


def test_without_the_flag_of_the_server_it_is_refused(ready: BinanceDesk, settings: Any) -> None:
    settings.LIVE_TRADING_ENABLED = False
    assert red(ready) == {"flag"}
    with pytest.raises(RiskRefused):
        approve(ready)


@pytest.mark.parametrize(
    "typed", ["", "yes", "trade real money", "trade real money with other", "TRADE REAL MONEY WITH toy"]
)
def test_another_phrase_is_refused(ready: BinanceDesk, typed: str) -> None:
    with pytest.raises(RiskRefused, match="type exactly"):
        live_gate.approve(ready.account.pk, typed=typed, actor=ALICE, now=clock.now())
    assert mode(ready) == "paper"


def test_a_paper_account_cannot_be_switched(db: Any) -> None:
    account = kit.account()
    with pytest.raises(NotFound):
        live_gate.approve(account.pk, typed=live_gate.phrase(account), actor=ALICE, now=clock.now())


# --- Of sixteen combinations one trades -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "switch", "workflow", "evidence"), list(itertools.product([False, True], repeat=4))
)
def test_of_the_sixteen_combinations_exactly_one_trades(
    ready: BinanceDesk, settings: Any, flag: bool, switch: bool, workflow: bool, evidence: bool
) -> None:
    """What a person can reach by the service, and what somebody reaches who sets the account's switch in the database."""
    settings.LIVE_TRADING_ENABLED = flag
    if not workflow:
        withdrawn(ready)
    if not evidence:
        only_simulated(ready)
    if switch:
        try:
            approve(ready)
        except RiskRefused:
            pass
        Account.objects.filter(pk=ready.account.pk).update(mode="live", state="active")
    ready.account.refresh_from_db()
    sent = send(ready)
    now = clock.now()
    report = execution.execute_targets(
        ctx=kit.context(now), account=ready.account, targets=[Target(symbol="BTCUSDT", weight=0.05)], now=now
    )
    trades = flag and switch and workflow and evidence
    assert len(ready.venue.posts()) == (2 if trades else 0), (sent, report)
    assert sent == (("accepted", "") if trades else ("expired", "live_not_allowed"))
    assert report.denied == ({} if trades else {"live_not_allowed": 1})


@pytest.mark.parametrize(("flag", "workflow"), list(itertools.product([False, True], repeat=2)))
def test_what_is_taken_away_after_the_switch_stops_the_next_order(
    ready: BinanceDesk, settings: Any, flag: bool, workflow: bool
) -> None:
    approve(ready)
    settings.LIVE_TRADING_ENABLED = flag
    if not workflow:
        other_version(ready)
    assert send(ready)[0] == ("accepted" if flag and workflow else "expired")
    assert len(ready.venue.posts()) == (1 if flag and workflow else 0)


# --- It ends --------------------------------------------------------------------------------------------------------


def test_it_expires_by_itself_at_the_second(ready: BinanceDesk, settings: Any) -> None:
    settings.LIVE_FOR = timedelta(days=3)
    now = clock.now()
    assert approve(ready, now).expires_at == now + timedelta(days=3)
    LiveApproval.objects.update(approved_at=now - timedelta(days=3), expires_at=now + timedelta(seconds=30))
    assert send(ready) == ("accepted", "")
    LiveApproval.objects.update(expires_at=now)
    assert send(ready) == ("expired", "live_not_allowed") and len(ready.venue.posts()) == 1
    assert live_gate.review(now) == 1 and mode(ready) == "paper"
    assert LiveApproval.objects.get().reason == "expired"


def _new_key(desk: BinanceDesk) -> None:
    venue_keys.store(desk.account, KEY, SECRET, actor=ALICE, now=clock.now())


def _removed_key(desk: BinanceDesk) -> None:
    venues.remove_key(desk.account.name, actor=ALICE, now=clock.now())


def _looser(desk: BinanceDesk) -> None:
    now = clock.now()
    limits.change(desk.account.pk, {"max_daily_loss_ratio": 0.5}, actor=ALICE, now=now, may_loosen=True)
    limits.apply_due(now + limits.LOOSENS_AFTER)


def _venue_differs(desk: BinanceDesk) -> None:
    desk.venue.book.balances["USDT"] += 1
    reconciliation.reconcile(desk.account, clock.now())


def _halt(desk: BinanceDesk) -> None:
    accounts.set_state(desk.account.pk, "halt", actor=ALICE, now=clock.now())


def _drawdown(desk: BinanceDesk) -> None:
    drawn_down(desk)
    live_gate.review(clock.now())


def _flag_removed(desk: BinanceDesk) -> None:
    from django.conf import settings

    settings.LIVE_TRADING_ENABLED = False
    live_gate.review(clock.now())
    settings.LIVE_TRADING_ENABLED = True


def _workflow_changed(desk: BinanceDesk) -> None:
    other_version(desk)
    live_gate.review(clock.now())


ENDS = [
    ("key", _new_key), ("key", _removed_key), ("limit", _looser), ("discrepancy", _venue_differs), ("halted", _halt),
    ("drawdown", _drawdown), ("flag", _flag_removed), ("workflow", _workflow_changed),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "happens"), ENDS)
def test_what_puts_it_in_doubt_ends_it_and_tells_somebody(
    ready: BinanceDesk, reason: str, happens: Callable[[BinanceDesk], None]
) -> None:
    approve(ready)
    ready.account.refresh_from_db()
    happens(ready)
    account, row = Account.objects.get(pk=ready.account.pk), LiveApproval.objects.get()
    assert (account.mode, row.reason) == ("paper", reason) and account.state in ("reducing", "halted")
    assert Alert.objects.get(code="live-revoked").severity == "critical"
    assert AuditEvent.objects.filter(action="live.revoke", reason=reason).count() == 1
    assert send(ready)[0] == "expired" and ready.venue.posts() == []


def test_a_tighter_limit_does_not_end_it(ready: BinanceDesk) -> None:
    approve(ready)
    limits.change(ready.account.pk, {"max_daily_loss_ratio": 0.01}, actor=ALICE, now=clock.now())
    assert mode(ready) == "live" and live_gate.review(clock.now()) == 0


def test_the_pass_over_all_venues_looks_after_approvals(ready: BinanceDesk, settings: Any) -> None:
    approve(ready)
    settings.LIVE_TRADING_ENABLED = False
    reconciliation.reconcile_all(clock.now())
    assert mode(ready) == "paper"


def test_an_account_read_before_the_switch_is_switched_back_all_the_same(ready: BinanceDesk) -> None:
    stale = Account.objects.get(pk=ready.account.pk)
    approve(ready)
    assert stale.mode == "paper" and live_gate.revoke(stale, "key", actor=ALICE, now=clock.now())
    assert mode(ready) == "paper" and not live_gate.revoke(stale, "key", actor=ALICE, now=clock.now())
