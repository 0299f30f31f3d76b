"""Each pair of tests differs in one thing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from assets.meme_coins.params import SCHEMA, MemeParams, read
from assets.meme_coins.strategy import Coin, MemeInputs, Score, decide, score, stop_ratio
from assets.research import testkit
from assets.trading.targets import Target
from orchestrator.params import defaults
from tradingsite.foundation.errors import Invalid

PARAMS = MemeParams()
START = 0.10


def rally(*, burst: float = 4.0, gain: float = 0.05, size: int = 300) -> testkit.Bars:
    """Four quiet hours, then a rise of `gain` over the last half hour on `burst` times the volume."""
    noise = testkit.walk(size - 30, sigma=0.0005, start=START)
    rise = noise[-1] * np.exp(np.linspace(0.0, gain, 31)[1:])
    volume = np.full(size, 1e6)
    volume[-15:] *= burst
    return testkit.bars(np.concatenate((noise, rise)), volume=volume)


def coin(bars: testkit.Bars | None = None, **values: object) -> Coin:
    made = Coin(
        bars=testkit.series("DOGEUSDT", "1m", bars if bars is not None else rally()), bar_s=60, is_fresh=True,
        spread_bps=2.0,
    )  # fmt: skip
    return replace(made, **values)


def decision(what: Coin, params: MemeParams = PARAMS) -> Target | None:
    found = decide(MemeInputs(now=testkit.at(testkit.T0), coins={"DOGEUSDT": what}, params=params))
    return found[0] if found else None


def codes(target: Target | None) -> list[str]:
    assert target is not None
    return [reason.code for reason in target.reasons]


def test_a_strong_loud_liquid_coin_is_bought_with_the_risk_of_its_stop() -> None:
    target = decision(coin())
    assert codes(target) == ["momentum", "volume_burst", "size_risk"]
    measured = score(coin(), PARAMS)
    assert target is not None and target.weight == pytest.approx(min(0.005 / measured.stop_ratio, 0.20))
    assert 0.03 < measured.stop_ratio < 0.045  # it is louder than usual: a wider stop, a smaller position


def test_the_same_coin_is_not_bought_when_the_volume_is_usual() -> None:
    target = decision(coin(rally(burst=1.0)))
    assert target is not None and target.weight == 0.0
    assert codes(target) == ["volume_quiet"]


def test_the_same_coin_is_not_bought_when_the_price_stays() -> None:
    assert codes(decision(coin(rally(gain=0.0)))) == ["momentum_weak"]


def test_the_same_coin_is_not_bought_when_little_is_traded() -> None:
    thin = rally()
    thin.volume[:] = thin.volume / 1000.0
    assert codes(decision(coin(thin))) == ["liquidity_low"]


def test_the_same_coin_is_not_bought_when_its_spread_is_wide() -> None:
    assert codes(decision(coin(spread_bps=31.0))) == ["spread_wide"]


def test_a_coin_with_stale_data_is_left_alone() -> None:
    assert decision(coin(is_fresh=False)) is None


def test_a_coin_with_29_bars_is_left_alone_and_with_30_it_is_judged() -> None:
    bars = rally()
    assert decision(coin(bars.take(slice(-29, None)))) is None
    assert decision(coin(bars.take(slice(-30, None)))) is not None


def test_a_held_coin_is_kept_while_it_is_strong() -> None:
    held = coin(quantity=Decimal("1000"))
    target = decision(held)
    assert target is not None and target.quantity == Decimal("1000")
    assert codes(target) == ["hold"]


def test_a_held_coin_is_sold_when_its_strength_is_gone() -> None:
    fallen = coin(rally(gain=-0.01), quantity=Decimal("1000"))
    target = decision(fallen)
    assert codes(target) == ["momentum_gone"]
    assert target is not None and target.closes


def test_the_stop_follows_the_range_between_its_limits() -> None:
    calm = testkit.series("X", "1m", testkit.bars(testkit.walk(200, sigma=0.0001)))
    wild = testkit.series("X", "1m", testkit.bars(testkit.walk(200, sigma=0.006), reach=0.001))
    assert stop_ratio(calm, 60, PARAMS) == 0.03
    assert 0.03 < stop_ratio(wild, 60, PARAMS) < 0.15
    assert stop_ratio(wild, 60, replace(PARAMS, stop_max=0.04)) == 0.04


def test_a_flat_price_has_no_strength_and_no_division_by_zero() -> None:
    flat = score(coin(testkit.bars([0.1] * 100, volume=0.0, reach=0.0)), PARAMS)
    assert flat.strength == 0.0
    assert np.isnan(flat.burst)


def test_cutting_off_the_future_changes_no_decision() -> None:
    whole = testkit.shared_bars("meme_coins/DOGEUSDT_1m_202104", first="2021-04-14", last="2021-04-15")
    for end in range(400, len(whole), 97):
        part = whole.take(slice(end - 300, end))
        alone = decision(coin(part))
        assert alone == decision(coin(whole.take(slice(0, end)).take(slice(-300, None))))


def test_real_doge_in_april_2021_is_bought_during_its_rise_and_left_again() -> None:
    bars = testkit.shared_bars("meme_coins/DOGEUSDT_1m_202104", first="2021-04-15T12", last="2021-04-17")
    quantity, entries, exits = Decimal(0), 0, 0
    for end in range(300, len(bars), 2):
        target = decision(coin(bars.take(slice(end - 300, end)), quantity=quantity))
        assert target is not None
        if target.weight and not quantity:
            quantity, entries = Decimal(1000), entries + 1
        elif target.closes and quantity:
            quantity, exits = Decimal(0), exits + 1
    assert entries >= 3
    assert entries - exits in (0, 1)


def test_five_minute_bars_are_judged_on_the_same_windows() -> None:
    bars = testkit.shared_bars("meme_coins/PEPEUSDT_5m_202401", first="2024-02-27", last="2024-02-29")
    measured = score(coin(bars, bar_s=300), PARAMS)
    assert (
        isinstance(measured, Score)
        and np.isfinite([measured.strength, measured.burst, measured.turnover]).all()
    )


def test_defaults_of_the_schema_are_those_of_the_dataclass() -> None:
    assert read({}) == MemeParams()
    assert set(defaults(SCHEMA)) == set(MemeParams.__dataclass_fields__)


def test_a_parameter_out_of_range_is_refused_by_name() -> None:
    assert read({"max_position": 0.5}).max_position == 0.5
    with pytest.raises(Invalid, match="Largest position"):
        read({"max_position": 0.51})


def test_kelly_buys_nothing_without_a_proven_edge_and_shows_its_numbers_with_one() -> None:
    params = replace(PARAMS, sizing="kelly")
    inputs = MemeInputs(now=testkit.at(testkit.T0), coins={"DOGEUSDT": coin()}, params=params)
    (none,) = decide(inputs)
    assert none.weight == 0.0 and codes(none)[-1] == "size_kelly_too_few"
    (some,) = decide(replace(inputs, record=(0.03, -0.01) * 50))
    assert some.weight is not None and 0.0 < some.weight <= params.kelly_cap
    assert some.sizing["kelly_trades"] == 100 and some.sizing["method"] == "kelly"
