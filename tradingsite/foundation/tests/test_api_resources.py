"""Alerts, the audit log and tokens over HTTP, in the whole site."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tradingsite.foundation import alerts, audit
from tradingsite.foundation.models import Alert, ApiToken, AuditEvent
from tradingsite.foundation.testkit import token_for

JSON = "application/json"


def client_of(user: Any, scope: str) -> Client:
    return Client(headers={"Authorization": f"Token {token_for(user, scope)}"})


@pytest.fixture
def api(alice: Any) -> Client:
    return client_of(alice, "admin")


def test_an_alert_is_listed_acknowledged_once_and_audited(api: Client, at: datetime) -> None:
    loud = alerts.raise_alert(key="a", code="disk-low", severity="critical", now=at, params={"free_mb": 3})
    alerts.raise_alert(
        key="b", code="feed-stale", severity="info", now=at - timedelta(hours=2), subject="BTC"
    )
    listed = api.get("/api/alerts?status=open").json()["results"]
    assert [row["key"] for row in listed] == ["a", "b"]
    assert [row["key"] for row in api.get("/api/alerts?severity=info,warning").json()["results"]] == ["b"]
    assert [row["key"] for row in api.get("/api/alerts?since=2024-05-14T11:00:00Z").json()["results"]] == [
        "a"
    ]
    assert [row["key"] for row in api.get("/api/alerts?q=btc").json()["results"]] == ["b"]
    for _twice in range(2):
        seen = api.post(f"/api/alerts/{loud.pk}/ack", {}, content_type=JSON)
        assert (seen.status_code, seen.json()["status"]) == (200, "acknowledged")
        assert seen.json()["acknowledged_by"].startswith("alice")
    assert AuditEvent.objects.filter(action="alert.acknowledge").count() == 1
    alerts.resolve_alert("a", at)
    Alert.objects.filter(key="b").delete()
    refused = api.post(f"/api/alerts/{loud.pk}/ack", {}, content_type=JSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-transition")
    assert api.post("/api/alerts/99/ack/", {}, content_type=JSON).status_code == 404
    assert api.get(f"/api/alerts/{loud.pk}").json()["status"] == "resolved"


def test_the_audit_log_is_read_by_administrators_and_can_be_filtered(
    api: Client, bob: Any, at: datetime
) -> None:
    audit.record(
        action="toy.wind", actor=audit.system("test"), object_type="toy", object_id=7, after={"turns": 3}
    )
    audit.record(action="toys.sell", actor=audit.system("test"))
    [row] = api.get("/api/audit?action=toy").json()["results"]
    assert (row["action"], row["after"], row["object_id"], row["actor"]) == (
        "toy.wind",
        {"turns": 3},
        "7",
        "test",
    )
    assert len(api.get("/api/audit?object_type=toy&object_id=7").json()["results"]) == 1
    assert api.get("/api/audit?until=2024-05-14T12:00:00Z").json()["results"] == []
    assert client_of(bob, "admin").get("/api/audit").status_code == 403


def test_a_token_is_issued_works_and_ends_when_revoked(api: Client, alice: Any, at: datetime) -> None:
    body = {"name": "bot", "scopes": ["read"], "expires_at": "2024-05-15T12:00:00+02:00"}
    issued = api.post("/api/tokens", body, content_type=JSON)
    assert issued.status_code == 201 and issued.json()["expires_at"] == "2024-05-15T10:00:00Z"
    bot = Client(headers={"Authorization": f"Token {issued.json()['token']}"})
    assert bot.get("/api/alerts").status_code == 200
    assert bot.get("/api/tokens").status_code == 403
    url = issued.headers["Location"]
    told = api.get(url).json()
    assert (told["state"], told["owner"], told["scopes"]) == ("active", "alice", ["read"])
    assert issued.json()["token"] not in api.get("/api/tokens").content.decode()
    for _twice in range(2):
        assert api.delete(url).status_code == 204
    assert api.get(url).json()["state"] == "revoked"
    assert bot.get("/api/alerts").status_code == 401
    assert AuditEvent.objects.filter(action="token.revoke").count() == 1
    assert api.delete("/api/tokens/999").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["root"]}, {"scopes": []}, {"scopes": "read"}, {"name": ""}, {"name": 5}, {"user": 2},
        {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "2030-01-01T00:00:00"}, {"expires_at": 5},
    ],
)  # fmt: skip
def test_a_token_nobody_can_mean_is_refused(api: Client, change: Any, at: datetime) -> None:
    before = ApiToken.objects.count()
    response = api.post("/api/tokens", {"name": "bot", "scopes": ["read"], **change}, content_type=JSON)
    assert response.status_code == 400
    assert ApiToken.objects.count() == before
