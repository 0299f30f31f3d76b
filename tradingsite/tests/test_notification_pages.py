"""The page of channels, the page of an alert, snoozing, the API and the command."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tradingsite.foundation import alerts, audit
from tradingsite.foundation.models import Alert, AuditEvent
from tradingsite.foundation.notify import channels, messages
from tradingsite.foundation.notify.deliver import Deliverer
from tradingsite.foundation.notify.guard import Undelivered
from tradingsite.foundation.notify.models import Delivery, NotificationChannel
from tradingsite.foundation.testkit import PASSWORD
from tradingsite.foundation.tests.notifykit import Post, make_channel
from tradingsite.tests.test_command_contract import called

pytestmark = pytest.mark.django_db
SECRET = "https://hook.example.org/T0P-SECRET-abcd"
FORM = {
    "kind": "webhook",
    "name": "Phone",
    "address": SECRET,
    "min_severity": "warning",
    "password": PASSWORD,
}


def raise_(at: datetime, severity: str = "critical") -> Alert:
    return alerts.raise_alert(key="feed:btc", code="feed-stale", severity=severity, subject="BTC", now=at)


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_a_channel_is_added_with_the_password_and_its_target_is_never_shown(
    bob: Any, client: Client, at: datetime
) -> None:
    client.force_login(bob)
    answer = client.post(
        "/settings/notifications/add/", {**FORM, "quiet_start": "22:30", "quiet_end": "07:00"}
    )
    assert answer.status_code == 200
    channel = NotificationChannel.objects.get()
    key = re.search(r'<p class="mono">([\w-]{43})</p>', answer.content.decode())
    assert key and (channel.owner, channel.quiet_start.hour) == (bob, 22)
    for path in ("/settings/notifications/", "/api/notifications/"):
        shown = text_of(client, path)
        assert "Phone" in shown and "hook.example.org" in shown
        assert "T0P-SECRET" not in shown and key[1] not in shown and channel.sealed_target not in shown
    assert "T0P-SECRET" not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "wrong"}, "password"), ({"address": "http://127.0.0.1/"}, "address"), ({"address": ""}, "address"),
        ({"name": ""}, "name"), ({"kind": "fax"}, "kind"), ({"quiet_start": "25:00"}, "quiet_start"),
        ({"quiet_start": "22:00"}, "quiet_end"), ({"digest_minutes": "-1"}, "digest_minutes"),
        ({"digest_minutes": "99999"}, "digest_minutes"), ({"min_severity": "x"}, "min_severity"),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_at_its_field_and_nothing_is_saved(
    bob: Any, client: Client, at: datetime, change: dict[str, str], field: str
) -> None:
    client.force_login(bob)
    answer = client.post("/settings/notifications/add/", {**FORM, **change})
    html = answer.content.decode()
    assert answer.status_code == 422 and f'href="#f-{field}"' in html
    assert not NotificationChannel.objects.exists()
    assert PASSWORD not in html and "T0P-SECRET" not in html


def test_the_test_button_shows_success_and_the_exact_error(
    bob: Any, client: Client, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = make_channel(bob, at)
    client.force_login(bob)

    def refuse(*_args: Any) -> None:
        raise Undelivered("The other side answered 404.")

    monkeypatch.setattr(channels, "send", refuse)
    answer = client.post(f"/settings/notifications/{channel.pk}/test/").content.decode()
    assert 'role="alert"' in answer and "The other side answered 404." in answer
    monkeypatch.setattr(channels, "send", lambda *_args: None)
    assert "was taken" in client.post(f"/settings/notifications/{channel.pk}/test/").content.decode()


def test_switching_and_removing(bob: Any, client: Client, at: datetime) -> None:
    channel = make_channel(bob, at)
    client.force_login(bob)
    for expected in (False, True):
        client.post(f"/settings/notifications/{channel.pk}/switch/")
        channel.refresh_from_db()
        assert channel.enabled is expected
    assert client.post(f"/settings/notifications/{channel.pk}/remove/").status_code == 303
    assert not NotificationChannel.objects.exists()


def test_nobody_touches_the_channels_of_others_and_viewers_touch_none(
    alice: Any, bob: Any, charlie: Any, client: Client, at: datetime
) -> None:
    channel = make_channel(bob, at)
    for user, status in ((alice, 404), (charlie, 403)):
        client.force_login(user)
        for verb in ("test", "switch", "remove"):
            assert client.post(f"/settings/notifications/{channel.pk}/{verb}/").status_code == status
        assert "phone" not in text_of(client, "/settings/notifications/")
    client.force_login(charlie)
    assert client.post("/settings/notifications/add/", FORM).status_code == 403
    assert client.get("/api/notifications/").json()["results"] == []


def test_the_page_of_an_alert_says_what_to_do_and_who_was_told(
    alice: Any, bob: Any, client: Client, at: datetime
) -> None:
    make_channel(bob, at)
    dead = make_channel(bob, at, "dead")
    alert, post = raise_(at), Post()
    post.down.add("dead")
    post.deliverer().work(at)
    Delivery.objects.filter(channel=dead).update(status="failed")
    client.force_login(bob)
    html = text_of(client, f"/alerts/{alert.pk}/")
    assert "What to do" in html and "phone" in html and "The other side answered 500." in html
    rows = text_of(client, "/alerts/")
    assert f'href="/alerts/{alert.pk}/"' in rows and "not delivered" in rows
    assert messages.link(alert) == "http://testserver" + reverse("pages:alert", args=[alert.pk])


def test_pages_stay_in_their_budget_with_many_rows(bob: Any, client: Client, at: datetime) -> None:
    for number in range(20):
        make_channel(bob, at, f"c{number}")
    alert, post = raise_(at), Post()
    for _round in range(5):
        post.deliverer().work(at)
    client.force_login(bob)
    for path in ("/settings/notifications/", f"/alerts/{alert.pk}/", "/alerts/"):
        text_of(client, path)
        with CaptureQueriesContext(connection) as queries:
            text_of(client, path)
        assert len(queries) <= 15, path


def test_an_alert_is_snoozed_and_woken_from_its_page(
    bob: Any, charlie: Any, client: Client, at: datetime
) -> None:
    alert = raise_(at)
    client.force_login(bob)
    version = re.search(r"\?v=([0-9a-f]+)", text_of(client, "/alerts/"))
    assert client.post(f"/alerts/{alert.pk}/snooze/", {"minutes": "60"}).status_code == 303
    alert.refresh_from_db()
    assert (alert.snoozed_until, alert.snoozed_by) == (at + timedelta(hours=1), "bob")
    assert version and client.get(f"/ui/alerts/rows/?v={version[1]}").status_code == 200
    assert "snoozed until" in text_of(client, "/alerts/") and "No longer" in text_of(
        client, f"/alerts/{alert.pk}/"
    )
    client.post(f"/alerts/{alert.pk}/snooze/", {"minutes": "0"})
    alert.refresh_from_db()
    assert alert.snoozed_until is None
    assert list(AuditEvent.objects.filter(action__startswith="alert").order_by("pk").values_list("action", flat=True)) == [
        "alert.snooze", "alert.wake",
    ]  # fmt: skip
    for wrong in ("", "x", "10081", "99999999"):
        assert client.post(f"/alerts/{alert.pk}/snooze/", {"minutes": wrong}).status_code == 400
    client.force_login(charlie)
    assert client.post(f"/alerts/{alert.pk}/snooze/", {"minutes": "60"}).status_code == 403


def test_the_api_snoozes(bob: Any, client: Client, at: datetime) -> None:
    alert = raise_(at)
    client.force_login(bob)
    url = f"/api/alerts/{alert.pk}/snooze/"
    answer = client.post(url, {"minutes": 30}, content_type="application/json")
    assert (answer.status_code, answer.json()["snoozed_by"]) == (200, "bob")
    for body in ({}, {"minutes": -1}, {"minutes": 10081}, {"minutes": "30"}, {"minutes": 30, "more": 1}):
        assert client.post(url, body, content_type="application/json").status_code == 400, body
    alerts.resolve_alert("feed:btc", at)
    assert client.post(url, {"minutes": 30}, content_type="application/json").status_code == 409
    assert (
        client.post("/api/alerts/4711/snooze/", {"minutes": 1}, content_type="application/json").status_code
        == 404
    )


def test_the_command_lists_acknowledges_snoozes_and_tests(
    bob: Any, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "close_all", lambda: None)  # they are the test's
    alert = raise_(at)
    make_channel(bob, at)
    (listed,) = json.loads(called("alerts", "list", "--json")[1])["alerts"]
    assert (listed["id"], listed["severity"]) == (alert.pk, "critical")
    assert json.loads(called("alerts", "snooze", str(alert.pk), "--minutes", "5", "--json")[1])[
        "snoozed_until"
    ]
    assert json.loads(called("alerts", "ack", str(alert.pk), "--json")[1])["status"] == "acknowledged"
    monkeypatch.setattr(channels, "send", lambda *_args: None)
    assert json.loads(called("alerts", "test", "phone", "--json")[1]) == {
        "ok": True,
        "channel": "phone",
        "error": "",
    }

    def refuse(*_args: Any) -> None:
        raise Undelivered("The other side answered 404.")

    monkeypatch.setattr(channels, "send", refuse)
    code, out, _err = called("alerts", "test", "phone")
    assert code == 3 and "404" in out
    assert [
        called("alerts", *given)[0] for given in (["ack", "x"], ["ack", "4711"], ["test", "nope"], ["test"])
    ] == [2, 4, 4, 2]
    assert "No open alert" in called("alerts", "list")[1] or "acknowledged" in called("alerts", "list")[1]


def test_an_alert_reaches_a_real_webhook_within_seconds_while_another_is_dead(bob: Any, at: datetime) -> None:
    """F96: one channel down, one well; the one that is well hears of it in the first round."""
    make_channel(bob, at, "dead")
    make_channel(bob, at, "well")
    post = Post()
    post.down.add("dead")
    raise_(at)
    Deliverer(send=post.send, start=post.start).work(at)
    assert post.titles("well") and Delivery.objects.filter(status="sent").count() == 1
    assert audit.verify().ok
