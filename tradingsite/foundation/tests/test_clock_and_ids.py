from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection

from tradingsite.foundation import clock, ids

NOON = datetime(2024, 5, 14, 12, tzinfo=UTC)


def test_the_real_clock_is_aware_utc_and_moves() -> None:
    first = clock.now()
    assert first.tzinfo is UTC
    assert clock.now() >= first and clock.monotonic() <= clock.monotonic()


def test_a_clock_is_used_inside_the_block_only() -> None:
    with clock.use(clock.FixedClock(NOON)):
        assert clock.now() == NOON
        with clock.use(clock.FixedClock(NOON + timedelta(1))):
            assert clock.now() == NOON + timedelta(1)
        assert clock.now() == NOON
    assert clock.now() > NOON


def test_the_virtual_clock_only_goes_forward() -> None:
    virtual = clock.VirtualClock(NOON)
    assert virtual.advance(timedelta(minutes=5)) == NOON + timedelta(minutes=5)
    assert virtual.advance_to(NOON.replace(hour=13)) == virtual.now()
    with pytest.raises(ValueError, match="cannot go back"):
        virtual.advance_to(NOON)


def test_other_zones_become_utc_and_naive_times_are_refused() -> None:
    paris = timezone(timedelta(hours=2))
    assert clock.FixedClock(datetime(2024, 5, 14, 14, tzinfo=paris)).now() == NOON
    with pytest.raises(ValueError, match="time zone"):
        clock.FixedClock(datetime(2024, 5, 14))  # noqa: DTZ001


@pytest.mark.django_db
def test_the_database_clock_is_close_to_ours_and_yields_to_a_fixed_one() -> None:
    assert abs(clock.db_now() - clock.now()) < timedelta(seconds=60)
    with clock.use(clock.FixedClock(NOON)):
        assert clock.db_now() == NOON
    assert connection.vendor in ("sqlite", "postgresql")


def test_client_order_ids_are_deterministic_short_and_unambiguous() -> None:
    one = ids.client_order_id("run", 7, "BTC/USDT")
    assert one == ids.client_order_id("run", 7, "BTC/USDT")
    assert len(one) == 32 and one.startswith("ts") and one.isalnum() and one.isascii()
    assert ids.client_order_id("a", "bc") != ids.client_order_id("ab", "c")
    assert len({ids.client_order_id(n) for n in range(2000)}) == 2000


def test_request_ids_differ() -> None:
    assert ids.request_id() != ids.request_id()
