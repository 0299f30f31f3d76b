"""The page of the gate to real money: what it shows, what it asks for, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from assets.trading.models import Account, LiveApproval
from assets.trading.services import live_gate
from assets.trading.tests.brokers.test_binance import ALICE, BinanceDesk
from assets.trading.tests.live_kit import WRONGS, approve, mode, red
from tradingsite.foundation import clock, totp
from tradingsite.foundation.testkit import PASSWORD, make_user
from tradingsite.foundation.tests.test_totp import enrolled

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client: Client, ready: BinanceDesk) -> tuple[Client, str]:
    user = make_user("boss", "admin")
    secret, _codes = enrolled(user, clock.now() - timedelta(minutes=5))
    client.force_login(user)
    return client, secret


def fields(desk: BinanceDesk, secret: str, **values: str) -> dict[str, str]:
    code = totp.code_at(secret, totp.step_of(clock.now()))
    return {"phrase": live_gate.phrase(desk.account), "password": PASSWORD, "code": code, **values}


def test_the_page_switches_with_phrase_password_and_code(
    boss: tuple[Client, str], ready: BinanceDesk
) -> None:
    client, secret = boss
    url = f"/settings/live/{ready.account.pk}/"
    assert client.get(url).content.decode().count("tone-bad") == 0
    assert client.post(url, fields(ready, secret)).status_code == 303
    assert mode(ready) == "live" and "trades real money until" in client.get(url).content.decode()
    assert client.post(f"{url}revoke/").status_code == 303 and mode(ready) == "paper"
    # The code of the switch is used up.
    assert client.post(url, fields(ready, secret)).status_code == 422 and mode(ready) == "paper"


@pytest.mark.parametrize(
    "values", [{"phrase": "yes"}, {"password": "wrong"}, {"code": "000000"}, {"code": ""}], ids=str
)
def test_the_page_refuses_anything_else(
    boss: tuple[Client, str], ready: BinanceDesk, values: dict[str, str]
) -> None:
    client, secret = boss
    assert (
        client.post(f"/settings/live/{ready.account.pk}/", fields(ready, secret, **values)).status_code == 422
    )
    assert mode(ready) == "paper" and not LiveApproval.objects.exists()


@pytest.mark.parametrize(("code", "spoil"), WRONGS[::3])
def test_a_direct_post_with_a_red_condition_is_refused(
    boss: tuple[Client, str], ready: BinanceDesk, code: str, spoil: Callable[[BinanceDesk], Any]
) -> None:
    client, secret = boss
    spoil(ready)
    url = f"/settings/live/{ready.account.pk}/"
    assert client.post(url, fields(ready, secret)).status_code == 422
    html = client.get(url).content.decode()
    assert f'data-check="{code}"' in html and "tone-bad" in html and mode(ready) == "paper"


def test_without_a_second_factor_there_is_no_real_money(client: Client, ready: BinanceDesk) -> None:
    client.force_login(make_user("boss", "admin"))
    values = {"phrase": live_gate.phrase(ready.account), "password": PASSWORD, "code": "123456"}
    answer = client.post(f"/settings/live/{ready.account.pk}/", values)
    assert answer.status_code == 422 and mode(ready) == "paper"


def test_a_workflow_is_approved_on_the_page_with_the_password(
    boss: tuple[Client, str], ready: BinanceDesk
) -> None:
    client, _secret = boss
    url = f"/settings/live/{ready.account.pk}/workflow/"
    assert client.post(url, {"action": "withdraw", "workflow": "toy-trading"}).status_code == 303 and red(
        ready
    ) == {"workflow"}
    assert (
        client.post(url, {"action": "approve", "workflow": "toy-trading", "password": "wrong"}).status_code
        == 422
    )
    assert red(ready) == {"workflow"}
    assert (
        client.post(url, {"action": "approve", "workflow": "toy-trading", "password": PASSWORD}).status_code
        == 303
        and red(ready) == set()
    )


def test_every_page_says_live_while_an_account_is(
    boss: tuple[Client, str], ready: BinanceDesk, settings: Any
) -> None:
    client, _secret = boss
    settings.TRADING_FEED = "replay"
    assert "[PAPER]" in client.get("/about/").content.decode()
    approve(ready)
    for path in (
        "/",
        "/about/",
        "/risk/",
        "/trading/positions/",
        "/settings/brokers/",
        "/alerts/",
        "/workflows/",
    ):
        html = client.get(path).content.decode()
        assert "[LIVE]" in html and "badge-live" in html, path
    live_gate.revoke(Account.objects.get(pk=ready.account.pk), "by hand", actor=ALICE, now=clock.now())
    assert "[PAPER]" in client.get("/about/").content.decode()
