"""One budget for all processes."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from assets.markets import ratelimit
from assets.markets.models import RateBudget

from .conftest import NOW


@pytest.mark.django_db
def test_weight_is_taken_until_the_window_is_full_and_comes_back_with_the_next():
    ratelimit.configure("toy", ratelimit.Limit(10, 60))
    assert [ratelimit.spend("toy", 4, NOW) for _ in range(3)] == [True, True, False]
    assert ratelimit.used_ratio("toy", NOW) == 0.8
    assert ratelimit.spend("toy", 2, NOW)
    later = NOW + timedelta(seconds=60)
    assert ratelimit.used_ratio("toy", later) == 0
    assert ratelimit.spend("toy", 10, later)
    assert not ratelimit.spend("toy", 11, later + timedelta(minutes=1))


@pytest.mark.django_db
def test_a_block_holds_until_its_end_and_a_shorter_one_does_not_cut_it():
    until = NOW + timedelta(minutes=5)
    ratelimit.block("toy", until)
    ratelimit.block("toy", NOW + timedelta(minutes=1))
    assert ratelimit.blocked_until("toy", NOW) == until
    assert not ratelimit.spend("toy", 1, until - timedelta(seconds=1))
    assert ratelimit.used_ratio("toy", NOW) == 1
    assert ratelimit.spend("toy", 1, until)


@pytest.mark.django_db
def test_what_the_venue_counts_is_believed_when_it_is_more():
    ratelimit.configure("toy", ratelimit.Limit(100, 60))
    ratelimit.spend("toy", 10, NOW)
    ratelimit.record_used("toy", 80, NOW)
    ratelimit.record_used("toy", 5, NOW)
    assert ratelimit.used_ratio("toy", NOW) == 0.8
    assert not ratelimit.spend("toy", 21, NOW)


@pytest.mark.django_db
def test_a_clock_that_is_behind_does_not_open_an_old_window_again():
    ratelimit.configure("toy", ratelimit.Limit(10, 60))
    assert ratelimit.spend("toy", 10, NOW)
    assert not ratelimit.spend("toy", 5, NOW - timedelta(minutes=3))


@pytest.mark.django_db(transaction=True)
def test_many_spenders_at_once_never_exceed_the_limit():
    ratelimit.configure("toy", ratelimit.Limit(25, 60))
    ratelimit.spend("toy", 1, NOW)
    taken: list[bool] = []

    def spender() -> None:
        try:
            taken.extend(ratelimit.spend("toy", 1, NOW) for _ in range(15))
        finally:
            connection.close()

    threads = [threading.Thread(target=spender) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 24
    assert RateBudget.objects.get(venue="toy").used == 25
