"""The commands about venues: what they print, how they leave, and what they never print."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command

from assets.trading.models import Discrepancy, VenueKey
from assets.trading.tests.brokers.desk import D
from assets.trading.tests.brokers.test_binance import BinanceDesk
from assets.trading.tests.venues.binance import KEY, SECRET, BinanceVenue, Fault
from tradingsite.foundation import clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BinanceDesk]:
    with BinanceVenue(clock.RealClock().now) as venue:
        settings.BINANCE_URL = venue.url
        made = BinanceDesk(venue)
        venue.book.balances = {"USDT": made.account.opening_balance}
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n{SECRET}\n"))
        assert manage("venue_key", "store", made.account.name)[0] == 0
        yield made


def manage(*arguments: str) -> tuple[int, dict[str, Any]]:
    out, code = io.StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out, stderr=io.StringIO())
    except SystemExit as e:
        code = int(e.code or 0)
    assert KEY not in out.getvalue() and SECRET not in out.getvalue()
    return code, json.loads(out.getvalue())


def test_a_stored_key_works_and_is_checked(desk: BinanceDesk) -> None:
    code, told = manage("venue_key", "check", desk.account.name)
    assert code == 0 and told["can_trade"] and not told["can_withdraw"] and abs(told["clock_offset_s"]) < 5
    assert VenueKey.objects.get().permissions["can_trade"] is True


def test_a_key_that_can_withdraw_is_refused(desk: BinanceDesk) -> None:
    desk.venue.permissions["enableWithdrawals"] = True
    assert manage("venue_key", "check", desk.account.name)[0] == 5


def test_an_unknown_account_is_not_found(desk: BinanceDesk) -> None:
    assert manage("venue_key", "check", "nobody")[0] == 4


@pytest.mark.parametrize("typed", ["", "one\n", "one\ntwo\nthree\n"])
def test_anything_but_two_lines_is_refused(
    desk: BinanceDesk, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    before = VenueKey.objects.values().get()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert manage("venue_key", "store", desk.account.name)[0] == 2
    assert VenueKey.objects.values().get() == before


def test_reconcile_leaves_by_what_it_found(desk: BinanceDesk) -> None:
    assert manage("reconcile")[0] == 0
    desk.venue.book.balances["USDT"] += D(1)
    code, told = manage("reconcile")
    assert code == 3 and told["accounts"][desk.account.name]["differences"][0]["subject"] == "USDT"
    assert Discrepancy.objects.filter(status="open").count() == 1
    desk.venue.faults.append(Fault("/openOrders", status=503, times=5))
    assert manage("reconcile")[0] == 75
