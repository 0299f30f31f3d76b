"""Real alpaca-py against a data venue on loopback, with everything a venue does wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from assets.markets import conf, feeds, hub, pump, ratelimit
from assets.markets.feeds import alpaca as feed_module
from assets.markets.feeds import alpaca_data
from assets.markets.feeds.alpaca import AlpacaFeed
from assets.markets.feeds.alpaca_data import AlpacaData
from assets.markets.feeds.base import BudgetSpent, FeedError, VenueUnreachable
from assets.markets.models import CalendarDay, Candle, FeedState, Quote, RateBudget
from assets.markets.services import gaps
from assets.markets.testkit.alpaca import KEY, SECRET, LoopbackAlpaca
from assets.markets.testkit.bars import make_instrument
from assets.markets.testkit.venue import Fault, close_at
from tradingsite.foundation import clock

NOW = datetime(2024, 3, 6, 15, 30, tzinfo=UTC)  # a Wednesday, an hour after the opening
AT = NOW + timedelta(seconds=5)
CLOSE = datetime(2024, 3, 6, 21, 0, tzinfo=UTC)


def fund(symbol="SPY", **values):
    return make_instrument(
        symbol, **({"venue": "alpaca", "calendar": "XNYS", "base": symbol, "quote": "USD"} | values)
    )


class World:
    """A venue, a feed and a clock that moves when told."""

    def __init__(self, virtual, venue):
        self.clock, self.venue = virtual, venue
        self.client = AlpacaData(
            replace(conf.read(), alpaca_url=venue.url, alpaca_key=KEY, alpaca_secret=SECRET)
        )
        self.feed = AlpacaFeed(self.client, Random(1))

    def poll(self, **forward):
        if forward:
            self.clock.advance(timedelta(**forward))
        return pump.pump(self.feed, self.clock.now())

    def go_to(self, at):
        self.clock.advance(at - self.clock.now())


@pytest.fixture
def world(db):
    days = [datetime(2024, 2, 19, tzinfo=UTC) + timedelta(days=n) for n in range(20)]
    CalendarDay.objects.bulk_create(
        CalendarDay(
            calendar="XNYS", day=day.date(), open_at=day + timedelta(hours=14, minutes=30),
            close_at=day + timedelta(hours=21),
        )
        for day in days if day.weekday() < 5
    )  # fmt: skip
    with clock.use(clock.VirtualClock(AT)) as virtual, LoopbackAlpaca(virtual.now) as venue:
        yield World(virtual, venue)


def error_of(symbol):
    return FeedState.objects.get(instrument__symbol=symbol).last_error


def ts(at):
    return int(at.timestamp())


# --- Bars -------------------------------------------------------------------------------------------------------


def test_the_first_poll_brings_closed_bars_of_the_hours_and_quotes(world):
    row = fund()
    report = world.poll()
    assert not report.errors and not report.stored.rejected
    newest = Candle.objects.order_by("-open_ts").first()
    assert newest.open_ts == ts(NOW) - 60 and newest.close == close_at(newest.open_ts)
    assert report.stored.inserted >= 1000
    assert all((14, 30) <= (bar.open_at.hour, bar.open_at.minute) < (21, 0) for bar in Candle.objects.all())
    quote = Quote.objects.get(instrument=row)
    assert quote.bid < quote.last < quote.ask and quote.change_24h == pytest.approx(0.025)
    assert RateBudget.objects.get(venue="alpaca-data").used == len(world.venue.requests) == 2


def test_an_idle_poll_asks_for_nothing_and_a_new_minute_once_for_all_funds(world):
    for symbol in ("SPY", "QQQ", "AGG"):
        fund(symbol)
    world.poll()
    asked = world.venue.count("/bars")
    world.poll(seconds=1)
    assert world.venue.count("/bars") == asked == 3  # the first history of each
    report = world.poll(seconds=60)
    assert world.venue.count("/bars") == asked + 1 and report.stored.inserted == 3
    assert world.venue.requests[-2][1]["symbols"].split(",") == ["AGG", "QQQ", "SPY"]


def test_a_bar_is_asked_for_again_when_the_venue_was_not_ready(world):
    fund()
    world.poll()
    world.venue.fault = Fault(missing={ts(NOW)})
    assert world.poll(seconds=60).stored.inserted == 0
    world.venue.fault = Fault()
    assert world.poll(seconds=1).stored.inserted == 0  # a pause first
    assert world.poll(seconds=5).stored.inserted == 1


def test_a_minute_without_a_trade_is_asked_for_a_few_times_only(world):
    fund()
    world.poll()
    asked = world.venue.count("/bars")
    world.venue.fault = Fault(missing={ts(NOW)})
    for _ in range(11):
        world.poll(seconds=5)
    for _ in range(5):
        world.poll(seconds=5)
    assert world.venue.count("/bars") - asked <= 6
    world.venue.fault = Fault()
    assert world.poll(seconds=60).stored.inserted == 2  # the late one comes with the next


def test_a_gap_after_downtime_is_closed_from_its_old_end(world):
    row = fund()
    world.poll()
    world.venue.page = 100
    world.go_to(NOW + timedelta(hours=5, seconds=5))
    inserted = [world.poll(seconds=1).stored.inserted for _ in range(4)]
    assert sum(inserted) == 300 and inserted[0] == 199  # two pages a poll, from the bar that is stored
    assert gaps.find(row, "1m") == []


def test_a_fund_far_behind_does_not_hold_up_the_others(world):
    rows = [fund(symbol) for symbol in ("SPY", "QQQ")]
    world.poll()
    new = [fund(f"NEW{number}") for number in range(10)]
    report = world.poll(seconds=60)
    assert {row.pk for row in rows} <= report.changed
    assert len(report.changed & {row.pk for row in new}) == feed_module._PER_POLL - 1
    world.poll(seconds=1)
    assert Candle.objects.values("instrument").distinct().count() == 12


def test_a_gap_of_the_venue_is_repaired_by_the_back_fill(world):
    row = fund()
    hole = {ts(NOW) - 60 * n for n in range(20, 30)}
    world.venue.fault = Fault(missing=set(hole))
    world.poll()
    found = gaps.find(row, "1m")
    assert [(gap.missing, gap.first_ts, gap.last_ts) for gap in found] == [(10, min(hole), max(hole))]
    world.venue.fault = Fault()
    world.venue.page = 3
    report = gaps.repair(world.feed, found, now=world.clock.now(), guard=lambda: None, limit=1000)
    assert (report.repaired, report.inserted, report.requests) == (1, 10, 4)
    assert gaps.find(row, "1m") == []


def test_history_ends_with_the_newest_closed_bar_and_knows_other_lengths(world):
    row = fund()
    (bars,) = world.feed.history(row, "1m", ts(NOW) - 120, ts(NOW) + 9999, AT)
    assert bars.ts.tolist() == [ts(NOW) - 120, ts(NOW) - 60]
    (days,) = world.feed.history(row, "1d", ts(NOW) - 10 * 86400, ts(NOW), AT)
    assert len(days) == 9 and world.venue.requests[-1][1]["timeframe"] == "1Day"
    assert list(world.feed.history(row, "1m", ts(NOW) + 60, ts(NOW) + 120, AT)) == []


def test_every_length_of_a_bar_has_a_name_there(world):
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

    from assets.markets import timeframes

    units = {
        "m": TimeFrameUnit.Minute,
        "h": TimeFrameUnit.Hour,
        "d": TimeFrameUnit.Day,
        "w": TimeFrameUnit.Week,
    }
    for name in timeframes.NAMES:
        world.venue.recorded["/bars"] = {"bars": {}, "next_page_token": None}
        world.client.bars(["SPY"], name, first_ts=0, last_ts=1)
        assert world.venue.requests[-1][1]["timeframe"] == TimeFrame(int(name[:-1]), units[name[-1]]).value


def test_a_split_of_an_answer_between_two_pages_loses_nothing(world):
    rows = [fund("SPY"), fund("QQQ")]
    world.poll()
    world.venue.page = 4
    report = world.poll(minutes=3)
    assert report.stored.inserted == 6
    assert all(gaps.find(row, "1m") == [] for row in rows)


def test_a_spike_of_the_venue_stays_out(world):
    fund()
    world.venue.fault = Fault(spikes={ts(NOW) - 600: 10.0})
    assert world.poll().stored.rejected == {"spike": 1}


def test_a_frozen_venue_answers_but_the_data_is_stale(world):
    row = fund()
    world.poll()
    world.venue.fault = Fault(frozen_at=AT)
    for _ in range(4):
        assert not world.poll(seconds=60).errors
    assert hub.freshness(row, world.clock.now()).word == "stale"


# --- Hours ------------------------------------------------------------------------------------------------------


def test_after_the_close_the_last_bar_comes_and_then_nothing_is_asked_for(world):
    fund()
    world.go_to(CLOSE - timedelta(seconds=30))
    world.poll()
    assert world.poll(seconds=40).stored.inserted == 1
    assert Candle.objects.order_by("-open_ts").first().open_ts == ts(CLOSE) - 60
    asked = world.venue.count("/bars")
    for _ in range(30):
        world.poll(minutes=20)
    assert world.venue.count("/bars") == asked


def test_what_was_missed_before_the_close_is_fetched_at_the_weekend(world):
    fund()
    world.poll()
    world.go_to(datetime(2024, 3, 9, 12, 0, tzinfo=UTC))  # Saturday
    while world.poll(seconds=1).stored.inserted:
        pass
    assert Candle.objects.order_by("-open_ts").first().open_ts == ts(datetime(2024, 3, 8, 20, 59, tzinfo=UTC))


def test_when_all_markets_are_closed_quotes_are_asked_for_every_minute(world):
    fund()
    world.go_to(CLOSE + timedelta(hours=1))
    world.poll()
    for _ in range(11):
        world.poll(seconds=10)
    assert world.venue.count("/snapshots") == 2


def test_while_a_market_is_open_quotes_are_asked_for_every_three_seconds(world):
    fund()
    for _ in range(13):
        world.poll(seconds=1)
    assert world.venue.count("/snapshots") == 5


# --- What goes wrong --------------------------------------------------------------------------------------------


def test_a_refusal_blocks_all_calls_until_the_venue_says_so(world):
    fund("SPY"), fund("QQQ")
    world.venue.fault = Fault(status=429, retry_after=30)
    assert set(world.poll().errors) == {"SPY", "QQQ"}
    assert "refuses us until" in error_of("QQQ")
    assert len(world.venue.requests) == 1  # the first refusal ended the round, and was not repeated
    world.venue.fault = Fault()
    world.poll(seconds=20)
    assert len(world.venue.requests) == 1
    assert ratelimit.used_ratio("alpaca-data", world.clock.now()) == 1
    assert not world.poll(seconds=11).errors


def test_a_symbol_the_venue_does_not_know_does_not_stop_the_others(world):
    fund("GOOD"), fund("BAD")
    world.venue.unknown = {"BAD"}
    world.poll()
    report = world.poll(seconds=1)
    assert set(report.errors) == {"BAD"} and "does not know BAD" in error_of("BAD")
    assert set(Candle.objects.values_list("instrument__symbol", flat=True)) == {"GOOD"}
    world.venue.unknown = set()
    world.poll(hours=1)
    assert "does not know" in error_of("BAD")
    world.poll(hours=6)
    assert error_of("BAD") == ""


def test_a_fund_without_a_price_is_told(world):
    fund("GOOD"), fund("QUIET")
    world.venue.silent = {"QUIET"}
    report = world.poll()
    assert report.errors == {"QUIET": "Alpaca has no price of QUIET."} and report.quotes == 1


def test_a_server_error_backs_off_with_growing_waits_and_recovers(world):
    fund()
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
    assert error_of("SPY") == ""


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b"{", b"null", b"[]", b'{"code":0}', b'{"bars":[],"next_page_token":null}',
     b'{"bars":{"SPY":[1]},"next_page_token":null}', b'{"bars":{"SPY":[{"t":"noon"}]},"next_page_token":null}',
     b'{"bars":{"SPY":[{"o":1}]},"next_page_token":null}', b'{"bars":{},"next_page_token":7}', b""],
)  # fmt: skip
def test_garbage_is_an_error_and_stores_nothing(world, body):
    fund()
    world.venue.fault = Fault(body=body)
    with pytest.raises(FeedError):
        world.client.bars(["SPY"], "1m", first_ts=0, last_ts=ts(NOW))
    assert "SPY" in world.poll().errors
    assert not Candle.objects.exists()


def test_numbers_that_are_none_go_to_quarantine(world):
    fund()
    rows = [
        {"t": (NOW - timedelta(minutes=n)).isoformat(), "o": 100, "h": 101, "l": 99, "c": 100, "v": 5}
        for n in range(1, 30)
    ]
    rows[3]["c"], rows[5]["h"], rows[7]["v"] = "NaN", None, "abc"
    world.venue.recorded["/bars"] = {"bars": {"SPY": rows}, "next_page_token": None}
    report = world.poll()
    assert (report.stored.inserted, report.stored.rejected) == (26, {"nan": 3})


def test_a_venue_that_hangs_is_left_after_the_deadline(world, monkeypatch):
    monkeypatch.setattr(alpaca_data, "DEADLINE_S", 0.3)
    world.client.quotes(["SPY"])
    world.venue.fault = Fault(hang_s=3)
    with pytest.raises(VenueUnreachable, match="within 0.3 s"):
        world.client.quotes(["SPY"])
    world.venue.fault = Fault()
    assert set(world.client.quotes(["SPY"])) == {"SPY"}


def test_a_venue_that_cannot_be_reached_says_so(world):
    fund()
    world.client._settings = replace(world.client._settings, alpaca_url="http://127.0.0.1:9")
    assert "cannot be reached" in world.poll().errors["SPY"]


def test_our_own_budget_is_kept(world):
    fund()
    ratelimit.configure("alpaca-data", ratelimit.Limit(1, 60))
    ratelimit.record_used("alpaca-data", 1, AT)
    assert "budget" in world.poll().errors["SPY"] and world.venue.requests == []
    with pytest.raises(BudgetSpent):
        world.client.quotes(["SPY"])


# --- Keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["alpaca_key", "alpaca_secret"])
def test_without_keys_nothing_is_asked_for_and_it_is_said(world, missing):
    fund()
    world.client._settings = replace(world.client._settings, **{missing: ""})
    assert "TRADING_ALPACA_KEY" in world.poll().errors["SPY"] and world.venue.requests == []


def test_a_wrong_key_is_said_and_never_shown(world, caplog):
    fund()
    world.client._settings = replace(world.client._settings, alpaca_secret="not-the-secret")
    with caplog.at_level("DEBUG"):
        told = world.poll().errors["SPY"]
    assert "403" in told and "forbidden" in told
    shown = told + caplog.text + repr(world.client._settings)
    assert "not-the-secret" not in shown and KEY not in shown


def test_the_feed_of_that_name_takes_its_keys_from_the_settings(settings, world):
    settings.ALPACA_URL, settings.ALPACA_KEY, settings.ALPACA_SECRET = world.venue.url, KEY, SECRET
    fund()
    feed = feeds.get("alpaca")
    assert isinstance(feed, AlpacaFeed) and "alpaca" in feeds.NAMES
    assert pump.pump(feed, world.clock.now()).errors == {}


def test_a_price_of_the_future_is_taken_for_now(world):
    row = fund()
    venue_now = world.venue.now
    world.venue.now = lambda: venue_now() + timedelta(seconds=20)
    world.poll()
    assert Quote.objects.get(instrument=row).at == AT
