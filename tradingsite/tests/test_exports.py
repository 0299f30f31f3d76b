"""Files of orders, trades and decisions: everything the filter lets through, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from assets.trading.models import Fill, Order
from assets.trading.selectors import pages as trading
from orchestrator.models import Decision, Workflow
from tradingsite.foundation.web import csv_cell, csv_of
from tradingsite.tests.filled import DECISIONS, TRADES

pytestmark = pytest.mark.django_db


def rows_of(client: Client, path: str) -> list[dict[str, str]]:
    answer = client.get(path)
    assert answer.status_code == 200 and answer.streaming
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(StringIO(answer.getvalue().decode())))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_would_be_a_formula_is_marked_as_text(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (Decimal("-0.00001234"), "-0.00001234"),
        (Decimal("1E+3"), "1000"),
        (-1.5, "-1.5"),
        (None, ""),
        (True, "true"),
        (datetime(2026, 11, 22, 8, 30, tzinfo=UTC), "2026-11-22T08:30:00Z"),
        ("a, b", "a, b"),
    ],
)
def test_numbers_times_and_plain_text_stay_as_they_are(value: Any, cell: str) -> None:
    assert csv_cell(value) == cell


def test_rows_are_read_while_they_are_sent() -> None:
    taken = []

    def rows() -> Any:
        for number in range(3):
            taken.append(number)
            yield (number,)

    lines = iter(csv_of("x.csv", ("n",), rows()))
    assert next(lines) == b"n\r\n" and not taken
    assert next(lines) == b"0\r\n" and taken == [0]


def test_every_order_trade_and_decision_is_in_its_file(filled: Any, bob: Any, client: Client) -> None:
    client.force_login(bob)
    orders = rows_of(client, "/trading/orders.csv")
    assert len(orders) == Order.objects.count() == TRADES
    assert {row["status"] for row in orders} == set(Order.objects.values_list("status", flat=True))
    newest = trading.orders().rows[0]
    assert (orders[0]["id"], Decimal(orders[0]["quantity"])) == (str(newest.pk), newest.quantity)
    assert not rows_of(client, "/trading/orders.csv?scope=active")
    trades = rows_of(client, "/trading/trades.csv")
    assert len(trades) == Fill.objects.count()
    assert [row["at"] for row in trades] == sorted((row["at"] for row in trades), reverse=True)
    workflow = Workflow.objects.get(slug="forex")
    decisions = rows_of(client, f"/decisions.csv?workflow={workflow.pk}&skips=all")
    assert len(decisions) == Decision.objects.filter(workflow=workflow).count() < DECISIONS
    assert all(row["sentence"] and row["decided_at"].endswith("Z") for row in decisions)


def test_a_wrong_filter_is_refused_before_anything_is_sent(bob: Any, client: Client) -> None:
    client.force_login(bob)
    assert client.get("/trading/orders.csv?scope=nonsense").status_code == 400
    assert client.get("/decisions.csv?cause=nonsense").status_code == 400
