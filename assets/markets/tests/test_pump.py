"""The pump: what a feed brings is stored, what fails is noted, nobody stops anybody."""

from datetime import timedelta

import pytest
from django.db import connection

from assets.markets import feeds, pump
from assets.markets.feeds.base import Batch, QuoteTick
from assets.markets.feeds.replay import ReplayFeed
from assets.markets.models import Candle, FeedState, Quote
from assets.markets.services import candles
from assets.markets.testkit.bars import changed, make_instrument, walk
from tradingsite.foundation import clock
from tradingsite.foundation.errors import Invalid

from .conftest import NOW, START

pytestmark = pytest.mark.django_db


class ListFeed:
    name = "list"

    def __init__(self, *batches):
        self.batches = batches
        self.inside: list[bool] = []
        self.forgotten: list[str] = []

    def forget(self, instrument):
        self.forgotten.append(instrument.symbol)

    def poll(self, now):
        for batch in self.batches:
            self.inside.append(connection.in_atomic_block)
            yield batch

    def history(self, *args):
        return ()


def test_bars_quotes_and_states_are_written():
    row = make_instrument()
    quote = QuoteTick(last=101.0, bid=100.9, ask=101.1, at=NOW)
    feed = ListFeed(Batch(instrument=row, timeframe="1m", bars=walk(10, start=START), quote=quote))
    for expected in (10, 0):
        report = pump.pump(feed, NOW)
        assert (report.stored.inserted, report.quotes, report.errors) == (expected, 1, {})
    assert report.changed == set()
    stored = Quote.objects.get(instrument=row)
    assert (stored.last, stored.at, stored.last_bar_ts) == (101.0, NOW, int(START.timestamp()) + 540)
    state = FeedState.objects.get(instrument=row)
    assert (state.feed, state.last_ok_at, state.accepted_count, state.rejected_count) == ("list", NOW, 20, 0)


def test_one_bad_instrument_never_stops_the_others():
    good, bad, worse = make_instrument("AUSDT"), make_instrument("BUSDT"), make_instrument("CUSDT")
    bars = changed(walk(10, start=START), 3, close=float("nan"))
    feed = ListFeed(
        Batch(instrument=bad, timeframe="1m", error="the venue is on fire"),
        Batch(instrument=worse, timeframe="7m", bars=bars),
        Batch(instrument=good, timeframe="1m", bars=bars),
    )
    report = pump.pump(feed, NOW)
    assert set(report.errors) == {"BUSDT", "CUSDT"}
    assert feed.forgotten == ["CUSDT"]
    assert FeedState.objects.get(instrument=bad).last_error == "the venue is on fire"
    assert "7m" in FeedState.objects.get(instrument=worse).last_error
    state = FeedState.objects.get(instrument=good)
    assert (state.accepted_count, state.rejected_count, state.last_error) == (9, 1, "")
    assert Candle.objects.filter(instrument=good).count() == 9


def test_an_error_is_forgotten_when_the_feed_works_again():
    row = make_instrument()
    pump.pump(ListFeed(Batch(instrument=row, timeframe="1m", error="away")), NOW)
    later = NOW + timedelta(seconds=5)
    pump.pump(ListFeed(Batch(instrument=row, timeframe="1m")), later)
    state = FeedState.objects.get(instrument=row)
    assert (state.last_error, state.last_ok_at, state.last_error_at) == ("", later, NOW)


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_feed_may_use_the_network():
    row = make_instrument()
    feed = ListFeed(*(Batch(instrument=row, timeframe="1m", bars=walk(5, start=START)) for _ in range(3)))
    pump.pump(feed, NOW)
    assert feed.inside == [False, False, False]


def test_the_replay_feed_gives_each_stored_bar_once_when_the_clock_passes_its_close():
    row = make_instrument()
    candles.store(row, "1m", walk(120, start=START), source="test", now=NOW)
    feed = ReplayFeed()
    with clock.use(clock.VirtualClock(START + timedelta(minutes=30))) as virtual:
        assert [len(batch.bars) for batch in feed.poll(virtual.now())] == [30]
        assert list(feed.poll(virtual.advance(timedelta(seconds=59)))) == []
        batches = list(feed.poll(virtual.advance(timedelta(seconds=121))))
        assert [len(batch.bars) for batch in batches] == [3]
        assert batches[0].quote.at == START + timedelta(minutes=33)
        report = pump.pump(feed, virtual.advance(timedelta(minutes=5)))
        assert (report.stored.inserted, report.stored.unchanged) == (0, 5)


def test_feeds_are_found_by_name_and_wrong_names_refused():
    assert feeds.get("none").poll(NOW) == ()
    assert {feeds.get(name).name for name in feeds.NAMES} == set(feeds.NAMES)
    with pytest.raises(Invalid, match="simulated, replay, binance, alpaca, fxcm, none"):
        feeds.get("oracle")
