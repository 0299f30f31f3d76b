"""The door to market data: closed bars only, the same from memory, ages by bar time."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.markets import hub, staleness, timeframes
from assets.markets.models import Instrument, PriceSide, Quote
from assets.markets.services import calendar_days, candles
from assets.markets.testkit.bars import make_instrument, walk
from assets.quant import resample
from tradingsite.foundation import clock
from tradingsite.foundation.errors import NotFound

from .conftest import NOW, START

pytestmark = pytest.mark.django_db


def fill(instrument: Instrument, bars, timeframe: str = "1m", side: int = 0, now: datetime = NOW) -> None:
    report = candles.store(instrument, timeframe, bars, side=side, source="test", now=now)
    assert not report.rejected


@pytest.fixture
def instrument():
    row = make_instrument()
    fill(row, walk(1500, start=START))
    return row


def same(a: hub.CandleSeries, b: hub.CandleSeries) -> bool:
    return all(
        np.array_equal(getattr(a, n), getattr(b, n)) for n in ("ts", "open", "high", "low", "close", "volume")
    )


# --- F41 --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    second=st.integers(0, 1600 * 60),
    micro=st.integers(0, 999_999),
    timeframe=st.sampled_from(["1m", "5m", "15m", "1h", "4h"]),
    limit=st.integers(1, 300),
    memory=st.booleans(),
)
def test_f41_nothing_newer_than_the_asking_time_is_seen_and_later_data_changes_nothing(
    instrument, second, micro, timeframe, limit, memory
):
    """Truncation invariance: the answer for `end` equals the answer of a table that stops at `end`."""
    end = START + timedelta(seconds=second, microseconds=micro)
    length = timeframes.seconds(timeframe)
    if memory:
        with hub.preloaded([instrument], START + timedelta(hours=6), NOW):
            found = hub.series(instrument, timeframe, end=end, limit=limit)
    else:
        found = hub.series(instrument, timeframe, end=end, limit=limit)
    assert all(ts + length <= end.timestamp() for ts in found.ts.tolist())
    past = walk(1500, start=START)
    past = past.take(past.ts + 60 <= int(end.timestamp()))
    expected = resample.resample(*past.columns(), length_s=60, target_s=length, end_ts=int(end.timestamp()))
    for mine, theirs in zip(
        (found.ts, found.open, found.high, found.low, found.close), expected, strict=False
    ):
        assert np.array_equal(mine, theirs[-limit:])


def test_f41_a_bar_is_seen_from_the_second_it_closes(instrument):
    closes = START + timedelta(minutes=10)
    before = hub.series(instrument, "1m", end=closes - timedelta(microseconds=1), limit=5)
    after = hub.series(instrument, "1m", end=closes, limit=5)
    assert after.last_ts == before.last_ts + 60 == int(closes.timestamp()) - 60


def test_f41_a_quote_of_the_future_is_not_a_price(instrument):
    now = START + timedelta(hours=3)
    Quote.objects.create(instrument=instrument, last=999.0, at=now + timedelta(seconds=1), received_at=now)
    with clock.use(clock.FixedClock(now)):
        assert hub.price(instrument, now).last < 200


# --- Series -----------------------------------------------------------------------------------------------------


def test_arrays_cannot_be_written_to(instrument):
    series = hub.series(instrument, "1m", end=NOW, limit=5)
    with pytest.raises(ValueError):
        series.close[0] = 1.0
    assert (series.symbol, series.timeframe, len(series)) == ("TESTUSDT", "1m", 5)


def test_a_preloaded_span_gives_the_same_as_the_database_also_before_its_beginning(instrument):
    cases = [("1m", 1, 50), ("1m", 20, 1400), ("5m", 11, 30), ("1h", 23, 100), ("1m", 24, 3)]
    end = [START + timedelta(hours=hour, seconds=17) for _, hour, _ in cases]
    direct = [hub.series(instrument, tf, end=at, limit=n) for (tf, _, n), at in zip(cases, end, strict=True)]
    with hub.preloaded([instrument], START + timedelta(hours=20), NOW):
        inside = [
            hub.series(instrument, tf, end=at, limit=n) for (tf, _, n), at in zip(cases, end, strict=True)
        ]
    assert all(same(a, b) for a, b in zip(direct, inside, strict=True))


def test_a_preloaded_series_needs_no_query(instrument, django_assert_num_queries):
    with hub.preloaded([instrument], START + timedelta(hours=2), NOW), django_assert_num_queries(0):
        assert len(hub.series(instrument, "1m", end=START + timedelta(hours=5), limit=100)) == 100
        assert len(hub.series(instrument, "1h", end=START + timedelta(hours=5), limit=3)) == 3
        assert hub.price(instrument, START + timedelta(hours=5)) is not None
        assert hub.age_s(instrument, START + timedelta(hours=5)) == 0


def test_a_stored_coarse_history_is_continued_with_fine_bars(instrument):
    history = walk(48, start=START - timedelta(hours=40), timeframe="1h", seed=9)
    fill(instrument, history, "1h")
    series = hub.series(instrument, "1h", end=START + timedelta(hours=20, minutes=30), limit=50)
    assert len(series) == 50
    assert np.all(np.diff(series.ts) == 3600)
    stored_until = START + timedelta(hours=8)
    stored = series.ts < int(stored_until.timestamp())
    assert np.array_equal(series.close[stored], history.close[-int(stored.sum()) :])
    fine = hub.series(instrument, "1m", end=START + timedelta(hours=20), limit=1)
    assert series.close[-1] == fine.close[-1]


def test_the_first_bucket_of_a_truncated_history_is_left_out():
    row = make_instrument()
    fill(row, walk(100, start=START + timedelta(minutes=20)))
    series = hub.series(row, "1h", end=NOW, limit=10)
    assert series.ts.tolist() == [int((START + timedelta(hours=1)).timestamp())]


def test_the_middle_of_bid_and_ask_where_no_trades_are_stored():
    row = make_instrument()
    bars = walk(30, start=START)
    fill(row, bars, side=PriceSide.BID)
    ask = type(bars)(
        **{
            n: getattr(bars, n) + (2.0 if n not in ("ts", "volume") else 0)
            for n in ("ts", "open", "high", "low", "close", "volume")
        }
    )
    fill(row, ask.take(slice(5, None)), side=PriceSide.ASK)
    series = hub.series(row, "1m", end=NOW, limit=100)
    assert len(series) == 25
    assert np.allclose(series.close, bars.close[5:] + 1.0)
    assert len(hub.series(row, "1m", end=NOW, limit=100, side=PriceSide.BID)) == 30


def test_no_candles_is_an_empty_series_and_no_price():
    row = make_instrument()
    assert len(hub.series(row, "1h", end=NOW, limit=10)) == 0
    assert hub.price(row, NOW) is None and hub.age_s(row, NOW) is None
    assert hub.freshness(row, NOW).word == staleness.Word.MISSING


def test_many_series_by_id(instrument):
    found = hub.series_many([instrument.pk], "1m", end=NOW, limit=3)
    assert list(found) == [instrument.pk] and len(found[instrument.pk]) == 3


def test_wrong_questions_are_refused(instrument):
    with pytest.raises(timeframes.UnknownTimeframe):
        hub.series(instrument, "7m", end=NOW, limit=1)
    with pytest.raises(ValueError):
        hub.series(instrument, "1m", end=datetime(2024, 3, 4), limit=1)  # noqa: DTZ001
    with pytest.raises(NotFound):
        hub.series(987654, "1m", end=NOW, limit=1)
    with pytest.raises(NotFound):
        hub.by_symbol("NOPE")


# --- Prices -----------------------------------------------------------------------------------------------------


def test_a_price_is_the_newest_of_quote_and_bar(instrument):
    now = START + timedelta(hours=3, seconds=30)
    with clock.use(clock.FixedClock(now)):
        bar = hub.price(instrument, now)
        assert bar.at == START + timedelta(hours=3) and bar.bid < bar.last < bar.ask
        Quote.objects.create(instrument=instrument, last=123.0, bid=122.9, ask=123.2, at=now, received_at=now)
        assert hub.price(instrument, now) == hub.Price(bid=122.9, ask=123.2, last=123.0, at=now)
        later = now + timedelta(minutes=5)
        assert hub.price(instrument, later).at == START + timedelta(hours=3, minutes=5)


def test_in_replay_stored_quotes_do_not_count(instrument):
    now = START + timedelta(hours=3)
    Quote.objects.create(instrument=instrument, last=123.0, at=now, received_at=now)
    with clock.use(clock.VirtualClock(now)):
        assert hub.price(instrument, now).last != 123.0


# --- F34, F35: age by bar time ----------------------------------------------------------------------------------


def test_f34_the_age_counts_from_the_bar_even_when_the_feed_answers(instrument):
    last_close = START + timedelta(minutes=1500)
    words = {}
    for minutes in (0, 1, 2, 3):
        now = last_close + timedelta(minutes=minutes, seconds=1)
        Quote.objects.update_or_create(
            instrument=instrument, defaults={"last": 100.0, "at": now, "received_at": now}
        )
        words[minutes] = hub.freshness(instrument, now).word.value
    assert words == {0: "fresh", 1: "fresh", 2: "stale", 3: "stale"}
    assert hub.freshness(instrument, last_close + timedelta(seconds=100)).word == "late"
    assert hub.age_s(instrument, last_close + timedelta(minutes=3)) == 180


def test_f35_a_gap_is_not_filled_with_invented_bars():
    row = make_instrument()
    bars = walk(120, start=START)
    fill(row, bars.take((bars.ts < bars.ts[30]) | (bars.ts >= bars.ts[60])))
    series = hub.series(row, "1m", end=NOW, limit=500)
    assert len(series) == 90 and int(np.diff(series.ts).max()) == 31 * 60
    half_hours = hub.series(row, "30m", end=NOW, limit=10)
    assert half_hours.ts.tolist() == [int(bars.ts[i]) for i in (0, 60, 90)]
    assert half_hours.volume[1] == pytest.approx(bars.volume[60:90].sum())


def test_closed_time_does_not_age_the_data():
    row = make_instrument("EURUSD", calendar="fx-week")
    friday_close = datetime(2024, 3, 8, 22, tzinfo=UTC)
    fill(row, walk(60, start=friday_close - timedelta(hours=1)), now=friday_close)
    saturday, sunday = friday_close + timedelta(hours=14), datetime(2024, 3, 10, 21, 1, 30, tzinfo=UTC)
    assert hub.freshness(row, saturday).word == "closed" and hub.age_s(row, saturday) == 0
    assert hub.age_s(row, sunday) == 90 and hub.freshness(row, sunday).word == "fresh"
    assert hub.freshness(row, sunday + timedelta(seconds=60)).word == "stale"


def test_a_daily_bar_is_fresh_until_days_are_missing():
    calendar_days.sync("XNYS", datetime(2024, 6, 1, tzinfo=UTC), start=date(2023, 6, 1))
    row = make_instrument("SPY", calendar="XNYS", timeframe="1d")
    friday = datetime(2024, 3, 8, tzinfo=UTC)
    fill(row, walk(1, start=friday, timeframe="1d"), "1d", now=friday + timedelta(days=2))
    monday = datetime(2024, 3, 11, 15, tzinfo=UTC)
    assert hub.freshness(row, monday).word == "fresh"
    assert hub.freshness(row, monday + timedelta(days=1)).word == "late"
    assert hub.freshness(row, monday + timedelta(days=2)).word == "stale"


@pytest.mark.parametrize(
    ("age", "is_open", "word"),
    [
        (None, True, "missing"),
        (None, False, "missing"),
        (500, False, "closed"),
        (60, True, "fresh"),
        (90, True, "fresh"),
        (91, True, "late"),
        (120, True, "late"),
        (121, True, "stale"),
    ],
)
def test_staleness_words(age, is_open, word):
    assert staleness.state(age, 60, is_open) == word


# --- Which instruments ------------------------------------------------------------------------------------------


def test_active_instruments_follow_the_feed_and_the_replay(settings):
    real, demo = make_instrument("AUSDT"), make_instrument("AUSDT.DEMO", is_demo=True)
    off = make_instrument("BUSDT", is_active=False)
    settings.TRADING_FEED = "simulated"
    assert hub.active_instruments("toy") == [demo]
    settings.TRADING_FEED = "replay"
    assert hub.active_instruments("toy") == [real]
    with hub.use_universe([off]):
        assert hub.active_instruments("toy") == [off]
        assert hub.active_instruments("other") == []
    assert hub.active_instruments("toy") == [real]
