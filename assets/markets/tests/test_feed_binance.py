"""Real ccxt against a venue on loopback, with everything a venue does wrong."""

import json
from dataclasses import replace
from datetime import timedelta
from random import Random

import numpy as np
import pytest

from assets.markets import conf, hub, pump, ratelimit
from assets.markets.feeds.base import FeedError
from assets.markets.feeds.binance import BinanceFeed
from assets.markets.feeds.binance_client import (
    BinanceClient,
    BudgetSpent,
    VenueUnreachable,
    parse_klines,
    parse_tickers,
    redirect,
)
from assets.markets.models import Candle, FeedState, Quote, RateBudget, RejectedCandle
from assets.markets.services import gaps
from assets.markets.testkit.bars import make_instrument
from assets.markets.testkit.venue import Fault, LoopbackVenue, close_at
from tradingsite.foundation import clock
from tradingsite.foundation.testkit import shared_dir

from .conftest import NOW

AT = NOW + timedelta(seconds=5)


class World:
    """A venue, a feed and a clock that moves when told."""

    def __init__(self, virtual, venue):
        self.clock, self.venue = virtual, venue
        settings = replace(conf.read(), binance_url=venue.url, binance_timeout_s=2.0)
        self.client = BinanceClient(settings)
        self.feed = BinanceFeed(self.client, Random(1))

    def poll(self, **forward):
        if forward:
            self.clock.advance(timedelta(**forward))
        return pump.pump(self.feed, self.clock.now())


@pytest.fixture
def world(db):
    with clock.use(clock.VirtualClock(AT)) as virtual, LoopbackVenue(virtual.now) as venue:
        yield World(virtual, venue)


def error_of(symbol: str) -> str:
    return FeedState.objects.get(instrument__symbol=symbol).last_error


def test_the_first_poll_brings_closed_candles_quotes_and_the_used_weight(world):
    row = make_instrument()
    report = world.poll()
    assert not report.errors
    assert report.stored.inserted == 999  # 1000 asked for, the unfinished one dropped
    assert not RejectedCandle.objects.exists()
    newest = Candle.objects.order_by("-open_ts").first()
    assert newest.open_ts + 60 == int(NOW.timestamp())
    assert newest.close == close_at(newest.open_ts)
    quote = Quote.objects.get(instrument=row)
    assert quote.bid < quote.last < quote.ask and quote.change_24h == pytest.approx(0.025)
    assert RateBudget.objects.get(venue="binance").used >= world.venue.weight
    assert FeedState.objects.get(instrument=row).accepted_count == 999


def test_an_idle_poll_asks_for_nothing_and_a_new_minute_for_one_bar(world):
    make_instrument()
    world.poll()
    asked = world.venue.count("/klines")
    world.poll(seconds=1)
    assert world.venue.count("/klines") == asked
    report = world.poll(seconds=60)
    assert world.venue.count("/klines") == asked + 1 and report.stored.inserted == 1


def test_a_bar_is_asked_for_again_when_the_venue_was_not_ready(world):
    make_instrument()
    world.poll()
    missing = int(AT.timestamp()) // 60 * 60
    world.venue.fault = Fault(missing={missing})
    assert world.poll(seconds=60).stored.inserted == 0
    world.venue.fault = Fault()
    assert world.poll(seconds=1).stored.inserted == 0  # a pause first
    assert world.poll(seconds=5).stored.inserted == 1


def test_a_gap_after_downtime_is_closed_from_its_old_end(world):
    row = make_instrument()
    world.poll()
    inserted = [world.poll(seconds=1).stored.inserted]
    world.clock.advance(timedelta(minutes=2500))
    inserted += [world.poll(seconds=1).stored.inserted for _ in range(4)]
    assert sum(inserted) == 2500
    assert gaps.find(row, "1m") == []


