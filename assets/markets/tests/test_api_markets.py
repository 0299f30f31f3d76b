"""Instruments and candles over HTTP: closed bars only, contiguous pages, nothing from the other world."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from assets.markets import hub
from assets.markets.models import Instrument, Quote
from assets.markets.services import candles
from assets.markets.testkit.bars import make_instrument, walk
from tradingsite.foundation.testkit import token_for


@pytest.fixture
def api(charlie: Any) -> Client:
    return Client(headers={"Authorization": f"Token {token_for(charlie, 'read')}"})


@pytest.fixture
def coin(at: datetime, db: Any) -> Instrument:
    """100 minutes of bars, the newest one open when we look."""
    row = make_instrument("AAAUSDT", is_demo=True)
    candles.store(row, "1m", walk(100, start=at - timedelta(minutes=100)), source="test", now=at)
    return row


def test_candles_come_in_columns_oldest_first_and_equal_the_hub(
    coin: Instrument, api: Client, at: datetime
) -> None:
    told = api.get("/api/candles/?instrument=AAAUSDT&limit=10").json()
    expected = hub.series(coin, "1m", end=at, limit=10)
    assert (told["instrument"], told["tf"], told["seconds"]) == ("AAAUSDT", "1m", 60)
    assert told["ts"] == expected.ts.tolist() and told["ts"] == sorted(told["ts"])
    for name in ("open", "high", "low", "close", "volume"):
        assert told[name] == getattr(expected, name).tolist()
    assert told["ts"][-1] + 60 <= at.timestamp()
    assert api.get("/api/market/candles?instrument=AAAUSDT&limit=10").json() == told


def test_older_pages_join_without_gap_or_repetition(coin: Instrument, api: Client) -> None:
    seen: list[int] = []
    query: str | None = "?instrument=AAAUSDT&limit=30"
    pages = 0
    while query:
        told = api.get(f"/api/candles/{query}").json()
        seen = told["ts"] + seen
        query = told["older"]
        pages += 1
    assert pages == 4
    assert seen == [seen[0] + 60 * index for index in range(100)]


def test_a_longer_timeframe_is_computed_from_closed_bars(coin: Instrument, api: Client) -> None:
    told = api.get("/api/candles?instrument=AAAUSDT&tf=15m").json()
    assert told["seconds"] == 900 and len(told["ts"]) >= 5
    assert all(ts % 900 == 0 for ts in told["ts"])


def test_candles_have_an_etag_that_lasts_until_the_next_bar(
    coin: Instrument, api: Client, at: datetime
) -> None:
    url = "/api/candles?instrument=AAAUSDT&before=2024-05-14T11:30:00Z"
    tag = api.get(url).headers["ETag"]
    assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
    newest = "/api/candles?instrument=AAAUSDT"
    tag = api.get(newest).headers["ETag"]
    candles.store(coin, "1m", walk(101, start=at - timedelta(minutes=101)), source="test", now=at)
    assert api.get(newest, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "pointer"),
    [
        ("", 400, "?instrument"),
        ("?instrument=AAAUSDT&tf=7m", 400, "?tf"),
        ("?instrument=AAAUSDT&limit=5001", 400, "?limit"),
        ("?instrument=AAAUSDT&before=noon", 400, "?before"),
        ("?instrument=AAAUSDT&symbol=x", 400, "?symbol"),
        ("?instrument=NOPE", 404, None),
    ],
)
def test_wrong_questions_about_candles_are_told(
    coin: Any, api: Client, query: str, status: int, pointer: Any
) -> None:
    response = api.get(f"/api/candles{query}")
    assert response.status_code == status
    assert pointer is None or response.json()["errors"][0]["pointer"] == pointer


def test_instruments_of_the_feed_in_use_are_listed_with_exact_filters_and_freshness(
    coin: Instrument, api: Client, at: datetime, settings: Any
) -> None:
    make_instrument("AAAREAL")
    Quote.objects.create(
        instrument=coin, last=101.5, bid=101.4, ask=101.6, change_24h=0.02, at=at, received_at=at
    )
    [told] = api.get("/api/instruments").json()["results"]
    assert (told["symbol"], told["is_demo"], told["tick_size"], told["fee_rate"]) == (
        "AAAUSDT",
        True,
        "0.01",
        "0.001",
    )
    assert told["price"] == {
        "bid": 101.4,
        "ask": 101.6,
        "last": 101.5,
        "at": "2024-05-14T12:00:00Z",
        "change_24h": 0.02,
    }
    assert (told["is_open"], told["freshness"]) == (True, "fresh")
    assert [row["symbol"] for row in api.get("/api/instruments?demo=false").json()["results"]] == ["AAAREAL"]
    settings.TRADING_FEED = "none"
    [real] = api.get("/api/instruments").json()["results"]
    assert (real["symbol"], real["price"], real["freshness"]) == ("AAAREAL", None, "missing")
    assert api.get("/api/instruments/AAAUSDT/").json()["symbol"] == "AAAUSDT"
    assert api.get("/api/instruments/NOPE").status_code == 404
    assert api.get("/api/instruments?q=real").json()["results"][0]["symbol"] == "AAAREAL"
