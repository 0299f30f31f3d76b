"""Hand-computed tables, and two properties of every indicator: causal, and closed to NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from assets.quant import indicators as ind

NAN = math.nan


def table(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def walk(size: int = 400, seed: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, size)))
    spread = np.abs(rng.normal(0.0, 0.004, size)) * close
    return {
        "close": close,
        "high": close + spread,
        "low": close - spread,
        "volume": rng.uniform(0.0, 1e12, size),
    }


CAUSAL: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "sma": lambda b: ind.sma(b["close"], 7),
    "ema": lambda b: ind.ema(b["close"], 12),
    "ema of a long span": lambda b: ind.ema(b["close"], 90),
    "rolling_std": lambda b: ind.rolling_std(b["close"], 20),
    "rolling_max": lambda b: ind.rolling_max(b["high"], 9),
    "rolling_min": lambda b: ind.rolling_min(b["low"], 9),
    "zscore": lambda b: ind.zscore(b["close"], 20),
    "rate_of_change": lambda b: ind.rate_of_change(b["close"], 10),
    "rsi": lambda b: ind.rsi(b["close"], 14),
    "true_range": lambda b: ind.true_range(b["high"], b["low"], b["close"]),
    "atr": lambda b: ind.atr(b["high"], b["low"], b["close"], 14),
    "bollinger": lambda b: np.stack(ind.bollinger(b["close"], 20, 2.0)),
    "macd": lambda b: np.stack(ind.macd(b["close"])),
    "vwap": lambda b: ind.vwap(b["high"], b["low"], b["close"], b["volume"], 30),
    "volume_ratio": lambda b: ind.volume_ratio(b["volume"], 30),
    "drawdown": lambda b: ind.drawdown(b["close"]),
}


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("cut", [1, 2, 15, 60, 399])
def test_an_indicator_does_not_change_when_the_future_is_cut_off(name: str, cut: int) -> None:
    bars = walk()
    whole = np.atleast_2d(CAUSAL[name](bars))
    part = np.atleast_2d(CAUSAL[name]({key: value[:cut] for key, value in bars.items()}))
    assert part.shape[1] == cut
    np.testing.assert_array_equal(whole[:, :cut], part)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_an_indicator_refuses_a_hole_but_takes_the_same_bars_without_it(name: str, poison: float) -> None:
    bars = walk(100)
    CAUSAL[name](bars)
    holed = {key: value.copy() for key, value in bars.items()}
    for series in holed.values():
        series[50] = poison
    with pytest.raises(ValueError, match="position 50"):
        CAUSAL[name](holed)


def test_sma_of_five_numbers() -> None:
    np.testing.assert_allclose(ind.sma([1, 2, 3, 4, 8], 3), [NAN, NAN, 2, 3, 5])


def test_sma_of_fewer_bars_than_its_window_is_unknown() -> None:
    assert np.isnan(ind.sma([1, 2], 3)).all()


def test_ema_starts_with_the_mean_and_moves_half_way_at_span_three() -> None:
    # span 3: weight 0.5; start (1+2+3)/3 = 2; 2 -> 3 -> 5.5
    np.testing.assert_allclose(ind.ema([1, 2, 3, 4, 8], 3), [NAN, NAN, 2, 3, 5.5])


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.9, 0.999, 0.999999])
def test_the_blockwise_recurrence_equals_the_loop(keep: float) -> None:
    values = np.random.default_rng(3).normal(0.0, 1.0, 9000)
    slow = np.empty(values.size)
    slow[0] = 5.0
    for t in range(1, values.size):
        slow[t] = keep * slow[t - 1] + (1.0 - keep) * values[t]
    np.testing.assert_allclose(ind.recurrence(values, keep, 5.0), slow, atol=1e-12, rtol=1e-9)


def test_rsi_table() -> None:
    # steps +1 +1 -1 +2 -1, window 2: averages (1, 0) (0.5, 0.5) (1.25, 0.25) (0.625, 0.625)
    np.testing.assert_allclose(ind.rsi([10, 11, 12, 11, 13, 12], 2), [NAN, NAN, 100, 50, 250 / 3, 50])


def test_rsi_of_a_flat_price_is_fifty_and_of_a_rising_one_a_hundred() -> None:
    assert ind.rsi([5.0] * 20, 14)[-1] == 50.0
    assert ind.rsi(np.arange(1.0, 21.0), 14)[-1] == 100.0


def test_true_range_counts_the_gap_from_the_close_before() -> None:
    np.testing.assert_allclose(ind.true_range([10, 15, 9], [8, 13, 7], [9, 14, 8]), [2, 6, 7])


def test_atr_table() -> None:
    # true ranges 2, 6, 7; window 2: mean 4, then (4 + 7) / 2
    np.testing.assert_allclose(ind.atr([10, 15, 9], [8, 13, 7], [9, 14, 8], 2), [NAN, 4, 5.5])


def test_true_range_refuses_a_bar_upside_down() -> None:
    with pytest.raises(ValueError, match="high is below low at position 1"):
        ind.true_range([10, 9], [8, 10], [9, 9.5])


def test_bollinger_table() -> None:
    bands = ind.bollinger([1, 3, 5], 2, 2.0)
    np.testing.assert_allclose(bands.middle, [NAN, 2, 4])
    np.testing.assert_allclose(bands.upper, [NAN, 4, 6])
    np.testing.assert_allclose(bands.lower, [NAN, 0, 2])


def test_zscore_of_a_flat_window_is_unknown_and_of_a_step_is_not() -> None:
    assert np.isnan(ind.zscore([0.1] * 5, 3)).all()
    np.testing.assert_allclose(ind.zscore([1.0, 1.0, 4.0], 3)[-1], 2 / math.sqrt(2))


def test_rate_of_change_table() -> None:
    np.testing.assert_allclose(ind.rate_of_change([10, 11, 12, 22], 2), [NAN, NAN, 0.2, 1.0])


def test_vwap_weighs_by_volume_and_is_unknown_without_any() -> None:
    price = [1.0, 4.0, 4.0, 4.0]
    np.testing.assert_allclose(ind.vwap(price, price, price, [1, 2, 0, 0], 2), [NAN, 3.0, 4.0, NAN])


def test_volume_ratio_compares_with_the_bars_before() -> None:
    np.testing.assert_allclose(ind.volume_ratio([1, 3, 8, 2], 2), [NAN, NAN, 4.0, 2 / 5.5])


def test_drawdown_table() -> None:
    np.testing.assert_allclose(ind.drawdown([10, 12, 9, 12, 6]), [0, 0, -0.25, 0, -0.5])


def test_macd_of_a_constant_is_zero() -> None:
    result = ind.macd([7.0] * 60)
    assert np.isnan(result.line[24]) and result.line[25] == pytest.approx(0.0)
    assert np.isnan(result.signal[32]) and result.signal[33] == pytest.approx(0.0)


@pytest.mark.parametrize("window", [0, -1, 2.5, True])
def test_a_window_must_be_a_whole_number_above_zero(window: float) -> None:
    with pytest.raises(ValueError, match="window"):
        ind.sma([1, 2, 3], window)  # type: ignore[arg-type]
