"""Orders by hand: seen first, gated like every other, placed once however often the form is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from assets.markets.models import Instrument
from assets.trading.models import Account, Order
from assets.trading.services import fills, ticket
from assets.trading.services.ticket import Ticket
from assets.trading.tests import kit
from assets.trading.tests.kit import MINUTE, D
from tradingsite.foundation import audit, clock
from tradingsite.foundation.errors import Invalid, Refused, RiskRefused
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.testkit import make_user, token_for

pytestmark = pytest.mark.django_db
AT = datetime(2024, 5, 15, 12, tzinfo=UTC)
ME = audit.system("me")
TOKEN = "a" * 32


@pytest.fixture(autouse=True)
def at(settings: Any) -> Iterator[clock.VirtualClock]:
    settings.TRADING_FEED = "replay"
    kit.switch()
    with clock.use(clock.VirtualClock(AT)) as virtual:
        yield virtual


@pytest.fixture
def coin() -> Instrument:
    row = kit.instrument(is_demo=False)
    kit.bars(row, AT - MINUTE, [100.0])
    kit.account(balance="1000", is_demo=False, max_position_ratio=0.5, price_band_ratio=0.05)
    return row


def wanted(coin: Instrument, quantity: str = "2", side: str = "buy", limit: str | None = None) -> Ticket:
    return Ticket(
        instrument_id=coin.pk,
        side=side,
        quantity=D(quantity),
        limit_price=None if limit is None else D(limit),
    )


def test_a_preview_tells_cost_exposure_and_every_rule_and_writes_nothing(coin: Instrument) -> None:
    seen = ticket.preview(wanted(coin), AT)
    assert (seen.price, seen.notional, seen.fee) == (D(100), D(200), D("0.2"))
    assert seen.spread_and_slippage == D("0.2")
    assert (seen.exposure_before, seen.exposure_after) == (D(0), D("0.2"))
    assert seen.denial is None
    assert {name for name, _denial in seen.rules} == {
        "switch", "market", "filters", "band", "rate", "losses", "exposure",
    }  # fmt: skip
    assert not Order.objects.exists()


def test_a_preview_names_the_rule_the_limit_and_the_value(coin: Instrument) -> None:
    denial = ticket.preview(wanted(coin, "6"), AT).denial
    assert denial is not None
    assert (denial.code, denial.limit, denial.value) == ("max_position_ratio", "0.5", "0.60")


def test_an_order_is_placed_once_per_form(coin: Instrument) -> None:
    first = ticket.place(wanted(coin), TOKEN, actor=ME, now=AT)
    again = ticket.place(wanted(coin, "3"), TOKEN, actor=ME, now=AT)
    assert first.pk == again.pk and Order.objects.count() == 1
    assert first.status == "accepted" and first.intent.reasons[0]["code"] == "by_hand"
    assert AuditEvent.objects.filter(action="order.ticket").count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_form_sent_by_four_at_once_is_one_order(coin: Instrument) -> None:
    def send(_n: int) -> int:
        try:
            with clock.use(clock.FixedClock(AT)):
                return ticket.place(wanted(coin), TOKEN, actor=ME, now=AT).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(send, range(4)))) == 1
    assert Order.objects.count() == 1


def test_a_refusal_is_told_kept_and_never_sent(coin: Instrument) -> None:
    for _time in range(2):
        with pytest.raises(RiskRefused, match="0.60") as caught:
            ticket.place(wanted(coin, "6"), TOKEN, actor=ME, now=AT)
        assert caught.value.code == "max-position-ratio"
    order = Order.objects.get()
    assert (order.status, order.sent_at) == ("denied", None)


def test_a_limit_far_beyond_the_market_is_refused(coin: Instrument) -> None:
    with pytest.raises(RiskRefused, match="price_band"):
        ticket.place(wanted(coin, "1", limit="106"), TOKEN, actor=ME, now=AT)


def test_a_quantity_that_is_no_lot_is_said_and_not_rounded(coin: Instrument) -> None:
    with pytest.raises(RiskRefused, match="lot_step"):
        ticket.place(wanted(coin, "1.0005"), TOKEN, actor=ME, now=AT)


def test_closing_passes_while_entries_are_paused_and_opening_does_not(coin: Instrument) -> None:
    held = kit.order(Account.objects.get(), coin, quantity="2", now=AT, status="accepted")
    fills.book(held, "t", D(2), D(100), D(0), "BBB", AT)
    kit.switch("paused")
    assert ticket.place(wanted(coin, "2", "sell"), TOKEN, actor=ME, now=AT).intent.reduces
    with pytest.raises(RiskRefused, match="entries_paused"):
        ticket.place(wanted(coin, "1"), "b" * 32, actor=ME, now=AT)


def test_a_live_account_takes_no_order_by_hand(coin: Instrument) -> None:
    Account.objects.update(mode="live", broker="binance")
    with pytest.raises(Refused, match="paper"):
        ticket.place(wanted(coin), TOKEN, actor=ME, now=AT)


@pytest.mark.parametrize("token", ["", "short", "x" * 65, "not alnum !!!"])
def test_a_form_without_a_token_is_too_old(coin: Instrument, token: str) -> None:
    with pytest.raises(Invalid):
        ticket.place(wanted(coin), token, actor=ME, now=AT)


# --- Page and API -----------------------------------------------------------------------------------------------


@pytest.fixture
def trader() -> Client:
    client = Client()
    client.force_login(make_user("tess", "trader"))
    return client


def test_the_page_places_once_and_leads_to_the_order(coin: Instrument, trader: Client) -> None:
    url = f"/instruments/{coin.pk}/order/"
    page = trader.get(url, {"side": "buy", "quantity": "2"})
    assert page.status_code == 200 and "0.2" in page.content.decode()
    form = {"token": TOKEN, "side": "buy", "quantity": "2", "kind": "market", "limit_price": ""}
    answers = [trader.post(url, form) for _n in range(3)]
    assert {answer.status_code for answer in answers} == {303}
    order = Order.objects.get()
    assert answers[0].headers["Location"] == f"/trading/orders/{order.pk}/"
    assert "Cancel order" in trader.get(f"/trading/orders/{order.pk}/").content.decode()
    assert trader.post(f"/trading/orders/{order.pk}/cancel/").status_code == 303
    order.refresh_from_db()
    assert order.status == "cancelled"


def test_the_page_keeps_what_was_typed_when_it_is_refused(coin: Instrument, trader: Client) -> None:
    url = f"/instruments/{coin.pk}/order/"
    form = {"token": TOKEN, "side": "buy", "quantity": "6", "kind": "market", "limit_price": ""}
    refused = trader.post(url, form)
    html = refused.content.decode()
    assert refused.status_code == 422 and 'value="6"' in html and "max_position_ratio" in html
    assert TOKEN not in html  # what was refused may be sent again
    wrong = trader.post(url, {**form, "quantity": "many", "kind": "limit", "limit_price": "1,234"})
    assert wrong.status_code == 422 and wrong.content.decode().count('aria-invalid="true"') == 2


def test_the_api_wants_a_key_and_places_once(coin: Instrument) -> None:
    client = Client(headers={"Authorization": f"Token {token_for(make_user('tom', 'trader'), 'trade')}"})
    body = json.dumps({"symbol": coin.symbol, "side": "buy", "quantity": "2"})

    def post(**headers: str) -> Any:
        return client.post("/api/orders/", body, content_type="application/json", headers=headers)

    assert post().status_code == 400
    first, again = post(**{"Idempotency-Key": "k-1"}), post(**{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert Order.objects.count() == 1
    pk = Order.objects.get().pk
    cancelled = client.post(f"/api/orders/{pk}/cancel/", "{}", content_type="application/json")
    assert cancelled.json()["status"] == "cancelled"


def test_the_api_tells_rule_limit_and_value(coin: Instrument) -> None:
    client = Client(headers={"Authorization": f"Token {token_for(make_user('tom', 'trader'), 'trade')}"})
    body = json.dumps({"symbol": coin.symbol, "side": "buy", "quantity": "6"})
    answer = client.post(
        "/api/orders/", body, content_type="application/json", headers={"Idempotency-Key": "k-2"}
    )
    problem = answer.json()["params"]
    assert answer.status_code == 422
    assert (problem["rule"], problem["limit"], problem["value"]) == ("max_position_ratio", "0.5", "0.60")