def test_a_gap_of_the_venue_is_repaired_by_the_back_fill(world):
    row = make_instrument()
    hole = {int(NOW.timestamp()) - 60 * n for n in range(100, 110)}
    world.venue.fault = Fault(missing=set(hole))
    world.poll()
    found = gaps.find(row, "1m")
    assert [(gap.missing, gap.first_ts, gap.last_ts) for gap in found] == [(10, min(hole), max(hole))]
    world.venue.fault = Fault()
    report = gaps.repair(world.feed, found, now=world.clock.now(), guard=lambda: None, limit=1000)
    assert (report.repaired, report.inserted) == (1, 10)
    assert gaps.find(row, "1m") == []


def test_f34_a_frozen_venue_answers_but_the_data_is_stale(world):
    row = make_instrument()
    world.poll()
    world.venue.fault = Fault(frozen_at=AT)
    for _ in range(4):
        report = world.poll(seconds=60)
        assert not report.errors
    assert hub.freshness(row, world.clock.now()).word == "stale"
    assert world.venue.count("/klines") <= 6


def test_f37_a_spike_of_the_venue_stays_out(world):
    make_instrument()
    world.venue.fault = Fault(spikes={int(NOW.timestamp()) - 600: 10.0})
    report = world.poll()
    assert report.stored.rejected == {"spike": 1} and report.stored.inserted == 998


@pytest.mark.parametrize("status", [429, 418])
def test_a_refusal_blocks_all_calls_until_the_venue_says_so(world, status):
    make_instrument("TESTUSDT"), make_instrument("GOODUSDT")
    world.venue.fault = Fault(status=status, retry_after=30)
    assert set(world.poll().errors) == {"TESTUSDT", "GOODUSDT"}
    assert "refuses us until" in error_of("GOODUSDT")
    asked = len(world.venue.requests)
    assert asked == 1  # the first refusal ended the round
    world.venue.fault = Fault()
    world.poll(seconds=20)
    assert len(world.venue.requests) == asked
    assert ratelimit.used_ratio("binance", world.clock.now()) == 1
    assert not world.poll(seconds=11).errors


def test_a_ban_with_its_end_in_the_message_is_kept(world):
    until = AT + timedelta(minutes=7)
    world.venue.fault = Fault(status=418, retry_after=3, banned_until_ms=int(until.timestamp() * 1000))
    with pytest.raises(BudgetSpent):
        world.client.klines("TESTUSDT", "1m", AT, since_ts=None, limit=5)
    assert ratelimit.blocked_until("binance", AT) == until


def test_one_bad_instrument_does_not_stop_the_others(world):
    make_instrument("BADUSDT"), make_instrument("GOODUSDT")
    make_instrument("XXXXUSDT")  # the venue does not know it
    world.venue.fault = Fault(mapping={"BADUSDT": ("BAD", "USDC")})
    report = world.poll()
    assert set(report.errors) == {"BADUSDT", "XXXXUSDT"}
    assert "BAD/USDC, not BAD/USDT" in error_of("BADUSDT") and "does not know" in error_of("XXXXUSDT")
    assert error_of("GOODUSDT") == ""
    assert set(Candle.objects.values_list("instrument__symbol", flat=True)) == {"GOODUSDT"}


def test_a_server_error_backs_off_with_growing_waits_and_recovers(world):
    make_instrument()
    world.venue.fault = Fault(status=500)
    waits = []
    for _ in range(4):
        assert "cannot be reached" in next(iter(world.poll().errors.values()))
        waits.append((world.feed._silent_until - world.clock.now()).total_seconds())
        asked = len(world.venue.requests)
        world.poll(seconds=waits[-1] * 0.9)
        assert len(world.venue.requests) == asked  # silent while waiting
        world.clock.advance(timedelta(seconds=waits[-1] * 0.11))
    for n, wait in enumerate(waits):
        assert 0.75 * 2**n <= wait <= 1.25 * 2**n
    world.venue.fault = Fault()
    assert not world.poll().errors
    assert error_of("TESTUSDT") == ""


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b"{", b"null", b'{"code":0}', b"[[1]]", b'[["x","1","1","1","1","1"]]'],
)
def test_garbage_is_an_error_and_stores_nothing(world, body):
    make_instrument()
    with pytest.raises(FeedError):
        world.venue.fault = Fault(body=body)
        world.client.klines("TESTUSDT", "1m", AT, since_ts=None, limit=5)
    assert "TESTUSDT" in world.poll().errors
    assert not Candle.objects.exists()


