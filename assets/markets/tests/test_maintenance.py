"""Gaps, back-fill, roll-up and purge as workflow steps."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session

from assets.markets import maintenance
from assets.markets.feeds.base import FeedError
from assets.markets.models import Candle, RejectedCandle
from assets.markets.services import calendar_days, candles, gaps, retention
from assets.markets.testkit.bars import make_instrument, walk
from orchestrator import params, plugins
from orchestrator.plugins import Lane, RunContext
from tradingsite.foundation import clock
from tradingsite.foundation.api import throttles

from .conftest import NOW, START

pytestmark = pytest.mark.django_db


def context(key: str, now=NOW, **values) -> RunContext:
    kind = plugins.get(key)
    return RunContext(
        run_id=1, epoch=1, workflow_id=1, slug=key, type_key=key, params=params.defaults(kind.params) | values,
        now=now, entries_allowed=True, guard=lambda: None,
    )  # fmt: skip


class MemoryFeed:
    name = "memory"

    def __init__(self, bars, broken=()):
        self.bars, self.broken = bars, broken

    def poll(self, now):
        return ()

    def history(self, instrument, timeframe, first_ts, last_ts, now):
        if instrument.symbol in self.broken:
            raise FeedError("away")
        yield self.bars.take((self.bars.ts >= first_ts) & (self.bars.ts <= last_ts))


def test_both_types_are_registered_on_the_maintenance_lane():
    for key in ("data_backfill", "data_purge"):
        kind = plugins.get(key)
        assert kind.lane is Lane.MAINTENANCE and not kind.is_trading and kind.asset_type == ""
        assert all(step.idempotent for step in kind.steps)


def test_the_back_fill_finds_and_fetches_what_is_missing(settings, monkeypatch):
    settings.TRADING_FEED = "binance"
    good, broken = make_instrument("AUSDT"), make_instrument("BUSDT")
    bars = walk(2000, start=NOW - timedelta(minutes=2000))
    hole = (bars.ts >= bars.ts[700]) & (bars.ts < bars.ts[760])
    for row in (good, broken):
        candles.store(row, "1m", bars.take(~hole).take(slice(0, 1900)), source="test", now=NOW)
    monkeypatch.setattr(maintenance, "_feed", lambda: MemoryFeed(bars, broken={"BUSDT"}))
    run = context("data_backfill")
    found = maintenance.find_gaps(run)
    assert found.summary == {"gaps": 4, "missing_bars": 2 * (60 + 40)}
    result = maintenance.repair_gaps(run)
    assert result.changed and result.summary["inserted"] == 100 and result.summary["errors"] == 2
    assert Candle.objects.filter(instrument=good, timeframe="1m").count() == 2000
    again = context("data_backfill")
    assert maintenance.repair_gaps(again).summary["inserted"] == 0


def test_the_back_fill_stops_when_the_run_is_superseded(settings):
    settings.TRADING_FEED = "binance"
    row = make_instrument()
    bars = walk(100, start=NOW - timedelta(minutes=100))
    candles.store(row, "1m", bars.take(slice(0, 50)), source="test", now=NOW)

    class Superseded(Exception):
        pass

    def guard():
        raise Superseded

    with pytest.raises(Superseded):
        gaps.repair(MemoryFeed(bars), gaps.active(now=NOW, days=1), now=NOW, guard=guard, limit=10)
    assert Candle.objects.count() == 50


def test_rolling_up_stores_hours_and_days_once(settings):
    settings.TRADING_FEED = "binance"
    row = make_instrument()
    candles.store(row, "1m", walk(3 * 1440, start=START), source="test", now=START + timedelta(days=3))
    now = START + timedelta(days=3, minutes=5)
    assert maintenance.roll_up(context("data_backfill", now)).changed
    assert Candle.objects.filter(instrument=row, timeframe="1h").count() == 71
    assert Candle.objects.filter(instrument=row, timeframe="1d").count() == 2
    day = Candle.objects.filter(timeframe="1d").latest("open_ts")
    minutes = Candle.objects.filter(timeframe="1m", open_ts__gte=day.open_ts, open_ts__lt=day.open_ts + 86400)
    assert day.high == max(minutes.values_list("high", flat=True))
    assert day.volume == pytest.approx(sum(minutes.values_list("volume", flat=True)))
    assert not maintenance.roll_up(context("data_backfill", now)).changed


def test_closed_hours_are_no_gaps():
    calendar_days.sync("XNYS", datetime(2024, 6, 1, tzinfo=UTC), start=date(2024, 1, 1))
    pair, share = make_instrument("EURUSD", calendar="fx-week"), make_instrument("SPY", calendar="XNYS")
    friday = datetime(2024, 3, 8, 20, tzinfo=UTC)
    hours = walk(100, start=friday, timeframe="1h")
    sunday = int(datetime(2024, 3, 10, 21, tzinfo=UTC).timestamp())
    open_hours = (hours.ts < int((friday + timedelta(hours=2)).timestamp())) | (hours.ts >= sunday)
    candles.store(pair, "1h", hours.take(open_hours), source="test", now=NOW + timedelta(days=30))
    assert gaps.find(pair, "1h") == []
    days = walk(12, start=datetime(2024, 3, 25, tzinfo=UTC), timeframe="1d")
    traded = [
        not (n in (4, 5, 6, 8) or n == 11) for n in range(12)
    ]  # Good Friday, weekend; Tuesday is missing
    candles.store(
        share,
        "1d",
        days.take([i for i, t in enumerate(traded) if t]),
        source="test",
        now=NOW + timedelta(days=60),
    )
    found = gaps.find(share, "1d")
    assert [(gap.missing, datetime.fromtimestamp(gap.first_ts, UTC).date()) for gap in found] == [
        (1, date(2024, 4, 2))
    ]


def test_the_purge_forgets_old_fine_bars_and_old_refusals_in_portions():
    row = make_instrument()
    old, recent = NOW - timedelta(days=100), NOW - timedelta(days=1)
    candles.store(row, "1m", walk(250, start=old), source="test", now=NOW)
    candles.store(row, "1m", walk(250, start=recent), source="test", now=NOW)
    candles.store(row, "1h", walk(20, start=old, timeframe="1h"), source="test", now=NOW)
    for age in (100, 1):
        RejectedCandle.objects.create(
            instrument=row,
            timeframe="1m",
            reason="nan",
            raw=str(age),
            source="t",
            received_at=NOW - timedelta(days=age),
        )
    asked = []
    policy = retention.Policy(minute_days=30, rejected_days=30)
    report = retention.purge(policy, now=NOW, guard=lambda: asked.append(1), portion=100)
    assert (report.candles, report.rejected, report.more) == (250, 1, False)
    assert len(asked) > 3
    assert Candle.objects.filter(timeframe="1m").count() == 250
    assert Candle.objects.filter(timeframe="1h").count() == 20
    assert maintenance.purge(context("data_purge", minute_days=30)).changed is False


def test_the_purge_also_forgets_counters_answers_and_sessions_that_are_over():
    with clock.use(clock.FixedClock(NOW)):
        throttles.take("old", 1)
        Session.objects.create(
            session_key="over", session_data="", expire_date=datetime(2000, 1, 1, tzinfo=UTC)
        )
        Session.objects.create(
            session_key="good", session_data="", expire_date=datetime(2999, 1, 1, tzinfo=UTC)
        )
    with clock.use(clock.FixedClock(NOW + timedelta(days=1))):
        result = maintenance.purge(context("data_purge", now=NOW + timedelta(days=1)))
    assert result.summary["throttle_buckets"] == 1 and result.changed is False
    others = {"runs", "decisions", "findings", "queue_results", "alerts", "equity_points"}
    assert {name: result.summary[name] for name in others} == dict.fromkeys(others, 0)
    assert list(Session.objects.values_list("session_key", flat=True)) == ["good"]
