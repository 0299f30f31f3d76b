"""Storing: idempotent, identical whatever the order, nothing dropped silently."""

import hashlib

import numpy as np
import pytest

from assets.markets import rawsql
from assets.markets.models import Candle, RejectedCandle
from assets.markets.series import bars_of, concat
from assets.markets.services import candles
from assets.markets.testkit.bars import changed, make_instrument, walk

from .conftest import NOW, START

pytestmark = pytest.mark.django_db


def store(instrument, bars, **values):
    return candles.store(instrument, "1m", bars, source="test", now=NOW, **values)


def stored_hash(instrument) -> str:
    bars = rawsql.between(instrument.pk, "1m", 0, 0, 1 << 40)
    return hashlib.sha256(b"".join(column.tobytes() for column in bars.columns())).hexdigest()


def test_storing_twice_changes_nothing_the_second_time():
    instrument = make_instrument()
    bars = walk(500, start=START)
    first, second = store(instrument, bars), store(instrument, bars)
    assert (first.inserted, first.updated, first.unchanged) == (500, 0, 0)
    assert (second.inserted, second.updated, second.unchanged) == (0, 0, 500)


@pytest.mark.parametrize("count", [50, 400])
def test_a_corrected_bar_replaces_the_stored_one(count):
    instrument = make_instrument()
    bars = walk(count, start=START)
    store(instrument, bars)
    report = store(instrument, changed(bars, 7, volume=77.0))
    assert (report.inserted, report.updated, report.unchanged) == (0, 1, count - 1)
    assert Candle.objects.get(open_ts=int(bars.ts[7])).volume == 77.0


def test_f36_any_order_with_repeats_ends_in_the_same_table_as_clean_data():
    clean, messy = make_instrument("ONEUSDT"), make_instrument("TWOUSDT")
    bars = walk(600, start=START)
    store(clean, bars)
    mess = bars.take(np.random.default_rng(5).permutation(np.arange(600).repeat(2)))
    for start in range(0, 1200, 170):
        store(messy, mess.take(slice(start, start + 170)))
    assert stored_hash(messy) == stored_hash(clean)
    assert not RejectedCandle.objects.exists()


def test_f40_refused_bars_are_kept_once_with_reason_and_never_stored():
    instrument = make_instrument()
    bars = changed(changed(walk(100, start=START), 10, close=float("nan")), 20, open=-1.0)
    for _ in range(2):
        report = store(instrument, bars, lines=list(range(2, 102)))
        assert report.rejected == {"nan": 1, "negative": 1}
    assert Candle.objects.count() == 98
    rows = RejectedCandle.objects.order_by("line").values_list("reason", "line", "open_ts")
    assert list(rows) == [("nan", 12, int(bars.ts[10])), ("negative", 22, int(bars.ts[20]))]


def test_f41_an_unfinished_bar_is_never_stored():
    instrument = make_instrument()
    bars = walk(10, start=NOW)
    report = store(instrument, bars)
    assert report.rejected == {"unclosed": 10}
    assert not Candle.objects.exists()


def test_f37_a_refused_spike_is_released_when_the_next_bars_confirm_it():
    instrument = make_instrument()
    before = walk(150, start=START)
    store(instrument, before)
    level, first = float(before.close[-1]), int(before.ts[-1]) + 60
    fall = bars_of([(first, level, level, level * 0.6, level * 0.6, 10.0)])
    assert store(instrument, fall).rejected == {"spike": 1}
    assert Candle.objects.count() == 150
    after = [(first + 60 * i, level * 0.6, level * 0.61, level * 0.59, level * 0.6, 10.0) for i in (1, 2)]
    assert store(instrument, bars_of(after[:1])).rejected == {"spike": 1}
    report = store(instrument, bars_of(after[1:]))
    assert (report.inserted, report.released, report.rejected) == (3, 2, {})
    assert not RejectedCandle.objects.exists()


def test_f37_a_bad_tick_stays_out_when_the_price_comes_back():
    instrument = make_instrument()
    bars = walk(160, start=START)
    store(instrument, bars.take(slice(0, 150)))
    bad = changed(bars, 150, open=1000.0, high=1000.0, low=1000.0, close=1000.0).take(slice(150, 151))
    assert store(instrument, bad).rejected == {"spike": 1}
    report = store(instrument, bars.take(slice(151, 160)))
    assert (report.inserted, report.released) == (9, 0)
    assert RejectedCandle.objects.count() == 1


def test_sides_and_timeframes_do_not_mix():
    instrument = make_instrument()
    bars = walk(10, start=START)
    for side in (0, 1, 2):
        assert store(instrument, bars, side=side).inserted == 10
    assert Candle.objects.count() == 30


def test_a_delivery_of_several_chunks_is_counted_whole(monkeypatch):
    monkeypatch.setattr(candles, "CHUNK", 100)
    instrument = make_instrument()
    report = store(instrument, concat((walk(250, start=START),)))
    assert report.inserted == Candle.objects.count() == 250
