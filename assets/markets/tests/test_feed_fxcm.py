"""FXCM's quotes and the bars built from them, against the FIX acceptor on loopback. Time is the venue's, moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.markets import feeds
from assets.markets.feeds.base import Batch
from assets.markets.feeds.fix import line
from assets.markets.feeds.fxcm import FxcmFeed
from assets.markets.models import Candle, Instrument, PriceSide, Quote
from assets.markets.pump import pump
from assets.trading.tests import kit
from assets.trading.tests.venues.fxcm import PASSWORD, SENDER, SUB, USER, FxcmVenue
from assets.trading.tests.venues.fxcm_desk import snapshot

pytestmark = pytest.mark.django_db
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Desk:
    """A feed on one pair. `at` is what the venue's clock says."""

    def __init__(self, venue: FxcmVenue) -> None:
        self.venue, self.at = venue, NOON - timedelta(seconds=30)
        venue.now = lambda: self.at
        self.row = kit.instrument("EURUSD", base="EUR", quote="USD", venue="fxcm", is_demo=False)
        self.feed = feeds.get("fxcm")
        assert isinstance(self.feed, FxcmFeed)

    def poll(self) -> list[Batch]:
        return list(self.feed.poll(self.at))

    def start(self) -> None:
        """Subscribed half a minute before noon; the first whole bar opens at noon."""
        self.poll()
        self.settle()

    def arrive(self) -> None:
        """Everything the venue has sent has arrived, proven by an answer to a test request sent after it."""
        session = self.feed._session
        assert session is not None
        with session.inbox() as inbox:
            session.send("1", [(112, "settle")])
            while (message := inbox.get(timeout=5)) is not None and message.get(112) != "settle":
                pass

    def settle(self) -> list[Batch]:
        self.arrive()
        return self.poll()

    def tick(self, seconds: float, bid: str, ask: str, symbol: str = "EUR/USD", condition: str = "A") -> None:
        """A quote so long after noon, told at once."""
        self.at = max(self.at, NOON + timedelta(seconds=seconds))
        self.venue.tick(symbol, bid, ask, NOON + timedelta(seconds=seconds), condition)

    def bars(self) -> dict[PriceSide, list[tuple[Any, ...]]]:
        found: dict[PriceSide, list[tuple[Any, ...]]] = {}
        for batch in self.settle():
            if len(batch.bars):
                found.setdefault(batch.side, []).extend(batch.bars.rows())
        return found


@pytest.fixture
def desk(settings: Any, tmp_path: Path, db: Any) -> Iterator[Desk]:
    settings.VAR_DIR = tmp_path
    with FxcmVenue(lambda: NOON) as venue:
        settings.FXCM_FIX_HOST, settings.FXCM_FIX_PORT, settings.FXCM_FIX_TARGET_SUB = (
            "127.0.0.1",
            venue.port,
            SUB,
        )
        settings.FXCM_FIX_MD_SENDER, settings.FXCM_FIX_MD_USER = SENDER, USER
        settings.FXCM_FIX_MD_PASSWORD = PASSWORD
        found = Desk(venue)
        yield found
        found.feed.close()
        line.close_all()


def opened(minutes: int) -> int:
    return int((NOON + minutes * MINUTE).timestamp())


def test_quotes_come_with_bid_ask_and_the_venues_time(desk: Desk) -> None:
    desk.start()
    desk.tick(5, "1.1000", "1.1002")
    (batch,) = desk.settle()
    assert batch.quote is not None and (batch.quote.bid, batch.quote.ask) == (1.1, 1.1002)
    assert batch.quote.last == pytest.approx(1.1001) and batch.quote.at == NOON + timedelta(seconds=5)
    (asked,) = desk.venue.of_kind("V")
    assert (asked[55], asked[263], asked[57]) == ("EUR/USD", "1", SUB)


