from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _

from tradingsite.foundation import alerts, audit, selectors, transitions
from tradingsite.foundation.errors import Invalid, NotFound
from tradingsite.foundation.models import Alert, AlertEvent, AuditEvent
from tradingsite.foundation.transitions import IllegalTransition

BOB = audit.Actor("user", "2", "bob")


def raise_(now: datetime, severity: str = "warning", key: str = "feed:btc", **params: Any) -> Alert:
    return alerts.raise_alert(
        key=key, code="feed-stale", severity=severity, subject="BTC", params=params, now=now
    )


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    calls: list[int] = []
    monkeypatch.setattr(alerts, "_listeners", [calls.append])
    yield calls


@pytest.mark.django_db
def test_the_same_key_counts_instead_of_repeating(at: datetime) -> None:
    first = raise_(at, age=5)
    again = raise_(at + timedelta(minutes=3), age=8)
    assert again.pk == first.pk
    assert (again.count, again.first_seen_at, again.last_seen_at, again.params) == (
        2,
        at,
        at + timedelta(minutes=3),
        {"age": 8},
    )
    assert raise_(at, key="feed:eth").pk != first.pk


@pytest.mark.django_db
def test_after_resolving_the_same_key_opens_a_new_alert(at: datetime) -> None:
    first = raise_(at)
    resolved = alerts.resolve_alert("feed:btc", at)
    assert resolved is not None and (resolved.status, resolved.resolved_at) == ("resolved", at)
    assert alerts.resolve_alert("feed:btc", at) is None
    second = raise_(at)
    assert second.pk != first.pk and second.count == 1


@pytest.mark.django_db
def test_the_database_allows_one_unresolved_alert_per_key(at: datetime) -> None:
    first = raise_(at)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(key=first.key, code="x", severity="info", first_seen_at=at, last_seen_at=at)


@pytest.mark.django_db
def test_acknowledging_is_audited_and_harmless_twice(at: datetime) -> None:
    alert = raise_(at)
    assert alerts.acknowledge(alert.pk, BOB, at).acknowledged_by == "bob"
    assert alerts.acknowledge(alert.pk, audit.Actor("user", "3", "eve"), at).acknowledged_by == "bob"
    assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 1
    assert raise_(at).status == "acknowledged"


@pytest.mark.django_db
def test_acknowledging_what_is_gone_or_resolved_fails(at: datetime) -> None:
    with pytest.raises(NotFound):
        alerts.acknowledge(4711, BOB, at)
    alert = raise_(at)
    alerts.resolve_alert(alert.key, at)
    with pytest.raises(IllegalTransition):
        alerts.acknowledge(alert.pk, BOB, at)


@pytest.mark.django_db
def test_getting_worse_reopens_and_announces_but_getting_better_does_not(
    at: datetime, told: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        alert = raise_(at)
    with django_capture_on_commit_callbacks(execute=True):
        raise_(at)
    assert told == [alert.pk]
    alerts.acknowledge(alert.pk, BOB, at)
    with django_capture_on_commit_callbacks(execute=True):
        worse = raise_(at, "critical")
    assert (worse.status, worse.severity, told) == ("open", "critical", [alert.pk, alert.pk])
    with django_capture_on_commit_callbacks(execute=True):
        assert raise_(at, "info").severity == "critical"
    assert told == [alert.pk, alert.pk]
    assert list(AlertEvent.objects.order_by("pk").values_list("event", flat=True)) == [
        "acknowledge",
        "escalate",
    ]


@pytest.mark.django_db
def test_an_unknown_severity_is_refused(at: datetime) -> None:
    with pytest.raises(Invalid, match="panic"):
        raise_(at, "panic")


@pytest.mark.django_db(transaction=True)
def test_parallel_raisers_open_one_alert(at: datetime) -> None:
    barrier, errors = Barrier(4), []

    def work() -> None:
        barrier.wait()
        try:
            raise_(at)
        except Exception as e:  # noqa: BLE001
            errors.append(e)
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Alert.objects.get().count == 4


@pytest.mark.django_db
def test_the_text_is_rendered_when_read(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_texts", {})
    alert = raise_(at, age=5)
    assert (alerts.title(alert), alerts.body(alert)) == ("Feed stale", "BTC: age = 5")
    alerts.register_text(
        "feed-stale",
        _("%(subject)s is stale"),
        _("Nothing for %(age)s s, seen %(count)s times, %(unknown)s."),
    )
    assert alerts.title(alert) == "BTC is stale"
    assert alerts.body(alert) == "Nothing for 5 s, seen 1 times, ?."
    alerts.register_text("feed-stale", "100 % wrong", "%(age)d of %(age)d")
    alert.params = {"age": "many"}
    assert (alerts.title(alert), alerts.body(alert)) == ("100 % wrong", "%(age)d of %(age)d")


@pytest.mark.django_db
def test_lists_filter_search_and_put_the_worst_first(at: datetime) -> None:
    raise_(at, "info", key="a")
    raise_(at - timedelta(hours=1), "critical", key="b")
    alerts.acknowledge(raise_(at, "warning", key="c").pk, BOB, at)
    raise_(at, "critical", key="gone")
    alerts.resolve_alert("gone", at)
    assert [row.key for row in selectors.attention()] == ["b", "c", "a"]
    assert [alert.key for alert in selectors.alerts(status=["acknowledged"])] == ["c"]
    assert [alert.key for alert in selectors.alerts(severity="critical", until=at)] == ["b"]
    assert selectors.alerts(q="btc").count() == 4 and selectors.alerts(q="eth").count() == 0
    assert selectors.open_alert_counts() == {"info": 1, "warning": 0, "critical": 1}
    with pytest.raises(NotFound):
        selectors.alert(0)


@pytest.mark.django_db
def test_resolving_while_a_person_acknowledges_does_not_fail(
    at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert, apply = raise_(at), transitions.apply

    def late(row: Any, event: str, **values: Any) -> Any:
        if event == "resolve" and row.status == "open":
            alerts.acknowledge(row.pk, BOB, at)
        return apply(row, event, **values)

    monkeypatch.setattr(transitions, "apply", late)
    resolved = alerts.resolve_alert(alert.key, at)
    assert resolved is not None and (resolved.status, resolved.acknowledged_by) == ("resolved", "bob")
