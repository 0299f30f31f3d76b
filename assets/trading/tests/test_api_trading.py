"""Trading over HTTP: exact amounts, worlds and modes never mixed, the same numbers as everywhere else."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from assets.trading import selectors
from assets.trading.models import Account
from assets.trading.selectors import books
from assets.trading.services import fills
from assets.trading.tests import kit
from tradingsite.foundation.testkit import token_for

D = Decimal


@pytest.fixture
def api(charlie: Any) -> Client:
    return Client(headers={"Authorization": f"Token {token_for(charlie, 'read')}"})


@pytest.fixture
def toy(at: datetime, db: Any) -> Account:
    """A demo account that bought 2 at 100.5; the newest bar closed at 103."""
    row, account = kit.instrument(), kit.account()
    kit.bars(row, at - timedelta(minutes=5), [100.0, 101.0, 102.0, 103.0, 103.0])
    order = kit.order(account, row, quantity="2", now=at - timedelta(minutes=3), status="accepted")
    fills.book(order, "t-1", D(2), D("100.5"), D("0.201"), "BBB", at - timedelta(minutes=2))
    kit.order(account, row, side="sell", quantity="0.00001234", now=at, key="open", status="accepted")
    return account


def test_amounts_are_exact_text_and_times_are_utc(toy: Account, api: Client) -> None:
    newest, oldest = api.get("/api/orders").json()["results"]
    assert (newest["quantity"], newest["side"], newest["status"]) == ("0.00001234", "sell", "accepted")
    assert (oldest["quantity"], oldest["filled_quantity"], oldest["status"]) == ("2", "2", "filled")
    assert oldest["created_at"] == "2024-05-14T11:57:00Z" and oldest["is_demo"] is True
    [fill] = api.get("/api/fills").json()["results"]
    assert (fill["price"], fill["fee"], fill["fee_asset"], fill["order_id"]) == (
        "100.5",
        "0.201",
        "BBB",
        oldest["id"],
    )


def test_orders_and_fills_can_be_filtered(toy: Account, api: Client) -> None:
    def count(url: str) -> int:
        return len(api.get(url).json()["results"])

    assert count("/api/orders?status=filled") == count("/api/orders?side=sell") == 1
    assert count("/api/orders?since=2024-05-14T12:00:00Z") == 1
    assert count("/api/orders?symbol=AAABBB&workflow=toy-trading&account=toy&mode=paper&asset_type=toy") == 2
    assert (
        count("/api/orders?symbol=NOPE")
        == count("/api/orders?mode=live")
        == count("/api/fills?side=sell")
        == 0
    )
    assert api.get("/api/orders?status=lost").status_code == 400
    assert api.post("/api/orders", {}, content_type="application/json").status_code in (403, 405)


def test_positions_are_valued_at_the_newest_price(toy: Account, api: Client) -> None:
    told = api.get("/api/positions").json()
    [position] = told["results"]
    assert told["is_demo"] is True
    assert (position["quantity"], position["average_price"], position["price"]) == ("2", "100.5", "103")
    assert (position["value"], position["unrealised"], position["fees"]) == ("206", "5", "0.201")
    assert (position["currency"], position["value_in_currency"], position["stale"]) == ("BBB", "206", False)
    assert api.get("/api/positions?symbol=NOPE").json()["results"] == []


def test_the_portfolio_equals_the_books_and_the_ledger(toy: Account, api: Client, at: datetime) -> None:
    [told] = api.get("/api/portfolio").json()["accounts"]
    [book] = books.all_books(at)
    assert D(told["equity"]) == book.equity.equity == selectors.equity(toy, at).equity == D("10004.799")
    assert D(told["cash"]) == selectors.cash_balances(toy.pk)["BBB"] == D("9798.799")
    assert D(told["equity"]) == D(told["cash"]) + D("206")
    assert (told["positions"], told["stale"], told["unconverted"]) == (1, False, [])


def test_demo_and_real_and_paper_and_live_are_never_added_up(
    toy: Account, api: Client, settings: Any
) -> None:
    kit.account(name="real paper", is_demo=False, balance="500")
    kit.account(name="other currency", is_demo=False, balance="70", currency="CCC", asset_type="toy2")
    kit.account(name="live", is_demo=False, balance="900", mode="live")
    demo = api.get("/api/portfolio").json()
    assert (demo["is_demo"], [row["account"] for row in demo["accounts"]]) == (True, ["toy"])
    assert demo["excluded"] == {"reason": "not_demo", "accounts": ["live", "other currency", "real paper"]}
    settings.TRADING_FEED = "none"
    real = api.get("/api/portfolio").json()
    assert (real["is_demo"], real["excluded"]) == (False, {"reason": "demo", "accounts": ["toy"]})
    sums = {
        (total["mode"], total["currency"]): (total["equity"], total["accounts"]) for total in real["totals"]
    }
    assert sums == {("paper", "BBB"): ("500", 1), ("paper", "CCC"): ("70", 1), ("live", "BBB"): ("900", 1)}
    only = api.get("/api/portfolio?mode=live").json()
    assert [row["account"] for row in only["accounts"]] == ["live"] and len(only["totals"]) == 1
    assert (
        api.get("/api/orders").json()["results"] == []
        and len(api.get("/api/orders?demo=true").json()["results"]) == 2
    )
