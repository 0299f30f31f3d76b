"""API keys: sealed, bound to their account, never told."""

from __future__ import annotations

import base64
import os
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from assets.trading.brokers import venue_keys
from assets.trading.models import VenueKey
from assets.trading.services import execution, orders, reconciliation, venues
from assets.trading.targets import Target
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import make
from assets.trading.tests.brokers.test_binance import BinanceDesk
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Invalid, NotFound
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.secrets import Undecryptable

pytestmark = pytest.mark.django_db
ALICE = audit.Actor("user", "1", "Alice")
KEY, SECRET = "canary-key-0123456789", "canary-secret-9876543210"


def stored(at: datetime, **values: Any) -> VenueKey:
    return venue_keys.store(kit.account(broker="binance", **values), KEY, SECRET, actor=ALICE, now=at)


def test_what_was_stored_is_read_back(at: datetime) -> None:
    assert venue_keys.read(stored(at).account) == (KEY, SECRET)


def test_no_table_and_no_audit_row_holds_it_in_clear(at: datetime) -> None:
    stored(at)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_key, sealed_secret, hint FROM trading_venuekey")
        row = " ".join(cursor.fetchone())
    told = row + str(list(AuditEvent.objects.values()))
    assert KEY not in told and SECRET not in told and KEY[-4:] in told


def test_a_key_copied_to_another_account_does_not_open(at: datetime) -> None:
    mine = stored(at)
    other = kit.account(name="other", asset_type="other", broker="binance")
    VenueKey.objects.filter(pk=mine.pk).update(account=other)
    with pytest.raises(Undecryptable):
        venue_keys.read(other)


def test_without_a_key_it_says_so(at: datetime) -> None:
    with pytest.raises(NotFound, match="no API key"):
        venue_keys.read(kit.account(broker="binance"))


@pytest.mark.parametrize("wrong", ["", "  ", "two words", "tab\tin", "x" * 257, "new\nline"])
def test_what_cannot_be_a_key_is_refused_and_nothing_is_kept(at: datetime, wrong: str) -> None:
    account = kit.account(broker="binance")
    for key, secret in ((wrong, SECRET), (KEY, wrong)):
        with pytest.raises(Invalid, match="API (key|secret) must be"):
            venue_keys.store(account, key, secret, actor=ALICE, now=at)
    assert not VenueKey.objects.exists() and not AuditEvent.objects.filter(action="venue-key.store").exists()


def test_after_rotation_the_old_key_is_not_needed(at: datetime, settings: Any) -> None:
    row = stored(at)
    newer = base64.urlsafe_b64encode(os.urandom(32)).decode()
    settings.FIELD_ENCRYPTION_KEYS = [newer, *settings.FIELD_ENCRYPTION_KEYS]
    assert venue_keys.rotate() == 1
    settings.FIELD_ENCRYPTION_KEYS = [newer]
    assert venue_keys.read(row.account) == (KEY, SECRET)


def test_a_new_key_takes_the_place_of_the_old_one(at: datetime) -> None:
    row = stored(at)
    venue_keys.store(row.account, KEY + "x", SECRET, actor=ALICE, now=at)
    assert VenueKey.objects.count() == 1 and venue_keys.read(row.account)[0] == KEY + "x"


# --- What a key may do decides whether it is used -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "passes"),
    [
        ({}, True),  # nobody asked yet
        ({"can_withdraw": False}, True),
        ({"can_withdraw": True}, False),
        ({"can_withdraw": None}, False),
        ({"can_read": True}, False),
    ],
)
def test_a_key_that_can_withdraw_sends_nothing(live: BinanceDesk, told: dict[str, Any], passes: bool) -> None:
    assert reconciliation.reconcile(live.account, clock.now()).ok
    VenueKey.objects.update(permissions=told)
    order = orders.send_order(make(live, limit="50").pk, guard=orders.no_guard, now=clock.now())
    assert (order.status, order.status_code) == (
        ("accepted", "") if passes else ("expired", "key_can_withdraw")
    )
    now = clock.now()
    report = execution.execute_targets(
        ctx=kit.context(now), account=live.account, targets=[Target(symbol="BTCUSDT", weight=0.5)], now=now
    )
    assert (
        report.denied == ({} if passes else {"key_can_withdraw": 1}) and len(live.venue.posts()) == 2 * passes
    )


def test_the_check_of_a_key_decides(live: BinanceDesk) -> None:
    assert reconciliation.reconcile(live.account, clock.now()).ok
    live.venue.permissions["enableWithdrawals"] = True
    assert venues.check_key(live.account.name, clock.now()).can_withdraw
    order = orders.send_order(make(live, limit="50").pk, guard=orders.no_guard, now=clock.now())
    assert order.status_code == "key_can_withdraw" and live.venue.posts() == []
