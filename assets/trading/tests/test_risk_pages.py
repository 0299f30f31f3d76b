"""The risk page, its form, the API and the command tell and do the same."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from assets.quant.trailing import StopRule
from assets.trading import registry
from assets.trading.models import Account, LimitChange, ProtectiveStop
from assets.trading.selectors import risk
from assets.trading.services import fills, protective_stops, risk_history
from assets.trading.tests import kit
from assets.trading.tests.kit import MINUTE, D
from tradingsite.foundation import clock
from tradingsite.foundation.testkit import PASSWORD, make_user

pytestmark = pytest.mark.django_db
AT = datetime(2024, 5, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[clock.VirtualClock]:
    settings.TRADING_FEED = "replay"
    tight = registry.StopPolicy(rule=lambda params: StopRule(multiple=1.0, low=0.10, high=0.10))
    monkeypatch.setitem(registry._stops, "toy", tight)
    kit.switch()
    with clock.use(clock.VirtualClock(AT)) as virtual:
        yield virtual


@pytest.fixture
def account() -> Account:
    """1000 of equity, half of it in one coin that swings by a hundredth each hour; its stop is 10 % away."""
    row = kit.instrument(is_demo=False, timeframe="1h")
    kit.bars(
        row, AT - timedelta(hours=200), [99.0 if n % 2 else 100.0 for n in range(199)] + [100.0], volume=1000
    )
    account = kit.account(balance="1000", is_demo=False, max_daily_loss_ratio=0.05, max_position_ratio=0.6)
    order = kit.order(account, row, quantity="5", now=AT - MINUTE, status="accepted")
    fills.book(order, "t1", D(5), D(100), D(0), "BBB", AT)
    protective_stops.keep(AT)
    assert risk_history.note(AT) == 1 and risk_history.note(AT) == 0
    return account


def test_the_figures_are_those_of_a_calculation_by_hand(account: Account) -> None:
    (row,) = risk.assess(AT)
    uses = {use.name: use for use in row.limits}
    assert uses["max_position_ratio"].share == pytest.approx(0.5 / 0.6)
    assert uses["max_position_ratio"].state == "near"
    assert uses["max_leverage"].used == pytest.approx(0.5)
    # Half the equity falls by a hundredth every second hour; a day has 24 of them.
    assert row.value_at_risk == pytest.approx(0.5 * 0.01 * 24**0.5, rel=0.01)
    assert row.shortfall is not None and row.value_at_risk is not None and row.shortfall >= row.value_at_risk
    assert row.parts["stops"] == 0.0
    gains = [case.gain for case in row.stress]
    assert gains[:3] == pytest.approx([-0.05, -0.10, 0.05])
    assert gains[3] == pytest.approx(-0.25)
    assert gains[4] == pytest.approx(-0.5 * (0.10 + 0.02))
    assert sum(case.amount for case in row.stress[:1]) == pytest.approx(D(-50))


def test_without_positions_nothing_is_at_risk() -> None:
    kit.account(is_demo=False)
    (row,) = risk.assess(AT)
    assert (row.score, row.value_at_risk) == (0.0, None)


def test_a_position_without_a_stop_counts_as_such(account: Account) -> None:
    ProtectiveStop.objects.all().delete()
    (row,) = risk.assess(AT)
    assert row.parts["stops"] == pytest.approx(50.0)  # half the equity is invested


def client_of(name: str, role: str) -> Client:
    user = make_user(name, role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def trader() -> Client:
    return client_of("tess", "trader")


def limits_form(account: Account, **values: str) -> dict[str, str]:
    stored = {use.name: use.stored for row in risk.assess(AT) if row.pk == account.pk for use in row.limits}
    plain = {k: str(v) for k, v in stored.items() if not isinstance(v, bool | list)}
    return {**plain, "allowed_symbols": ", ".join(stored["allowed_symbols"]), **values}


def test_the_page_shows_score_limits_and_stress(account: Account, trader: Client) -> None:
    html = trader.get("/risk/").content.decode()
    assert "Risk score" in html and "Every stop is hit" in html and "nearly full" in html
    again = trader.get("/ui/risk/rows/")
    version = again.content.decode().split("?v=")[1].split('"')[0]
    assert trader.get(f"/ui/risk/rows/?v={version}").status_code == 204


def test_a_tighter_limit_needs_no_password(account: Account, trader: Client) -> None:
    answer = trader.post(
        f"/risk/accounts/{account.pk}/limits/", limits_form(account, max_position_ratio="0.55")
    )
    assert answer.status_code == 303
    account.refresh_from_db()
    assert account.max_position_ratio == 0.55


def test_a_looser_limit_asks_for_the_password_keeps_what_was_typed_and_waits(
    account: Account, trader: Client, at: clock.VirtualClock
) -> None:
    at.advance_to(AT + timedelta(minutes=11))  # the login no longer counts as a confirmation
    url, form = f"/risk/accounts/{account.pk}/limits/", limits_form(account, max_position_ratio="0.9")
    refused = trader.post(url, form)
    assert refused.status_code == 422 and 'value="0.9"' in refused.content.decode()
    assert not LimitChange.objects.exists()
    assert trader.post(url, {**form, "password": "wrong"}).status_code == 422
    assert trader.post(url, {**form, "password": PASSWORD}).status_code == 303
    account.refresh_from_db()
    assert account.max_position_ratio == 0.6
    change = LimitChange.objects.get()
    assert "becomes 0.9" in trader.get("/risk/").content.decode()
    assert trader.post(f"/risk/changes/{change.pk}/withdraw/").status_code == 303


def test_a_wrong_number_is_said_at_its_field(account: Account, trader: Client) -> None:
    form = limits_form(account, max_position_ratio="much", max_orders_per_day="-1")
    answer = trader.post(f"/risk/accounts/{account.pk}/limits/", form)
    assert answer.status_code == 422 and 'aria-invalid="true"' in answer.content.decode()


def test_a_viewer_may_look_and_not_change(account: Account) -> None:
    client = client_of("vera", "viewer")
    assert client.get("/risk/").status_code == 200
    assert client.post(f"/risk/accounts/{account.pk}/limits/", limits_form(account)).status_code == 403


def test_the_command_says_the_same_and_changes_limits(account: Account) -> None:
    out = io.StringIO()
    call_command("risk", "--json", stdout=out)
    (row,) = json.loads(out.getvalue())["accounts"]
    assert row["score"] == pytest.approx(risk.assess(AT)[0].score)
    out = io.StringIO()
    call_command(
        "risk",
        "--account",
        "toy",
        "--set",
        "max_position_ratio=0.9",
        "--set",
        "max_orders_per_day=9",
        "--json",
        stdout=out,
    )
    told = json.loads(out.getvalue())
    assert (told["applied"], told["waiting"]) == (["max_orders_per_day"], ["max_position_ratio"])
