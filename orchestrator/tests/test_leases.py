"""Roles held by one process at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.models import Lease
from orchestrator.services import leases
from orchestrator.tests.processes import run_together
from tradingsite.foundation import clock


@pytest.mark.django_db
def test_only_one_holds_a_lease(time):
    assert leases.acquire("leader", "a", 10) == 1
    assert leases.acquire("leader", "b", 10) is None


@pytest.mark.django_db
def test_taking_it_again_raises_the_epoch_so_that_old_work_can_be_told(time):
    assert leases.acquire("leader", "a", 10) == 1
    assert leases.acquire("leader", "a", 10) == 2
    assert not leases.renew("leader", "a", 1, 10)
    assert leases.renew("leader", "a", 2, 10)


@pytest.mark.django_db
def test_an_expired_lease_is_taken_over_and_the_old_holder_refused(time):
    epoch = leases.acquire("leader", "a", 10)
    time.advance(timedelta(seconds=9))
    assert leases.acquire("leader", "b", 10) is None
    time.advance(timedelta(seconds=1))
    assert leases.acquire("leader", "b", 10) == 2
    assert not leases.renew("leader", "a", epoch, 10)
    assert not leases.release("leader", "a", epoch)


@pytest.mark.django_db
def test_a_renewed_lease_lives_on(time):
    epoch = leases.acquire("leader", "a", 10)
    time.advance(timedelta(seconds=8))
    assert leases.renew("leader", "a", epoch, 10)
    time.advance(timedelta(seconds=8))
    assert leases.acquire("leader", "b", 10) is None


@pytest.mark.django_db
def test_a_released_lease_is_free_at_once(time):
    epoch = leases.acquire("leader", "a", 10)
    assert leases.release("leader", "a", epoch)
    assert leases.acquire("leader", "b", 10) == 2


@pytest.mark.django_db
def test_a_lease_from_a_clock_that_was_set_back_protects_nobody(time):
    leases.acquire("leader", "a", 10)
    Lease.objects.update(expires_at=time.now() + timedelta(hours=1))
    assert leases.acquire("leader", "b", 10) == 2


def _try(holder: str) -> int | None:
    clock.set_clock(clock.RealClock())
    return leases.acquire("contested", holder, 10)


@pytest.mark.django_db(transaction=True)
def test_of_six_processes_one_gets_the_lease():
    answers = run_together(*[(_try, (f"p{i}",)) for i in range(6)])
    assert sorted(answer for answer in answers if answer is not None) == [1]
    assert Lease.objects.get(pk="contested").epoch == 1


def _fight(holder: str, wins: int) -> list[int]:
    clock.set_clock(clock.RealClock())
    won = []
    for _attempt in range(20_000):
        if len(won) == wins:
            break
        epoch = leases.acquire("contested", holder, 10)
        if epoch is not None:
            won.append(epoch)
            assert leases.release("contested", holder, epoch)
    return won


@pytest.mark.django_db(transaction=True)
def test_no_epoch_is_ever_given_twice():
    first, second = run_together((_fight, ("a", 30)), (_fight, ("b", 30)))
    assert len(first) == len(second) == 30
    assert len(set(first) | set(second)) == 60


@pytest.mark.django_db(transaction=True)
def test_a_host_with_a_wrong_clock_cannot_take_a_living_lease_on_postgresql():
    from django.db import connection

    if connection.vendor != "postgresql":
        pytest.skip("on SQLite all processes share the clock of one host")
    assert leases.acquire("leader", "a", 10) == 1
    # RealClock asks the database; a clock 30 s ahead in this process must not matter.

    class Ahead(clock.RealClock):
        def now(self):
            return super().now() + timedelta(seconds=30)

    with clock.use(Ahead()):
        assert leases.acquire("leader", "b", 10) is None
