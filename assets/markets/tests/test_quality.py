"""The gate alone: what it lets in and what it names."""

import numpy as np
import pytest

from assets.markets import quality
from assets.markets.quality import Reason
from assets.markets.series import Bars, bars_of, concat
from assets.markets.testkit.bars import changed, walk

from .conftest import NOW, START

FAR = int(NOW.timestamp())


def judge(bars: Bars, **values):
    options = {"length_s": 60, "grain_s": 60, "now_ts": FAR} | values
    return quality.check(bars, **options)


def reasons(verdict) -> dict[str, int]:
    found = [verdict.reason(index).value for index in np.flatnonzero(~verdict.accepted)]
    return {reason: found.count(reason) for reason in set(found)}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"close": float("nan")}, Reason.NAN),
        ({"volume": float("inf")}, Reason.NAN),
        ({"open": 0.0}, Reason.NEGATIVE),
        ({"low": -5.0}, Reason.NEGATIVE),
        ({"volume": -1.0}, Reason.NEGATIVE),
        ({"high": 90.0, "low": 110.0, "open": 100.0}, Reason.HIGH_BELOW_LOW),
        ({"close": 101.0, "high": 100.5}, Reason.OUTSIDE_RANGE),
        ({"open": 99.0, "low": 99.5}, Reason.OUTSIDE_RANGE),
    ],
)
def test_a_broken_bar_is_refused_with_its_reason_and_its_neighbours_stay(values, reason):
    bars = changed(walk(50, start=START), 20, **values)
    verdict = judge(bars)
    assert reasons(verdict) == {reason.value: 1}
    assert not verdict.accepted[20]


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_f37_a_shifted_decimal_point_is_refused_even_when_much_was_traded(factor):
    bars = walk(200, start=START)
    price = float(bars.close[100])
    prices = dict.fromkeys(("open", "high", "low", "close"), price * factor)
    verdict = judge(changed(bars, 100, **prices, volume=5_000.0))
    assert reasons(verdict) == {"spike": 1}
    assert not verdict.accepted[100]


def test_f37_a_burst_of_bad_ticks_does_not_confirm_itself():
    bars = walk(200, start=START)
    for index in (100, 101):
        bars = changed(bars, index, open=1000.0, high=1000.0, low=1000.0, close=1000.0)
    assert reasons(judge(bars)) == {"spike": 2}


def test_f37_a_bad_high_alone_is_refused():
    assert reasons(judge(changed(walk(200, start=START), 100, high=1000.0))) == {"spike": 1}


def crash(count_after: int, *, volume: float) -> Bars:
    """A quiet market, a fall by 40 % in one minute, and some minutes at the new level."""
    before = walk(150, start=START)
    level = float(before.close[-1])
    first = int(before.ts[-1]) + 60
    fall = [(first, level, level, level * 0.6, level * 0.6, volume)]
    after = [
        (first + 60 * (i + 1), level * 0.6, level * 0.61, level * 0.59, level * 0.6, 10.0)
        for i in range(count_after)
    ]
    return concat((before, bars_of(fall + after)))


def test_f37_a_crash_confirmed_by_the_following_bars_is_accepted():
    assert reasons(judge(crash(3, volume=10.0))) == {}


def test_f37_a_crash_confirmed_by_volume_is_accepted_at_once():
    assert reasons(judge(crash(0, volume=500.0))) == {}


def test_f37_the_same_crash_without_confirmation_waits():
    assert reasons(judge(crash(0, volume=10.0))) == {"spike": 1}


def test_the_unfinished_bar_is_refused():
    bars = walk(10, start=START)
    closing = int(bars.ts[-1]) + 60
    assert reasons(judge(bars, now_ts=closing)) == {}
    assert reasons(judge(bars, now_ts=closing - 1)) == {"unclosed": 1}


def test_a_bar_beside_the_grid_is_refused():
    bars = changed(walk(10, start=START), 4, ts=int(START.timestamp()) + 4 * 60 + 7)
    assert reasons(judge(bars)) == {"misaligned": 1}


def test_f36_shuffled_and_repeated_bars_give_the_same_as_clean_ones():
    bars = walk(300, start=START)
    rng = np.random.default_rng(3)
    mess = bars.take(np.concatenate((rng.permutation(300), rng.integers(0, 300, 60))))
    clean, messy = judge(bars), judge(mess)
    assert messy.repeats == 60
    for a, b in zip(clean.bars.columns(), messy.bars.take(messy.accepted).columns(), strict=True):
        assert np.array_equal(a, b)


def test_a_conflicting_duplicate_is_refused_and_the_first_one_stands():
    bars = walk(20, start=START)
    other = changed(bars, 5, volume=999.0).take(slice(5, 6))
    verdict = judge(concat((bars, other)))
    assert reasons(verdict) == {"duplicate": 1}
    kept = verdict.bars.take(verdict.accepted)
    assert kept.volume[5] == bars.volume[5]


def test_a_sound_bar_replaces_a_broken_one_of_the_same_time():
    bars = walk(20, start=START)
    broken = changed(bars, 5, close=float("nan")).take(slice(5, 6))
    verdict = judge(concat((broken, bars)))
    assert reasons(verdict) == {"nan": 1}
    assert int(verdict.accepted.sum()) == 20
