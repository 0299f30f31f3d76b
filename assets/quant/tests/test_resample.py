"""Longer bars from shorter ones: hand-computed, and never from the future."""

import numpy as np
import pytest

from assets.quant.resample import resample


def columns(times, opened, high, low, close, volume):
    return (
        np.asarray(times, dtype=np.int64),
        *(np.asarray(c, dtype=float) for c in (opened, high, low, close, volume)),
    )


FIVE = columns(
    [0, 60, 120, 240, 300],
    [10, 11, 12, 13, 14],
    [11, 15, 13, 14, 20],
    [9, 10, 8, 12, 13],
    [11, 12, 13, 14, 15],
    [1, 2, 3, 4, 5],
)


def test_the_first_open_highest_high_lowest_low_last_close_and_sum_of_volume():
    ts, opened, high, low, close, volume = resample(*FIVE, length_s=60, target_s=300, end_ts=600)
    assert ts.tolist() == [0, 300]
    assert (opened[0], high[0], low[0], close[0], volume[0]) == (10, 15, 8, 14, 10)
    assert (opened[1], high[1], low[1], close[1], volume[1]) == (14, 20, 13, 15, 5)


@pytest.mark.parametrize(("end", "expected"), [(299, []), (300, [0]), (599, [0]), (600, [0, 300])])
def test_a_bucket_comes_out_when_it_has_ended(end, expected):
    assert resample(*FIVE, length_s=60, target_s=300, end_ts=end)[0].tolist() == expected


def test_a_bar_that_closes_after_the_end_is_not_read():
    later = columns([0, 60, 299], [1, 1, 1], [1, 1, 99], [1, 1, 1], [1, 1, 99], [1, 1, 1])
    _, _, high, _, close, _ = resample(*later, length_s=60, target_s=300, end_ts=300)
    assert (high.tolist(), close.tolist()) == ([1], [1])


def test_an_empty_bucket_is_left_out_and_not_filled():
    gap = columns([0, 900], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2])
    assert resample(*gap, length_s=60, target_s=300, end_ts=2000)[0].tolist() == [0, 900]


def test_buckets_start_at_the_anchor():
    assert resample(*FIVE, length_s=60, target_s=300, end_ts=900, anchor_s=120)[0].tolist() == [-180, 120]


def test_lengths_must_divide():
    with pytest.raises(ValueError, match="cannot be made"):
        resample(*FIVE, length_s=60, target_s=90, end_ts=900)
