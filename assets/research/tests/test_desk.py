"""The steps of all asset types against real accounts, the gate, the paper broker and the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from assets.markets import calendars
from assets.markets.models import CalendarDay, Instrument
from assets.research import market_analysis, selectors, testkit
from assets.trading.models import Fill, Order, Position
from assets.trading.services import accounts, matching, protective_stops
from orchestrator import plugins
from orchestrator.models import Run, RunStep, Workflow
from orchestrator.plugins import RunContext, StepResult
from orchestrator.services import control
from tradingsite.foundation import audit, clock
from tradingsite.foundation.models import Alert

pytestmark = pytest.mark.django_db

T0 = testkit.at(testkit.T0)


@pytest.fixture
def watch() -> Iterator[clock.VirtualClock]:
    with clock.use(clock.VirtualClock(T0 - timedelta(days=400))) as virtual:
        yield virtual


@pytest.fixture(autouse=True)
def _trading(settings: Any, watch: clock.VirtualClock) -> None:
    settings.TRADING_FEED = "replay"
    accounts.ensure_paper_accounts(clock.now(), is_demo=False)
    control.start(audit.system("test"), clock.now(), "test")


def run(kind: str, now: datetime, watch: clock.VirtualClock, **params: Any) -> list[StepResult]:
    """Both steps of a run, as a worker does them."""
    watch.advance_to(now)
    ctx = testkit.context(kind, now, **params)
    return [step.run(ctx) for step in plugins.get(kind).steps]


def match(now: datetime, watch: clock.VirtualClock) -> None:
    watch.advance_to(now)
    matching.match(now)


def position(symbol: str) -> Decimal:
    found = Position.objects.filter(instrument__symbol=symbol).values_list("quantity", flat=True).first()
    return found if found is not None else Decimal(0)


def rally(row: Instrument, *, size: int = 300, gain: float = 0.05) -> float:
    """Quiet hours, then a loud rise; the last bar closes at T0 + size minutes. Returns the last price."""
    noise = testkit.walk(size - 30, sigma=0.0005, start=0.1)
    rise = noise[-1] * np.exp(np.linspace(0.0, gain, 31)[1:])
    volume = np.full(size, 1e7)
    volume[-15:] *= 4
    testkit.store(row, "1m", testkit.bars(np.concatenate((noise, rise)), volume=volume))
    return float(rise[-1])


def more(row: Instrument, closes: list[float], *, after: int, timeframe: str = "1m", bar_s: int = 60) -> None:
    bars = testkit.bars(
        [closes[0], *closes], bar_s=bar_s, start=testkit.T0 + after * bar_s - bar_s, volume=1e7
    )
    testkit.store(row, timeframe, bars.take(slice(1, None)))


def test_a_meme_rally_is_scored_bought_filled_and_sold_at_its_stop(watch: clock.VirtualClock) -> None:
    doge = testkit.instrument("DOGEUSDT")
    price = rally(doge)
    now = T0 + timedelta(minutes=300)
    analysis, execution = run("meme_coins", now, watch)
    assert analysis.summary["scores"]["DOGEUSDT"]["strength"] > 1.5
    assert not analysis.changed
    assert execution.changed
    assert (execution.summary["sent"], execution.summary["denied"]) == (1, {})
    order = Order.objects.get()
    assert [reason["code"] for reason in order.intent.reasons] == ["momentum", "volume_burst", "size_risk"]
    # Half a percent at risk over a stop of 3 %, wider by as much as the coin is louder than usual.
    assert 10_000 * 0.005 / 0.045 < float(order.quantity) * price < 10_000 * 0.005 / 0.03

    more(doge, [price] * 3, after=300)
    match(now + timedelta(minutes=3), watch)
    assert position("DOGEUSDT") == order.quantity
    held = run("meme_coins", now + timedelta(minutes=3), watch)[1]
    assert not held.changed
    assert held.summary["targets"]["DOGEUSDT"]["reasons"][0]["code"] == "hold"

    protective_stops.keep(now + timedelta(minutes=3))
    more(doge, [price * 0.94] * 2, after=303)
    watch.advance_to(now + timedelta(minutes=5))
    protective_stops.keep(now + timedelta(minutes=5))
    sold = Order.objects.get(intent__workflow_slug=protective_stops.SLUG)
    assert sold.intent.reasons[0]["code"] == "stop_hit"
    more(doge, [price * 0.96] * 3, after=305)
    match(now + timedelta(minutes=8), watch)
    assert position("DOGEUSDT") == 0


def test_without_a_rally_nothing_is_ordered(watch: clock.VirtualClock) -> None:
    rally(testkit.instrument("DOGEUSDT"), gain=0.0)
    _analysis, execution = run("meme_coins", T0 + timedelta(minutes=300), watch)
    assert not execution.changed
    assert not Order.objects.exists()


def test_stale_minutes_are_not_traded_on(watch: clock.VirtualClock) -> None:
    rally(testkit.instrument("DOGEUSDT"))
    fresh_until = T0 + timedelta(minutes=302)
    late = run("meme_coins", fresh_until + timedelta(seconds=1), watch)
    assert late[0].summary["scores"]["DOGEUSDT"]["is_fresh"] is False
    assert late[1].summary["targets"] == {}


def test_a_step_without_an_account_says_so(watch: clock.VirtualClock) -> None:
    from assets.trading.models import Account

    rally(testkit.instrument("DOGEUSDT"))
    Account.objects.filter(asset_type="meme_coins").update(asset_type="elsewhere")
    analysis, execution = run("meme_coins", T0 + timedelta(minutes=300), watch)
    assert analysis.summary["skipped"] == "no-account"
    assert execution.summary == {"skipped": "nothing-analyzed"}


def test_cost_averaging_buys_once_a_day_by_what_the_ledger_says(watch: clock.VirtualClock) -> None:
    btc = testkit.instrument("BTCUSDT", timeframe="1h")
    hours = testkit.walk(24 * 40, sigma=0.004, start=40_000.0)
    testkit.store(btc, "1h", testkit.bars(hours, bar_s=3600, volume=1e5))

    def at_hour(hour: int) -> datetime:
        return T0 + timedelta(hours=hour)

    first = run("crypto_lt", at_hour(800), watch)[1]
    assert first.summary["targets"]["BTCUSDT"]["reasons"][0]["code"] == "dca_buy"
    working = run("crypto_lt", at_hour(801), watch)[1]
    assert working.summary["targets"]["BTCUSDT"]["reasons"][0]["code"] == "dca_not_due"
    match(at_hour(802), watch)
    bought = position("BTCUSDT")
    assert bought > 0
    fill = Fill.objects.get()
    filled_hour = (fill.at - T0).total_seconds() / 3600
    early = run("crypto_lt", at_hour(int(filled_hour) + 23), watch)[1]
    assert not early.changed
    due = run("crypto_lt", at_hour(int(filled_hour) + 24), watch)[1]
    assert due.changed
    match(at_hour(int(filled_hour) + 26), watch)
    assert position("BTCUSDT") > bought


def test_a_coin_far_below_its_cost_raises_one_alert_and_recovery_resolves_it(
    watch: clock.VirtualClock,
) -> None:
    btc = testkit.instrument("BTCUSDT", timeframe="1h")
    testkit.store(btc, "1h", testkit.bars([100.0] * 200 + [70.0] * 10 + [100.0] * 10, bar_s=3600, volume=1e9))
    account = accounts.Account.objects.get(asset_type="crypto_lt")
    Position.objects.create(
        account=account, instrument=btc, quantity=Decimal(1), cost=Decimal(100), realised=Decimal(0),
        fees=Decimal(0), updated_at=T0,
    )  # fmt: skip
    run("crypto_lt", T0 + timedelta(hours=205), watch)
    run("crypto_lt", T0 + timedelta(hours=206), watch)
    alert = Alert.objects.get()
    assert (alert.code, alert.status, alert.count) == ("position-below-cost", "open", 2)
    run("crypto_lt", T0 + timedelta(hours=215), watch)
    alert.refresh_from_db()
    assert alert.status == "resolved"


def test_forex_is_flat_before_the_weekend(watch: clock.VirtualClock) -> None:
    pair = testkit.instrument("EURUSD")
    close = datetime(2024, 1, 12, 22, 0, tzinfo=UTC)
    start = int(close.timestamp()) - 4000 * 60
    closes = testkit.walk(4000, sigma=0.00005, drift=0.000002, start=1.09)
    testkit.store(pair, "1m", testkit.bars(closes, start=start, volume=1e9))
    account = accounts.Account.objects.get(asset_type="forex")
    Position.objects.create(
        account=account, instrument=pair, quantity=Decimal(20_000), cost=Decimal(20_000) * Decimal("1.09"),
        realised=Decimal(0), fees=Decimal(0), updated_at=T0,
    )  # fmt: skip
    before = run("forex", close - timedelta(minutes=62), watch)
    assert before[0].summary["closes_at"] == close.isoformat()
    assert before[1].summary["targets"]["EURUSD"]["reasons"][0]["code"] != "weekend_flat"
    assert position("EURUSD") == 20_000
    run("forex", close - timedelta(minutes=32), watch)
    match(close - timedelta(minutes=29), watch)
    assert position("EURUSD") == 0


def sessions() -> None:
    first = date(2023, 1, 2)
    CalendarDay.objects.bulk_create(
        CalendarDay(
            calendar="XNYS", day=day, open_at=datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC),
            close_at=datetime(day.year, day.month, day.day, 21, 0, tzinfo=UTC),
        )
        for day in (first + timedelta(days=n) for n in range(420))
        if day.weekday() < 5
    )  # fmt: skip
    calendars.forget()


def funds(until: date) -> None:
    """Two funds with daily bars up to and with `until`."""
    days = [d for d in (until - timedelta(days=n) for n in range(250)) if d.weekday() < 5][::-1]
    stamps = np.array([int(datetime(d.year, d.month, d.day, tzinfo=UTC).timestamp()) for d in days])
    for symbol, growth in (("SPY", 0.001), ("TLT", -0.001)):
        row = Instrument.objects.filter(symbol=symbol).first() or testkit.instrument(symbol, timeframe="1d")
        wobble = 0.004 * (-1.0) ** np.arange(stamps.size)
        bars = testkit.bars(
            400.0 * np.exp(growth * np.arange(stamps.size) + wobble), bar_s=86_400, volume=1e8
        )
        bars.ts[:] = stamps
        testkit.store(row, "1d", bars)


def test_an_etf_portfolio_is_bought_on_daily_bars_and_then_left_alone(watch: clock.VirtualClock) -> None:
    sessions()
    funds(date(2024, 1, 11))
    morning = datetime(2024, 1, 10, 15, 0, tzinfo=UTC)  # Tuesday's bar is the newest that has closed
    analysis, execution = run("etf", morning, watch)
    assert analysis.summary["funds"]["SPY"]["timeframe"] == "1d"
    assert analysis.summary["funds"]["SPY"]["is_fresh"] is True
    assert execution.summary["targets"]["SPY"]["weight"] == pytest.approx(0.2)
    assert execution.changed
    match(datetime(2024, 1, 12, 0, 0, 1, tzinfo=UTC), watch)
    shares = position("SPY")
    assert shares > 0 and shares == shares.to_integral_value()
    assert position("TLT") == 0
    later = run("etf", datetime(2024, 1, 12, 15, 0, tzinfo=UTC), watch)[1]
    assert not later.changed
    assert later.summary["targets"]["SPY"]["reasons"][0]["code"] == "inside_band"


def test_an_etf_run_on_minutes_uses_hours_where_days_are_too_few(watch: clock.VirtualClock) -> None:
    spy = testkit.instrument("SPY")
    sessions()
    bars = testkit.shared_bars("etf/SPY_1m_201912")
    testkit.store(spy, "1m", bars)
    last = testkit.at(int(bars.ts[-1]) + 60)
    CalendarDay.objects.bulk_create(
        CalendarDay(
            calendar="XNYS", day=day, open_at=datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC),
            close_at=datetime(day.year, day.month, day.day, 21, 0, tzinfo=UTC),
        )
        for day in (date(2019, 12, 1) + timedelta(days=n) for n in range(31))
        if day.weekday() < 5 and day.day != 25
    )  # fmt: skip
    calendars.forget()
    now = last - timedelta(minutes=30)
    with clock.use(clock.VirtualClock(now)) as then:
        accounts.ensure_paper_accounts(now, is_demo=False)
        analysis, execution = run("etf", now, then)
    seen = analysis.summary["funds"]["SPY"]
    assert (seen["timeframe"], seen["is_fresh"]) == ("1h", True)
    assert seen["momentum"] is not None
    assert set(execution.summary["targets"]) == {"SPY"}


def analysed(now: datetime) -> tuple[RunContext, StepResult]:
    ctx = testkit.context("ai_market_analysis", now)
    return ctx, market_analysis.ai_market_analysis(ctx)


def test_the_market_analysis_covers_all_types_and_is_found_again(watch: clock.VirtualClock) -> None:
    for symbol, drift in (("BTCUSDT", 0.002), ("DOGEUSDT", 0.002)):
        closes = testkit.walk(400, sigma=0.004, drift=drift, seed=5)
        testkit.store(testkit.instrument(symbol, timeframe="1h"), "1h", testkit.bars(closes, bar_s=3600))
    now = T0 + timedelta(hours=400)
    _ctx, result = analysed(now)
    types = result.summary["asset_types"]
    assert set(types) == {"meme_coins", "crypto_lt", "forex", "etf"}
    assert types["crypto_lt"]["breadth"] == 1.0
    assert types["crypto_lt"]["regime"] == "trending"
    assert types["forex"]["volatility"] is None
    pair = next(
        row for row in result.summary["correlations"] if (row["a"], row["b"]) == ("crypto_lt", "meme_coins")
    )
    assert pair["correlation"] == pytest.approx(1.0)
    assert result.changed
    assert selectors.newest_market_analysis(now) is None

    workflow = Workflow.objects.create(
        slug="analysis", type_key="ai_market_analysis", name="x", min_interval_s=1, base_interval_s=1,
        max_interval_s=1, created_at=now, updated_at=now,
    )  # fmt: skip
    row = Run.objects.create(
        workflow=workflow,
        slot_at=now,
        cause="first",
        lane="maintenance",
        priority=3,
        planned_at=now,
        expires_at=now,
    )
    RunStep.objects.create(
        run=row, position=1, name="ai_market_analysis", status="succeeded", started_at=now, finished_at=now,
        summary=result.summary,
    )  # fmt: skip
    found = selectors.newest_market_analysis(now)
    assert found is not None and found.summary["mood"] == result.summary["mood"]
    assert selectors.newest_market_analysis(now - timedelta(seconds=1)) is None
    assert not analysed(now)[1].changed


def test_the_mood_follows_breadth_and_volatility() -> None:
    def view(breadth: float | None, rank: float | None) -> dict[str, dict[str, float | None]]:
        return {"a": {"breadth": breadth, "volatility_percentile": rank}}

    assert market_analysis.mood(view(0.7, 0.5)) == "risk_on"
    assert market_analysis.mood(view(0.7, 0.9)) == "mixed"
    assert market_analysis.mood(view(0.3, 0.5)) == "risk_off"
    assert market_analysis.mood(view(0.45, 0.9)) == "risk_off"
    assert market_analysis.mood(view(0.45, 0.5)) == "mixed"
    assert market_analysis.mood(view(None, None)) == "unknown"


def test_without_any_candle_the_analysis_says_unknown(watch: clock.VirtualClock) -> None:
    _ctx, result = analysed(T0)
    assert result.summary["mood"] == "unknown"
    assert all(view["regime"] == "unknown" for view in result.summary["asset_types"].values())