def test_bars_of_both_sides_are_built_and_given_once_they_are_whole(desk: Desk) -> None:
    desk.start()
    for seconds, bid, ask in (
        (1, "1.10", "1.12"),
        (20, "1.15", "1.16"),
        (40, "1.05", "1.07"),
        (59, "1.11", "1.13"),
    ):
        desk.tick(seconds, bid, ask)
    assert desk.bars() == {}
    desk.tick(61, "1.2", "1.3")
    assert desk.bars() == {}  # a late quote of the first minute may still come
    desk.tick(62, "1.2", "1.3")
    assert desk.bars() == {
        PriceSide.BID: [(opened(0), 1.10, 1.15, 1.05, 1.11, 4.0)],
        PriceSide.ASK: [(opened(0), 1.12, 1.16, 1.07, 1.13, 4.0)],
    }
    assert desk.bars() == {}


def test_a_heartbeat_alone_proves_that_a_bar_is_whole(desk: Desk) -> None:
    desk.start()
    desk.tick(10, "1.10", "1.12")
    desk.at = NOON + timedelta(seconds=62)
    desk.venue.line().send("0")
    assert list(desk.bars()) == [PriceSide.BID, PriceSide.ASK]


def test_our_own_clock_closes_no_bar(desk: Desk) -> None:
    desk.start()
    desk.tick(10, "1.10", "1.12")
    assert not any(len(batch.bars) for batch in desk.feed.poll(NOON + timedelta(hours=1)))


def test_the_minute_in_which_we_came_is_left_out(desk: Desk) -> None:
    desk.start()
    desk.tick(-10, "1.10", "1.12")
    desk.tick(65, "1.20", "1.22")
    assert desk.bars() == {}
    desk.tick(125, "1.20", "1.22")
    assert [row[0] for row in desk.bars()[PriceSide.BID]] == [opened(1)]


def test_a_quote_for_a_bar_that_is_out_changes_nothing(desk: Desk) -> None:
    desk.start()
    desk.tick(10, "1.10", "1.12")
    desk.tick(62, "1.20", "1.22")
    assert desk.bars()
    desk.tick(30, "9.00", "9.10")
    desk.tick(125, "1.20", "1.22")
    assert [row[:3] for row in desk.bars()[PriceSide.BID]] == [(opened(1), 1.2, 1.2)]


def test_an_older_quote_does_not_replace_a_newer_one(desk: Desk) -> None:
    desk.start()
    desk.tick(20, "1.20", "1.22")
    desk.tick(10, "1.10", "1.12")
    (batch,) = desk.settle()
    assert batch.quote is not None and batch.quote.bid == 1.2


@pytest.mark.parametrize(
    ("bid", "ask", "condition"),
    [("0", "1.1", "A"), ("1.2", "1.1", "A"), ("-1", "1", "A"), ("1.1", "1.2", "B"), ("NaN", "1.2", "A")],
)
def test_a_quote_that_is_none_is_left_out(desk: Desk, bid: str, ask: str, condition: str) -> None:
    desk.start()
    desk.tick(5, "1.10", "1.12")
    if bid == "NaN":
        pairs = [(262, desk.venue.subscribed["EUR/USD"]), (269, 0), (270, "NaN"), (269, 1), (270, ask)]
        desk.venue.line().send("W", pairs)
    else:
        desk.tick(6, bid, ask, condition=condition)
    (batch,) = desk.settle()
    assert batch.quote is not None and (batch.quote.bid, batch.quote.ask) == (1.1, 1.12)
    desk.tick(62, "1.10", "1.12")
    assert desk.bars()[PriceSide.BID][0][5] == 1.0


def test_a_quote_of_the_future_is_not_ahead_of_us(desk: Desk) -> None:
    desk.start()
    desk.venue.tick("EUR/USD", "1.1", "1.2", NOON + timedelta(hours=1))
    (batch,) = desk.settle()
    assert batch.quote is not None and batch.quote.at == desk.at