def test_f40_numbers_that_are_none_go_to_quarantine(world):
    make_instrument()
    ts = int(NOW.timestamp()) * 1000
    rows = [[ts - 60_000 * n, "100", "101", "99", "100", "5", 0, "", 1, "", "", ""] for n in range(1, 30)]
    rows[3][4], rows[5][2], rows[7][5] = "NaN", None, "abc"
    world.venue.recorded["/klines"] = rows
    report = world.poll()
    assert (report.stored.inserted, report.stored.rejected) == (26, {"nan": 3})


def test_a_venue_that_hangs_is_left_after_the_deadline(world):
    world.client._settings = replace(world.client._settings, binance_timeout_s=0.2)
    world.venue.fault = Fault(hang_s=3)
    with pytest.raises(VenueUnreachable, match="within 0.2 s"):
        world.client.klines("TESTUSDT", "1m", AT, since_ts=None, limit=5)
    world.venue.fault = Fault()
    world.client._settings = replace(world.client._settings, binance_timeout_s=2.0)
    assert len(world.client.klines("TESTUSDT", "1m", AT, since_ts=None, limit=5)) == 5


def test_a_venue_that_cannot_be_reached_says_so(world):
    make_instrument()
    world.client._settings = replace(world.client._settings, binance_url="http://127.0.0.1:9")
    assert "cannot be reached" in world.poll().errors["TESTUSDT"]


def test_our_own_budget_is_kept(world):
    make_instrument()
    ratelimit.configure("binance", ratelimit.Limit(21, 60))
    assert "budget" in world.poll().errors["TESTUSDT"]
    assert world.venue.count("/klines") == 0
    assert not Candle.objects.exists()


def test_every_address_of_the_venue_is_redirected():
    urls = {
        "public": "https://api.binance.com/api/v3",
        "deep": {"sapi": "https://api.binance.com/sapi/v1"},
        "n": 1,
    }
    redirect(urls, "http://127.0.0.1:5/")
    assert urls == {
        "public": "http://127.0.0.1:5/api/v3",
        "deep": {"sapi": "http://127.0.0.1:5/sapi/v1"},
        "n": 1,
    }
    client = BinanceClient.__new__(BinanceClient)
    client._settings, client._exchange, client._worker = (
        replace(conf.read(), binance_url="http://127.0.0.1:5"),
        None,
        None,
    )
    assert "binance" not in json.dumps(client._connect().urls["api"])


def test_recorded_candles_of_the_venue_are_understood():
    rows = json.loads(
        (shared_dir("api-samples") / "binance/nautilus_http/http_spot_market_klines.json").read_text()
    )
    bars = parse_klines(rows)
    assert bars.ts[0] == 1634943780 and bars.close[0] == 60719.27 and bars.volume[0] == 21.63272
    assert np.all(np.diff(bars.ts) == 60)


def test_tickers_without_a_price_or_with_a_crossed_book_give_no_wrong_quotes():
    rows = [
        {"symbol": "A", "lastPrice": "0", "closeTime": 1},
        {
            "symbol": "B",
            "lastPrice": "10",
            "bidPrice": "11",
            "askPrice": "9",
            "priceChangePercent": "x",
            "closeTime": 1700000000000,
        },
    ]
    found = parse_tickers(rows)
    assert list(found) == ["B"]
    assert (found["B"].bid, found["B"].ask, found["B"].change_24h) == (None, None, None)
