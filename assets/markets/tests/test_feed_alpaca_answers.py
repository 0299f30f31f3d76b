"""Recorded and crafted answers of Alpaca's data API, read without a network."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from assets.markets.feeds import alpaca_client
from assets.markets.feeds.alpaca_data import parse_bars, parse_snapshots
from tradingsite.foundation.testkit import shared_dir

AT = datetime(2024, 3, 6, 15, 30, 5, tzinfo=UTC)


def ts(at):
    return int(at.timestamp())


def recorded(name):
    return json.loads((shared_dir("api-samples") / "alpaca/test_historical_stock_data" / name).read_text())[
        "body"
    ]


def test_recorded_bars_are_understood():
    page = parse_bars(recorded("test_get_bars.json"))
    bars = page.bars["AAPL"]
    assert bars.ts[0] == ts(datetime(2022, 2, 1, 5, tzinfo=UTC)) and page.token.startswith("QUF")
    assert (bars.open[0], bars.high[0], bars.low[0], bars.close[0], bars.volume[0]) == (
        174, 174.84, 172.31, 174.61, 85998033,
    )  # fmt: skip
    assert np.all(np.diff(bars.ts) == 86400)
    assert set(parse_bars(recorded("test_multisymbol_get_bars.json")).bars) == {"AAPL", "TSLA"}
    assert parse_bars(recorded("test_get_bars_multi_empty_response.json")).bars == {}


def test_recorded_snapshots_are_understood():
    tick = parse_snapshots(recorded("test_get_snapshot.json"))["AAPL"]
    assert (tick.last, tick.bid, tick.ask) == (161.1998, 161.19, 161.2)
    assert tick.at == datetime(2022, 3, 18, 14, 33, 58, 448432, tzinfo=UTC)
    assert tick.change_24h == pytest.approx(161.1998 / 160.62 - 1)
    assert parse_snapshots(recorded("test_get_snapshot_multi_empty_response.json")) == {}


def test_prices_that_are_none_and_books_that_say_nothing_give_no_wrong_quotes():
    good = {"t": "2022-03-18T14:33:58Z", "p": 100}
    found = parse_snapshots(
        {
            "A": None,
            "B": {"latestTrade": None},
            "C": {"latestTrade": good | {"p": 0}},
            "D": {"latestTrade": good | {"t": "noon"}},
            "E": {"latestTrade": good, "latestQuote": {"bp": 101, "ap": 100}, "prevDailyBar": {"c": 0}},
            "F": {"latestTrade": good, "latestQuote": {"bp": 90, "ap": 110}},
            "G": {"latestTrade": good, "latestQuote": {"bp": 0, "ap": 100}},
            "H": {"latestTrade": good, "latestQuote": {"bp": 99.9, "ap": 100.1}},
        }
    )
    assert set(found) == {"E", "F", "G", "H"}
    assert all(
        (found[name].bid, found[name].ask, found[name].change_24h) == (None, None, None) for name in "EFG"
    )
    assert (found["H"].bid, found["H"].ask) == (99.9, 100.1)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 60), ({"Retry-After": "7"}, 7), ({"Retry-After": "99999"}, 600), ({"Retry-After": "0"}, 1),
     ({"X-Ratelimit-Reset": str(ts(AT) + 33)}, 33), ({"X-Ratelimit-Reset": "5"}, 1), ({"Retry-After": "x"}, 60)],
)  # fmt: skip
def test_a_block_lasts_as_long_as_the_venue_says_within_reason(headers, seconds):
    assert alpaca_client.blocked_until(headers, AT) == AT + timedelta(seconds=seconds)
