"""Tax lots from real fills: the ledger's result, whatever the method; gains by heading."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from assets.trading.models import Account, Position
from assets.trading.selectors import tax
from assets.trading.services import fills
from assets.trading.tests import kit
from tradingsite.foundation.errors import Invalid, NotFound
from tradingsite.foundation.testkit import make_user

pytestmark = pytest.mark.django_db
AT = datetime(2024, 5, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def account(settings: Any) -> Account:
    """Bought 10 at 100 and 10 at 120, sold 10 at 150, everything with a fee; the rest sold in the next year."""
    settings.TRADING_FEED = "replay"
    row, account = kit.instrument(is_demo=False), kit.account(balance="10000", is_demo=False)
    for day, side, quantity, price in (
        (0, "buy", 10, 100),
        (1, "buy", 10, 120),
        (9, "sell", 10, 150),
        (300, "sell", 10, 90),
    ):
        at = AT + timedelta(days=day)
        order = kit.order(account, row, side, str(quantity), now=at, key=f"o{day}", status="accepted")
        fills.book(order, f"t{day}", D(quantity), D(price), D("1.5"), "BBB", at)
    return account


@pytest.mark.parametrize(
    ("method", "gains"), [("fifo", [497, -303]), ("lifo", [297, -103]), ("hifo", [297, -103])]
)
def test_every_method_ends_with_what_the_ledger_realised(method: str, gains: list[int]) -> None:
    report = tax.report("toy", method)
    assert [lot.gain for lot in report.closed] == [D(gain) for gain in gains]
    position = Position.objects.get()
    assert sum(lot.gain for lot in report.closed) == position.realised - position.fees
    assert report.open == ()


def test_a_year_holds_what_was_closed_in_it() -> None:
    assert len(tax.report("toy", "fifo", 2024).closed) == 1
    assert len(tax.report("toy", "fifo", 2025).closed) == 1
    assert tax.report("toy", "fifo", 2023).closed == ()


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("day", {"2024-05-24": D("398.5"), "2025-03-11": D("-201.5"), "2024-05-15": D("-1.5"), "2024-05-16": D("-1.5")}),
        ("instrument", {"AAABBB": D(194)}),
        ("workflow", {"toy-trading": D(194)}),
        ("asset_type", {"toy": D(194)}),
    ],
)  # fmt: skip
def test_gains_are_told_by_heading(by: str, expected: dict[str, D]) -> None:
    found = tax.gains(by, AT - timedelta(days=1), AT + timedelta(days=400))
    assert {row.key: row.net for row in found} == expected


def test_what_is_not_known_is_said() -> None:
    with pytest.raises(NotFound):
        tax.report("nobody")
    with pytest.raises(Invalid, match="fifo"):
        tax.report("toy", "random")
    with pytest.raises(Invalid, match="day"):
        tax.gains("colour", AT, AT)


def test_the_command_and_the_page_give_the_same_rows() -> None:
    out = io.StringIO()
    call_command("tax_lots", "toy", "--method", "lifo", "--json", stdout=out)
    assert [D(lot["gain"]) for lot in json.loads(out.getvalue())["closed"]] == [D(297), D(-103)]
    out = io.StringIO()
    call_command("tax_lots", "toy", "--method", "lifo", "--csv", stdout=out)
    client = Client()
    client.force_login(make_user("vera"))
    answer = client.get("/trading/lots.csv?account=toy&method=lifo")
    assert b"".join(answer.streaming_content).decode() == out.getvalue()
    assert client.get("/trading/lots.csv?account=toy&method=random").status_code == 400
    assert client.get("/trading/lots.csv?account=nobody").status_code == 404
    html = client.get("/trading/gains/?by=instrument&range=all").content.decode()
    assert "AAABBB" in html
    assert client.get("/trading/gains/?by=colour").status_code == 400


def test_a_wrong_account_leaves_with_4() -> None:
    with pytest.raises((SystemExit, CommandError)) as caught:
        call_command("tax_lots", "nobody")
    assert 4 in (getattr(caught.value, "code", None), getattr(caught.value, "returncode", None))
