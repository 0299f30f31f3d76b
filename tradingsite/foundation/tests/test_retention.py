"""Old rows go in small transactions, in order, and what is referred to stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction

from tradingsite.foundation import alerts, clock, retention
from tradingsite.foundation.models import Alert, AlertEvent, ApiToken

pytestmark = pytest.mark.django_db
NOW = datetime(2024, 5, 14, 12, tzinfo=UTC)


def nothing() -> None:
    """A guard that always agrees."""


@pytest.fixture(autouse=True)
def time() -> Iterator[clock.VirtualClock]:
    with clock.use(clock.VirtualClock(NOW)) as virtual:
        yield virtual


def _alerts(count: int, age: timedelta, *, resolved: bool = True) -> None:
    at = NOW - age
    rows = Alert.objects.bulk_create(
        Alert(
            key=f"{age}:{n}", code="x", severity="info", first_seen_at=at, last_seen_at=at,
            status="resolved" if resolved else "open", resolved_at=at if resolved else None,
        )
        for n in range(count)
    )  # fmt: skip
    AlertEvent.objects.bulk_create(
        AlertEvent(alert=row, event="resolve", from_status="open", to_status="resolved", at=at)
        for row in rows
    )


def test_resolved_alerts_go_after_their_time_with_their_events_and_open_ones_stay() -> None:
    _alerts(3, timedelta(days=91))
    _alerts(2, timedelta(days=89))
    _alerts(1, timedelta(days=400), resolved=False)
    assert retention._alerts(NOW, nothing) == {"alerts": 3}
    assert (Alert.objects.count(), AlertEvent.objects.count()) == (3, 3)
    assert retention._alerts(NOW, nothing) == {"alerts": 0}
    alerts.resolve_alert(f"{timedelta(days=400)}:0", NOW)
    assert retention._alerts(NOW, nothing) == {"alerts": 0}  # over since just now


def test_no_transaction_is_larger_than_a_thousand_rows_and_the_guard_is_asked_before_each() -> None:
    _alerts(700, timedelta(days=100))
    sizes: list[int] = []
    asked: list[bool] = []

    def remove(keys: Sequence[int]) -> None:
        sizes.append(len(keys))
        AlertEvent.objects.filter(alert_id__in=keys).delete()
        Alert.objects.filter(pk__in=keys).delete()

    gone = retention.delete(Alert.objects.all(), guard=lambda: asked.append(True), by=remove, rows_each=5)
    assert gone == 700 == sum(sizes) and max(sizes) <= 200
    assert len(asked) == len(sizes)


def test_a_slow_database_gets_smaller_portions(time: clock.VirtualClock) -> None:
    _alerts(400, timedelta(days=100))
    sizes: list[int] = []

    def slow(keys: Sequence[int]) -> None:
        sizes.append(len(keys))
        time.advance(timedelta(milliseconds=2 * len(keys)))  # 25 rows in 50 ms

    retention.delete(Alert.objects.all(), guard=nothing, by=slow)
    assert sizes[0] == 100 and set(sizes[1:-1]) <= set(range(20, 31))


def test_a_guard_that_refuses_ends_it_and_what_is_gone_is_gone() -> None:
    _alerts(500, timedelta(days=100))
    left = iter([None, None])

    def guard() -> None:
        if next(left, "over") == "over":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        retention.delete(Alert.objects.all(), guard=guard)
    assert Alert.objects.count() == 500 - 100 - 200


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_between_portions() -> None:
    _alerts(300, timedelta(days=100))
    seen: list[bool] = []
    retention.delete(Alert.objects.all(), guard=lambda: seen.append(connection.in_atomic_block))
    assert len(seen) > 1 and not any(seen)
    with transaction.atomic():
        assert not Alert.objects.exists()


def test_what_is_referred_to_from_anywhere_is_kept(alice: object) -> None:
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager.filter(pk=alice.pk)  # type: ignore[attr-defined]
    profile = next(r.related_model for r in users.model._meta.related_objects if r.name == "profile")
    others = [r.related_model for r in users.model._meta.related_objects if r.related_model is not ApiToken]
    assert profile in others
    assert not retention.unreferenced(users).exists()  # its profile refers to it
    assert retention.unreferenced(users, apart_from=others).exists()


def test_all_that_is_registered_is_asked_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_purges", {})
    retention.register("a", lambda now, guard: {"a": 2})
    retention.register("b", lambda now, guard: {"b": 3, "c": 0})
    report = retention.forget_old(NOW, guard=nothing)
    assert (report.counts, report.deleted) == ({"a": 2, "b": 3, "c": 0}, 5)


def test_the_default_times() -> None:
    assert (django_settings.RETENTION_DAYS, django_settings.RETENTION_QUEUE_DAYS) == (90, 7)
    assert (django_settings.EQUITY_MINUTE_DAYS, django_settings.EQUITY_HOUR_DAYS) == (14, 365)
