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


@pytest.mark.django_db
def test_a_wrong_machine_is_right_as_soon_as_it_has_asked_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite the machine's clock is the only one")
    truth = clock.RealClock().host_now()
    with clock.use(Counted(truth + timedelta(hours=1))):
        assert clock.now() > truth + timedelta(minutes=59)
        clock.db_now()
        assert abs(clock.now() - truth) < timedelta(seconds=60)
        assert 3500 < clock.off_s() < 3700


class Counted(clock.RealClock):
    """A machine whose own clock says what the test wants."""

    def __init__(self, says: datetime) -> None:
        self.says = says

    def host_now(self) -> datetime:
        return self.says


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds on the counter between two corrections, changed by the test."""
    seconds = [100.0]
    monkeypatch.setattr(clock, "_counter", lambda: seconds[0])
    return seconds


def test_a_machine_that_is_wrong_goes_by_the_database_from_the_first_answer_on(counter: list[float]) -> None:
    ours = Counted(NOON + timedelta(seconds=30))
    assert ours.now() == NOON + timedelta(seconds=30)
    ours.agree(NOON, 100.0, 100.0)
    assert ours.now() == NOON
    counter[0] += 7.5
    ours.says -= timedelta(hours=1)  # it jumps: nobody minds
    assert ours.now() == NOON + timedelta(seconds=7.5)
    with clock.use(ours):
        assert clock.off_s() == pytest.approx(30 - 3600 - 7.5)
        assert clock.host_now() == ours.says


def test_an_answer_corrects_no_more_than_it_proves(counter: list[float]) -> None:
    ours = Counted(NOON)
    ours.agree(NOON, 100.0, 100.0)
    # Half a minute asleep in the middle of the question: the answer is thirty seconds old when it is read.
    counter[0] = 130.0
    ours.agree(NOON + timedelta(seconds=0.1), 100.0, 130.0)
    assert ours.now() == NOON + timedelta(seconds=30)
    # A quick answer proves that we are 2 s behind; what it leaves open (0.2 s) is decided for the smaller step.
    ours.agree(NOON + timedelta(seconds=32.2), 130.0, 130.2)
    assert ours.now() == NOON + timedelta(seconds=32)
    ours.agree(NOON + timedelta(seconds=20), 130.0, 130.2)
    assert ours.now() == NOON + timedelta(seconds=20)


def test_client_order_ids_are_deterministic_short_and_unambiguous() -> None:
    one = ids.client_order_id("run", 7, "BTC/USDT")
    assert one == ids.client_order_id("run", 7, "BTC/USDT")
    assert len(one) == 32 and one.startswith("ts") and one.isalnum() and one.isascii()
    assert ids.client_order_id("a", "bc") != ids.client_order_id("ab", "c")
    assert len({ids.client_order_id(n) for n in range(2000)}) == 2000


def test_request_ids_differ() -> None:
    assert ids.request_id() != ids.request_id()
