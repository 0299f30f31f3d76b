"""Demo prices: the same for the same seed, alive, and only for demo instruments."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import DataError

from assets.markets import hub, pump, quality, universe
from assets.markets.feeds import simulation
from assets.markets.feeds.simulated import SimulatedFeed
from assets.markets.feeds.simulation import Profile
from assets.markets.models import Candle, FeedState, Instrument, Quote, RejectedCandle
from assets.markets.services import calendar_days, candles, instruments
from tradingsite.foundation import clock

NOW = datetime(2026, 3, 11, 15, 30, 20, tzinfo=UTC)  # a Wednesday, New York is open
BTC = Profile("A.DEMO", 30_000.0, 0.6, 0.7, "24x7", 0.01)
EUR = Profile("E.DEMO", 1.1, 0.08, 0.3, "fx-week", 0.00001)
DAY = int(datetime(2026, 3, 11, tzinfo=UTC).timestamp()) // 86400


def fresh(seed: int, profile: Profile, day: int):
    simulation.minutes.cache_clear()
    simulation._levels.cache_clear()
    return simulation.minutes(seed, profile, day)


def test_a_day_is_a_function_of_seed_symbol_and_time():
    first, again, other = fresh(1, BTC, DAY), fresh(1, BTC, DAY), fresh(2, BTC, DAY)
    for a, b in zip(first.columns(), again.columns(), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(first.close, other.close)


def test_days_join_without_a_jump_and_every_bar_passes_the_gate():
    days = [simulation.minutes(1, profile, DAY + n) for profile in (BTC, EUR) for n in (0, 1)]
    assert days[0].close[-1] == days[1].open[0]
    assert days[2].close[-1] == days[3].open[0]
    for bars in days:
        verdict = quality.check(bars, length_s=60, grain_s=60, now_ts=1 << 39)
        assert verdict.accepted.all() and len(bars) == 1440


def test_the_currency_week_has_no_bars_on_saturday_and_few_on_sunday():
    saturday, sunday = simulation.minutes(1, EUR, DAY + 3), simulation.minutes(1, EUR, DAY + 4)
    assert len(saturday) == 0 and len(sunday) == 180


def test_instruments_move_together_as_their_correlation_says():
    def returns(symbol: str, correlation: float):
        profile = Profile(symbol, 100.0, 0.6, correlation, "24x7", 0.0001)
        return np.diff(simulation._levels(5, profile))

    together = np.corrcoef(returns("X", 0.9), returns("Y", 0.9))[0, 1]
    apart = np.corrcoef(returns("X", 0.0), returns("Y", 0.0))[0, 1]
    assert together > 0.6 and abs(apart) < 0.1


def test_volatility_has_calm_and_wild_days():
    levels = np.diff(simulation._levels(1, BTC))
    months = levels[: 30 * 200].reshape(200, 30).std(axis=1)
    assert months.max() > 2.5 * months.min()
    assert 0.3 < levels.std() * 365**0.5 < 1.2


def test_the_price_moves_inside_the_minute_and_stays_inside_its_bar():
    minute = datetime(2026, 3, 11, 10, 5, tzinfo=UTC)
    prices = [simulation.last_at(1, BTC, minute + timedelta(seconds=n)) for n in range(60)]
    bars = simulation.minutes(1, BTC, DAY)
    index = int(np.searchsorted(bars.ts, int(minute.timestamp())))
    assert len(set(prices)) > 20
    assert bars.low[index] <= min(prices) and max(prices) <= bars.high[index]
    assert prices[-1] == bars.close[index]


# --- The feed ---------------------------------------------------------------------------------------------------


@pytest.fixture
def toys(db):
    calendar_days.sync("XNYS", NOW, start=date(2024, 1, 1))
    specs = [
        universe.InstrumentSpec(
            symbol=symbol, base="A", quote="USD", venue="x", calendar=calendar, tick_size=Decimal("0.01")
        )
        for symbol, calendar in (("AAA", "24x7"), ("SHARE", "XNYS"))
    ]
    universe.register("toys", specs)
    others = {
        key: universe._specs.pop(key)
        for key in [s for s, spec in universe._specs.items() if spec.asset_type != "toys"]
    }
    instruments.sync_universe(NOW)
    yield
    universe.unregister("toys")
    universe._specs.update(others)


def run(feed: SimulatedFeed, now: datetime) -> pump.PumpReport:
    with clock.use(clock.FixedClock(now)):
        return pump.pump(feed, now)


def stored():
    columns = ("instrument__symbol", "timeframe", "open_ts", "open", "high", "low", "close", "volume")
    return list(Candle.objects.order_by(*columns[:3]).values_list(*columns))


def test_the_first_poll_brings_history_quotes_and_nothing_for_real_instruments(toys):
    report = run(SimulatedFeed(seed=1), NOW)
    assert not report.errors and not report.stored.rejected
    coin = Instrument.objects.get(symbol="AAA.DEMO")
    assert len(hub.series(coin, "1m", end=NOW, limit=10_000)) == 3 * 1440 + 1
    assert len(hub.series(coin, "1d", end=NOW, limit=1000)) == 731
    share = Instrument.objects.get(symbol="SHARE.DEMO")
    assert len(hub.series(share, "1d", end=NOW, limit=1000)) == pytest.approx(502, abs=6)
    assert set(Quote.objects.values_list("instrument__symbol", flat=True)) == {"AAA.DEMO", "SHARE.DEMO"}
    assert not Candle.objects.filter(instrument__is_demo=False).exists()
    assert hub.freshness(coin, NOW).word == hub.freshness(share, NOW).word == "fresh"


def test_a_restart_continues_exactly_like_a_run_without_one(toys):
    feed = SimulatedFeed(seed=1)
    moments = [NOW + timedelta(seconds=n) for n in (0, 45, 130, 4000, 90_000)]
    for now in moments:
        run(feed, now)
    uninterrupted = stored()
    Candle.objects.all().delete()
    for now in moments:
        run(SimulatedFeed(seed=1), now)
    assert stored() == uninterrupted
    assert not RejectedCandle.objects.exists()


def test_bars_that_could_not_be_stored_are_sent_again(toys, monkeypatch):
    feed, store = SimulatedFeed(seed=1), candles.store
    run(feed, NOW)

    def broken(instrument, *args, **values):
        if instrument.symbol == "AAA.DEMO":
            raise DataError("out of range")
        return store(instrument, *args, **values)

    monkeypatch.setattr(candles, "store", broken)
    later = NOW + timedelta(minutes=3)
    assert list(run(feed, later).errors) == ["AAA.DEMO"]
    monkeypatch.setattr(candles, "store", store)
    report = run(feed, later + timedelta(seconds=1))
    assert not report.errors and report.stored.inserted == 3


def test_each_second_has_its_quote_and_each_minute_its_bar(toys):
    feed = SimulatedFeed(seed=1)
    run(feed, NOW)
    lasts, bars = [], 0
    for n in range(1, 61):
        report = run(feed, NOW + timedelta(seconds=n))
        bars += report.stored.inserted
        quote = Quote.objects.get(instrument__symbol="AAA.DEMO")
        assert quote.bid < quote.last < quote.ask
        lasts.append(quote.last)
    assert len(set(lasts)) > 20
    assert bars == 2  # one closed minute of each instrument


def test_a_closed_market_gives_neither_quotes_nor_bars(toys):
    night = datetime(2026, 3, 12, 3, 0, 5, tzinfo=UTC)
    feed = SimulatedFeed(seed=1)
    run(feed, night)
    Quote.objects.all().delete()
    before = Candle.objects.filter(instrument__symbol="SHARE.DEMO").count()
    run(feed, night + timedelta(minutes=30))
    assert Candle.objects.filter(instrument__symbol="SHARE.DEMO").count() == before
    assert list(Quote.objects.values_list("instrument__symbol", flat=True)) == ["AAA.DEMO"]


def test_an_exchange_without_calendar_is_an_error_of_its_instruments_only(toys):
    from assets.markets import calendars
    from assets.markets.models import CalendarDay

    CalendarDay.objects.all().delete()
    calendars.forget()
    report = run(SimulatedFeed(seed=1), NOW)
    assert list(report.errors) == ["SHARE.DEMO"] and "sync_calendars" in report.errors["SHARE.DEMO"]
    assert FeedState.objects.get(instrument__symbol="AAA.DEMO").last_error == ""
    assert "sync_calendars" in FeedState.objects.get(instrument__symbol="SHARE.DEMO").last_error
