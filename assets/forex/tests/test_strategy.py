"""Each pair of tests differs in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from assets.forex.params import SCHEMA, ForexParams, read
from assets.forex.strategy import ForexInputs, Pair, View, assess, decide
from assets.markets import calendars
from assets.quant import volatility as vol
from assets.quant.regime import Regime
from assets.research import testkit
from assets.trading.targets import Target
from orchestrator.params import defaults

PARAMS = ForexParams()
QUARTER = vol.scale(bar_s=900, trading_day_s=86_400, days_per_year=260)
WEDNESDAY = datetime(2024, 1, 10, 14, 0, tzinfo=UTC)  # London and New York
FRIDAY_CLOSE = datetime(2024, 1, 12, 22, 0, tzinfo=UTC)  # 17:00 in New York


def rising(size: int = 200, slope: float = 0.0004) -> np.ndarray:
    return testkit.walk(size, sigma=0.0002, drift=slope, start=1.1)


def stretched(sign: float = -1.0, size: int = 200) -> np.ndarray:
    """A price that swings around a level, then one push away from it."""
    noise = 1.1 * np.exp(np.random.default_rng(4).normal(0.0, 0.0003, size))
    noise[-1] = 1.1 * np.exp(sign * 0.0011)
    return noise


def pair(closes: np.ndarray, **values: object) -> Pair:
    bars = testkit.series("EURUSD", "15m", testkit.bars(closes, bar_s=900, reach=0.0001))
    return replace(Pair(bars=bars, bar_s=900, scale=QUARTER, is_fresh=True), **values)


def inputs(what: Pair, now: datetime = WEDNESDAY, **values: object) -> ForexInputs:
    calendar = calendars.get("fx-week")
    closes_at = calendar.next_close(now)
    assert closes_at is not None
    made = ForexInputs(
        now=now, pairs={"EURUSD": what}, activity=calendar.activity(now), closes_at=closes_at,
        reopens_at=calendar.next_open(closes_at), params=PARAMS,
    )  # fmt: skip
    return replace(made, **values)


def decision(given: ForexInputs) -> Target | None:
    found = decide(given)
    return found[0] if found else None


def codes(target: Target | None) -> list[str]:
    assert target is not None
    return [reason.code for reason in target.reasons]


def test_a_rising_trend_is_bought_and_a_falling_one_sold_short() -> None:
    up, down = decision(inputs(pair(rising()))), decision(inputs(pair(1.0 / rising())))
    assert codes(up) == codes(down) == ["trend", "regime", "size_largest_position"]
    assert up is not None and up.weight is not None and up.weight > 0
    assert down is not None and down.weight is not None and down.weight < 0


def test_a_swing_is_faded_at_the_edge_of_its_band_and_not_inside() -> None:
    low, high = decision(inputs(pair(stretched(-1.0)))), decision(inputs(pair(stretched(1.0))))
    inside = decision(inputs(pair(stretched(0.0))))
    assert codes(low)[0] == codes(high)[0] == "reversion"
    assert low is not None and low.weight is not None and low.weight > 0
    assert high is not None and high.weight is not None and high.weight < 0
    assert codes(inside) == ["reversion"]
    assert inside is not None and inside.weight == 0.0


def test_the_size_is_the_risk_over_the_stop_and_capped() -> None:
    target = decision(inputs(pair(rising())))
    assert target is not None
    assert target.weight == pytest.approx(0.30)  # 0.5 % over 0.3 % would be 1.67
    wide = replace(PARAMS, stop_min=0.02)
    target = decision(inputs(pair(rising()), params=wide))
    assert target is not None and target.weight == pytest.approx(0.25)


def test_nothing_is_entered_in_a_quiet_hour() -> None:
    quiet = datetime(2024, 1, 10, 22, 30, tzinfo=UTC)  # only Sydney is at work
    assert calendars.get("fx-week").activity(quiet) < PARAMS.min_activity
    assert codes(decision(inputs(pair(rising()), now=quiet))) == ["session_quiet"]
    assert codes(decision(inputs(pair(rising()), now=quiet, activity=0.9)))[0] == "trend"


def test_a_position_is_watched_in_a_quiet_hour_too() -> None:
    quiet = datetime(2024, 1, 10, 22, 30, tzinfo=UTC)
    held = pair(rising(), quantity=Decimal("-10000"))
    assert codes(decision(inputs(held, now=quiet))) == ["hold"]


@pytest.mark.parametrize(("minutes", "expected"), [(60, ["weekend_flat"]), (61, ["hold"])])
def test_positions_are_closed_an_hour_before_friday_17_00_in_new_york(
    minutes: int, expected: list[str]
) -> None:
    held = pair(rising(), quantity=Decimal("10000"))
    target = decision(inputs(held, now=FRIDAY_CLOSE - timedelta(minutes=minutes)))
    assert codes(target) == expected
    assert target is not None and target.closes == (expected == ["weekend_flat"])


def test_in_summer_the_hour_is_another_in_utc_and_the_same_in_new_york() -> None:
    held = pair(rising(), quantity=Decimal("10000"))
    summer_close = datetime(2024, 7, 12, 21, 0, tzinfo=UTC)
    assert codes(decision(inputs(held, now=summer_close - timedelta(minutes=59)))) == ["weekend_flat"]
    assert codes(decision(inputs(held, now=summer_close - timedelta(minutes=61)))) == ["hold"]


def test_nothing_stays_open_over_the_weekend_even_without_fresh_data() -> None:
    blind = pair(rising(), quantity=Decimal("10000"), is_fresh=False)
    assert codes(decision(inputs(blind, now=FRIDAY_CLOSE - timedelta(minutes=30)))) == ["weekend_flat"]
    assert decision(inputs(blind)) is None


def test_a_run_every_half_hour_always_meets_the_hour_before_the_weekend() -> None:
    held = pair(rising(), quantity=Decimal("10000"))
    for offset in range(30):
        times = [FRIDAY_CLOSE - timedelta(minutes=offset + 30 * k + 1) for k in range(4)]
        assert any(
            codes(decision(inputs(held, now=now))) == ["weekend_flat"] for now in times if now < FRIDAY_CLOSE
        )


def test_a_close_that_reopens_within_a_day_is_no_weekend() -> None:
    held = pair(rising(), quantity=Decimal("10000"))
    now = FRIDAY_CLOSE - timedelta(minutes=30)
    overnight = inputs(held, now=now, reopens_at=FRIDAY_CLOSE + timedelta(hours=16))
    assert codes(decision(overnight)) == ["hold"]


def test_nothing_is_entered_in_the_last_four_hours_of_the_week() -> None:
    assert codes(decision(inputs(pair(rising()), now=FRIDAY_CLOSE - timedelta(minutes=240)))) == [
        "weekend_near"
    ]
    assert codes(decision(inputs(pair(rising()), now=FRIDAY_CLOSE - timedelta(minutes=241))))[0] == "trend"


def test_a_position_is_left_when_neither_trend_nor_stretch_speaks_for_it() -> None:
    fallen = np.concatenate((np.full(150, 1.1), np.linspace(1.1, 1.095, 30)))
    back = fallen.copy()
    back[-1] = 1.0985
    # Below its average a reversion trade still has its way to go, though the trend is against it.
    assert codes(decision(inputs(pair(fallen, quantity=Decimal("10000"))))) == ["hold"]
    assert codes(decision(inputs(pair(back, quantity=Decimal("10000"))))) == ["edge_gone"]


def test_a_volatile_pair_is_watched_only() -> None:
    from assets.forex import strategy

    view = View(
        regime=Regime.VOLATILE,
        trend=0.9,
        stretch=3.0,
        volatility=0.3,
        percentile=0.99,
        stop_ratio=0.01,
        bars=200,
    )
    side, reason = strategy._signal(view, PARAMS)
    assert (side, reason.code) == (0.0, "regime_unsuited")


def test_one_bar_too_few_is_no_judgement() -> None:
    assert decision(inputs(pair(rising(32)))) is None
    assert decision(inputs(pair(rising(33)))) is not None


def test_a_flat_price_neither_divides_by_zero_nor_trades() -> None:
    target = decision(inputs(pair(np.full(100, 1.1))))
    assert target is not None and target.weight == 0.0


def test_real_eurusd_of_may_2014_is_traded_and_flat_at_the_week_s_end() -> None:
    bars = testkit.shared_bars("forex/EURUSD_15m_2024", first="2024-05-06", last="2024-05-11")
    calendar, quantity, entries = calendars.get("fx-week"), Decimal(0), 0
    for end in range(100, len(bars) + 1):
        now = testkit.at(int(bars.ts[end - 1]) + 900)
        if not calendar.is_open(now):
            continue
        window = testkit.series("EURUSD", "15m", bars.take(slice(max(0, end - 200), end)))
        held = Pair(bars=window, bar_s=900, scale=QUARTER, is_fresh=True, quantity=quantity)
        target = decision(inputs(held, now=now))
        if target is None:
            continue
        if target.weight and not quantity:
            quantity, entries = Decimal(10_000 if target.weight > 0 else -10_000), entries + 1
        elif target.closes:
            quantity = Decimal(0)
    assert entries >= 1
    assert quantity == 0


def test_a_view_of_real_minutes_is_finite() -> None:
    bars = testkit.shared_bars("forex/EURUSD_15m_2024", first="2024-02-05", last="2024-02-08")
    view = assess(
        Pair(bars=testkit.series("EURUSD", "15m", bars), bar_s=900, scale=QUARTER, is_fresh=True), PARAMS
    )
    assert view.regime is not Regime.UNKNOWN
    assert 0.01 < view.volatility < 0.3
    assert np.isfinite([view.trend, view.stretch, view.percentile]).all()


def test_defaults_of_the_schema_are_those_of_the_dataclass() -> None:
    assert read({}) == ForexParams()
    assert set(defaults(SCHEMA)) == set(ForexParams.__dataclass_fields__)
