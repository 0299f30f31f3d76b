"""Accounts at venues, their keys and their differences, through pages and API: written, checked, never read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from assets.trading import selectors
from assets.trading.brokers import venue_keys
from assets.trading.models import Account, Discrepancy, VenueKey
from assets.trading.selectors import books
from assets.trading.services import accounts, reconciliation, venues
from assets.trading.tests import kit
from assets.trading.tests.brokers.desk import D
from assets.trading.tests.brokers.test_binance import BinanceDesk
from assets.trading.tests.venues.binance import KEY, SECRET, BinanceVenue, Fault
from tradingsite.foundation import audit, clock
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.testkit import PASSWORD, make_user, token_for

pytestmark = pytest.mark.django_db
ALICE = audit.Actor("user", "1", "Alice")
NEW = {
    "name": "my-binance", "broker": "binance", "asset_type": "forex", "currency": "USDT", "max_order_notional": "100",
    "max_daily_loss_ratio": "0.05", "max_drawdown_ratio": "0.2", "password": PASSWORD,
}  # fmt: skip


@pytest.fixture
def venue(settings: Any) -> Iterator[BinanceVenue]:
    with BinanceVenue(clock.RealClock().now) as found:
        settings.BINANCE_URL, settings.TRADING_FEED = found.url, "replay"
        yield found


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(make_user("boss", "admin"))
    return client


@pytest.fixture
def account(venue: BinanceVenue) -> Account:
    return kit.account(
        currency="USDT", broker="binance", mode="paper", is_demo=False, state="reducing", name="desk"
    )


def store(client: Client, account: Account, **values: str) -> Any:
    form = {"key": KEY, "secret": SECRET, "password": PASSWORD, **values}
    return client.post(f"/settings/brokers/{account.pk}/key/", form)


def test_a_new_account_starts_closed_and_not_live(admin: Client) -> None:
    assert admin.post("/settings/brokers/new/", NEW).status_code == 303
    row = Account.objects.get(name="my-binance")
    assert (row.broker, row.mode, row.state, row.opening_balance) == ("binance", "paper", "reducing", 0)
    assert (row.max_order_notional, row.max_daily_loss_ratio, row.max_drawdown_ratio) == (D(100), 0.05, 0.2)
    assert AuditEvent.objects.filter(action="account.create").count() == 1
    assert "my-binance" in admin.get("/settings/brokers/").content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "My Account"), ("name", ""), ("broker", "paper"), ("broker", "x"), ("asset_type", "x"), ("currency", "usd"),
     ("max_order_notional", "0"), ("max_daily_loss_ratio", "0"), ("max_drawdown_ratio", "1.5"),
     ("max_order_notional", "many"), ("password", "wrong")],
)  # fmt: skip
def test_what_is_wrong_in_the_form_is_marked_and_nothing_is_made(
    admin: Client, field: str, value: str
) -> None:
    answer = admin.post("/settings/brokers/new/", {**NEW, field: value})
    assert answer.status_code == 422 and f'href="#f-{field}"' in answer.content.decode()
    assert not Account.objects.filter(broker="binance").exists()


def test_a_name_is_given_once(admin: Client) -> None:
    assert [admin.post("/settings/brokers/new/", NEW).status_code for _n in range(2)] == [303, 422]


@pytest.mark.parametrize("role", ["viewer", "operator", "trader"])
def test_only_an_administrator_sees_or_changes_accounts_at_venues(
    client: Client, account: Account, role: str
) -> None:
    client.force_login(make_user("other", role))
    assert client.get("/settings/brokers/").status_code == 403
    assert client.post("/settings/brokers/new/", NEW).status_code == 403
    for url in ("key", "key/remove", "check"):
        assert (
            client.post(f"/settings/brokers/{account.pk}/{url}/", {"password": PASSWORD}).status_code == 403
        )
    assert client.get(f"/settings/live/{account.pk}/").status_code == 403
    assert client.post(f"/settings/live/{account.pk}/").status_code == 403


def test_an_idle_venue_account_takes_no_workflow_and_no_total_away_from_paper(venue: BinanceVenue) -> None:
    idle = kit.account(currency="USDT", broker="binance", mode="paper", is_demo=False, name="idle")
    paper = kit.account(currency="USDT", is_demo=False, name="paper")
    assert selectors.account_for("toy").pk == paper.pk
    shown = {book.pk: book.mode for book in books.all_books(clock.now())}
    assert shown == {idle.pk: "off", paper.pk: "paper"}
    assert {(t.mode, t.equity) for t in books.totals(books.all_books(clock.now()))} == {
        ("off", D(10000)), ("paper", D(10000)),
    }  # fmt: skip
    assert len(accounts.ensure_paper_accounts(clock.now(), is_demo=False)) == 4


# --- Keys -----------------------------------------------------------------------------------------------------------


def test_a_stored_key_is_checked_and_only_its_hint_is_shown(admin: Client, account: Account) -> None:
    assert store(admin, account).status_code == 303
    row = VenueKey.objects.get()
    assert row.checked_at and row.permissions["can_trade"] is True and "clock_offset_s" in row.permissions
    for url in (
        "/settings/brokers/",
        f"/settings/brokers/{account.pk}/key/",
        f"/settings/live/{account.pk}/",
    ):
        html = admin.get(url).content.decode()
        assert KEY not in html and SECRET not in html
    assert row.hint in admin.get("/settings/brokers/").content.decode()


def test_a_key_that_can_withdraw_is_refused_and_not_kept(
    admin: Client, account: Account, venue: BinanceVenue
) -> None:
    venue.permissions["enableWithdrawals"] = True
    answer = store(admin, account)
    assert answer.status_code == 422 and "may withdraw" in answer.content.decode()
    assert KEY not in answer.content.decode() and not VenueKey.objects.exists()


def test_without_an_answer_the_key_is_kept_and_its_rights_are_unknown(
    admin: Client, account: Account, venue: BinanceVenue
) -> None:
    venue.faults.append(Fault("/apiRestrictions", status=503, times=9))
    assert store(admin, account).status_code == 303
    assert VenueKey.objects.get().checked_at is None
    assert "unknown" in admin.get("/settings/brokers/").content.decode()


@pytest.mark.parametrize("values", [{"password": "wrong"}, {"key": ""}, {"secret": "two words"}])
def test_without_the_password_or_with_nonsense_nothing_is_stored(
    admin: Client, account: Account, values: dict[str, str]
) -> None:
    assert store(admin, account, **values).status_code == 422
    assert not VenueKey.objects.exists()


def test_a_key_is_removed_with_the_password(admin: Client, account: Account) -> None:
    store(admin, account)
    url = f"/settings/brokers/{account.pk}/key/remove/"
    assert admin.post(url, {"password": "wrong"}).status_code == 422 and VenueKey.objects.exists()
    assert admin.post(url, {"password": PASSWORD}).status_code == 303 and not VenueKey.objects.exists()
    assert AuditEvent.objects.filter(action="venue-key.remove").count() == 1


def test_checking_again_tells_what_the_venue_says_now(
    admin: Client, account: Account, venue: BinanceVenue
) -> None:
    store(admin, account)
    venue.permissions["enableWithdrawals"] = True
    answer = admin.post(f"/settings/brokers/{account.pk}/check/", follow=True)
    assert "may withdraw money" in answer.content.decode()
    assert VenueKey.objects.get().permissions["can_withdraw"] is True


# --- Differences ----------------------------------------------------------------------------------------------------


@pytest.fixture
def differs(account: Account, venue: BinanceVenue) -> Discrepancy:
    venue_keys.store(account, KEY, SECRET, actor=ALICE, now=clock.now())
    venue.book.balances = {"USDT": account.opening_balance + 1}
    assert not reconciliation.reconcile(account, clock.now()).ok
    return Discrepancy.objects.get()


def test_an_open_difference_is_in_the_inbox_and_on_the_positions_page(
    admin: Client, differs: Discrepancy
) -> None:
    html = admin.get("/trading/reconciliation/").content.decode()
    assert "USDT" in html and differs.ours in html and differs.theirs in html
    assert "/trading/reconciliation/" in admin.get("/trading/positions/").content.decode()


def test_without_a_difference_the_positions_page_says_nothing_of_it(admin: Client, account: Account) -> None:
    assert 'href="/trading/reconciliation/"' not in admin.get("/trading/positions/").content.decode()


def test_explaining_needs_a_reason_and_opens_the_way(
    admin: Client, differs: Discrepancy, account: Account
) -> None:
    url = f"/trading/reconciliation/{differs.pk}/resolve/"
    assert admin.post(url, {"action": "ignore", "reason": " "}).status_code == 409
    assert admin.post(url, {"action": "ignore", "reason": "a gift"}).status_code == 303
    assert reconciliation.reconcile(account, clock.now()).ok
    assert admin.post(url, {"action": "ignore", "reason": "again"}).status_code == 409
    assert admin.post(url, {"action": "vanish", "reason": "x"}).status_code == 409


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_explaining_needs_a_trader(client: Client, differs: Discrepancy, role: str) -> None:
    user = make_user("other", role)
    client.force_login(user)
    url = f"/trading/reconciliation/{differs.pk}/resolve/"
    assert client.post(url, {"action": "ignore", "reason": "x"}).status_code == 403
    differs.refresh_from_db()
    assert differs.status == "open"


def test_the_balance_an_account_begins_with_can_be_taken_over(admin: Client, venue: BinanceVenue) -> None:
    admin.post("/settings/brokers/new/", NEW)
    account = Account.objects.get(name="my-binance")
    venue.book.balances = {"USDT": D("1234.5")}
    store(admin, account)
    admin.post(f"/settings/brokers/{account.pk}/check/")
    found = Discrepancy.objects.get(status="open")
    assert "Take over" in admin.get("/trading/reconciliation/").content.decode()
    assert admin.post(f"/trading/reconciliation/{found.pk}/resolve/", {"action": "adopt"}).status_code == 303
    account.refresh_from_db()
    assert account.opening_balance == D("1234.5")
    assert reconciliation.reconcile(account, clock.now()).ok
    assert admin.get("/trading/positions/").status_code == 200 and admin.get("/risk/").status_code == 200


def test_a_later_difference_cannot_be_taken_over(
    admin: Client, differs: Discrepancy, account: Account
) -> None:
    assert (
        admin.post(f"/trading/reconciliation/{differs.pk}/resolve/", {"action": "adopt"}).status_code == 409
    )
    account.refresh_from_db()
    assert account.opening_balance == D(10000)


def test_the_api_lists_and_explains_differences_and_tells_no_secret(differs: Discrepancy, alice: Any) -> None:
    client = Client(headers={"Authorization": f"Token {token_for(alice, 'trade')}"})
    rows = client.get("/api/discrepancies/?status=open").json()["results"]
    assert [(row["subject"], row["theirs"]) for row in rows] == [("USDT", differs.theirs)]
    url = f"/api/discrepancies/{differs.pk}/resolve/"
    for body, status in (
        ({"action": "ignore"}, 409),
        ({"action": "x"}, 400),
        ({"action": "ignore", "reason": "gift"}, 200),
    ):
        assert client.post(url, json.dumps(body), content_type="application/json").status_code == status
    assert client.get("/api/discrepancies/?status=open").json()["results"] == []
    answer = client.get("/api/venue-accounts/")
    (row,) = answer.json()["accounts"]
    assert row["name"] == "desk" and row["key_hint"].endswith(KEY[-4:])
    assert KEY not in answer.content.decode() and SECRET not in answer.content.decode()


def test_the_service_refuses_a_key_that_can_withdraw(venue: BinanceVenue, settings: Any) -> None:
    desk = BinanceDesk(venue)
    venue.permissions["enableWithdrawals"] = None  # type: ignore[assignment]
    with pytest.raises(Exception, match="may withdraw"):
        venues.store_checked(
            desk.account.name, KEY, SECRET, actor=ALICE, now=clock.now() + timedelta(seconds=1)
        )
    assert not VenueKey.objects.exists()
