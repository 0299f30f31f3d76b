"""Anybody may ask whether the site is ready; asking often must not cost the database anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tradingsite.foundation import clock, readiness

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def time() -> Iterator[clock.VirtualClock]:
    readiness.forget()
    with clock.use(clock.VirtualClock(datetime(2024, 5, 14, 12, tzinfo=UTC))) as virtual:
        yield virtual
    readiness.forget()


def test_asking_a_hundred_times_in_a_second_asks_the_database_once(time: clock.VirtualClock) -> None:
    client = Client()
    assert client.get("/readyz").status_code == 200
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            assert client.get("/readyz").json()["status"] == "ready"
    assert len(queries) == 0


def test_trouble_is_told_a_second_later_and_so_is_its_end(
    time: clock.VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert readiness.components()["cache"]
    monkeypatch.setitem(readiness._checks, "cache", lambda: False)
    time.advance(timedelta(seconds=1))
    assert Client().get("/readyz").status_code == 503
    monkeypatch.setitem(readiness._checks, "cache", lambda: True)
    time.advance(timedelta(seconds=1))
    assert Client().get("/readyz").status_code == 200


def test_those_who_ask_at_once_wait_for_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        asked.append(1)
        begun.set()
        return go_on.wait(10)

    monkeypatch.setattr(readiness, "_checks", {"slow": slow})
    threads = [threading.Thread(target=readiness.components) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert len(asked) == 1


def test_what_one_caller_does_with_the_answer_is_not_seen_by_the_next() -> None:
    readiness.components().clear()
    assert set(readiness.components()) == {"database", "migrations", "cache", "queue"}