def test_when_the_line_breaks_the_bar_that_grew_is_left_out(desk: Desk) -> None:
    desk.start()
    desk.tick(10, "1.10", "1.12")
    desk.settle()
    desk.venue.line().cut()
    session = desk.feed._session
    assert session is not None and session._ended.wait(5)
    assert any(batch.error for batch in desk.poll()) or desk.feed._session is not session
    desk.at = NOON + timedelta(seconds=40)  # the wait after a failure is over
    desk.poll(), desk.settle()
    assert len(desk.venue.of_kind("A")) == 2
    desk.tick(50, "1.10", "1.12"), desk.tick(70, "1.30", "1.32"), desk.tick(125, "1.20", "1.22")
    assert [row[0] for row in desk.bars()[PriceSide.BID]] == [opened(1)]


def test_lost_quotes_are_sent_again_before_a_bar_is_given(desk: Desk) -> None:
    desk.start()
    desk.tick(10, "1.10", "1.12")
    there = desk.venue.line()
    pairs = snapshot(
        desk.venue.subscribed["EUR/USD"], "EUR/USD", kit.D("1.5"), kit.D("1.6"), NOON + timedelta(seconds=20)
    )
    there.send("W", pairs, fault="gap")
    desk.tick(62, "1.20", "1.22")
    desk.venue.wait_for("2")
    assert desk.bars()[PriceSide.BID] == [(opened(0), 1.1, 1.5, 1.1, 1.5, 2.0)]


def test_a_venue_that_is_not_there_is_an_error_with_a_pause(desk: Desk, settings: Any) -> None:
    desk.feed = FxcmFeed()
    settings.FXCM_FIX_PORT = 1
    (batch,) = desk.poll()
    assert "not reached" in batch.error and desk.poll() == []
    desk.at += timedelta(seconds=2)
    assert desk.poll()[0].error


def test_missing_settings_are_named(desk: Desk, settings: Any) -> None:
    settings.FXCM_FIX_MD_PASSWORD = ""
    (batch,) = desk.poll()
    assert "_MD_PASSWORD" in batch.error


def test_what_the_venue_or_we_cannot_name_is_refused_and_the_others_go_on(desk: Desk) -> None:
    for symbol in ("USDJPY", "GER30"):
        kit.instrument(symbol, base=symbol[:3], quote=symbol[3:], venue="fxcm", is_demo=False)
    desk.poll()
    found = {batch.instrument.symbol: batch for batch in desk.settle()}
    assert "Unknown symbol" in found["USDJPY"].error and "no pair" in found["GER30"].error
    assert found["EURUSD"].quote is not None and len(desk.venue.of_kind("V")) == 2


def test_other_venues_and_demo_instruments_are_left_alone(desk: Desk) -> None:
    Instrument.objects.update(is_demo=True)
    kit.instrument("GBPUSD", base="GBP", quote="USD", venue="binance", is_demo=False)
    assert desk.poll() == [] and not desk.venue.received


def test_what_is_not_traded_any_more_is_not_watched(desk: Desk) -> None:
    other = kit.instrument("GBPUSD", base="GBP", quote="USD", venue="fxcm", is_demo=False)
    desk.start()
    assert set(desk.venue.subscribed) == {"EUR/USD", "GBP/USD"}
    Instrument.objects.filter(pk=other.pk).update(is_active=False)
    found = desk.settle()
    desk.arrive()
    assert [batch.instrument for batch in found] == [desk.row] and set(desk.venue.subscribed) == {"EUR/USD"}
    Instrument.objects.update(is_active=False)
    assert desk.poll() == []
    desk.venue.wait_for("5")


def test_the_pump_stores_what_it_brings(desk: Desk) -> None:
    desk.start()
    desk.tick(10, "1.10", "1.12")
    desk.tick(62, "1.20", "1.22")
    desk.settle()
    desk.tick(70, "1.30", "1.32")
    desk.tick(122, "1.40", "1.42")
    desk.arrive()
    report = pump(desk.feed, desk.at)
    assert report.errors == {} and report.quotes == 1 and Quote.objects.get().bid == 1.4
    rows = set(Candle.objects.values_list("side", "open_ts", "close"))
    assert rows == {(PriceSide.BID, opened(1), 1.3), (PriceSide.ASK, opened(1), 1.32)}


def test_it_has_no_history(desk: Desk) -> None:
    assert list(desk.feed.history(desk.row, "1m", 0, 10**9, NOON)) == []
