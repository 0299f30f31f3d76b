from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from tradingsite.foundation import alerts, audit, tokens
from tradingsite.foundation.models import ApiToken, AuditEvent, UserProfile
from tradingsite.foundation.testkit import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tradingsite.foundation.tests.urls")]


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(make_user("root", "admin", is_superuser=True, is_staff=True))
    return client


@pytest.fixture
def token(alice: Any, at: datetime) -> ApiToken:
    alerts.raise_alert(key="a", code="feed-stale", severity="info", now=at)
    return tokens.issue(user=alice, name="robot", scopes=["read"], actor=audit.system("test"), now=at).token


@pytest.mark.parametrize("model", ["auditevent", "alert", "apitoken"])
def test_records_can_be_looked_at_and_not_touched(browser: Client, token: ApiToken, model: str) -> None:
    assert browser.get(f"/back/foundation/{model}/").status_code == 200
    assert browser.get(f"/back/foundation/{model}/add/").status_code == 403
    pk = {"auditevent": AuditEvent.objects.latest("pk").pk, "alert": 1, "apitoken": token.pk}[model]
    if model == "alert":
        from tradingsite.foundation.models import Alert

        pk = Alert.objects.get().pk
    page = browser.get(f"/back/foundation/{model}/{pk}/change/")
    assert page.status_code == 200 and b'name="_save"' not in page.content
    assert token.digest.encode() not in page.content
    assert browser.post(f"/back/foundation/{model}/{pk}/change/", {}).status_code == 403
    assert browser.post(f"/back/foundation/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
    listing = browser.get(f"/back/foundation/{model}/").content
    assert b"delete_selected" not in listing


def test_tokens_are_revoked_by_an_action(browser: Client, token: ApiToken) -> None:
    browser.post("/back/foundation/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert AuditEvent.objects.filter(action="token.revoke", actor_name="root").exists()


def test_a_role_changed_here_is_audited(browser: Client, bob: Any) -> None:
    profile = UserProfile.objects.get(user=bob)
    form = {
        "role": "trader",
        "language": "fr",
        "time_zone": "UTC",
        "theme": "dark",
        "palette": "green-red",
        "base_currency": "USD",
    }
    assert browser.post(f"/back/foundation/userprofile/{profile.pk}/change/", form).status_code == 302
    profile.refresh_from_db()
    assert (profile.role, profile.theme, profile.language) == ("trader", "dark", "fr")
    assert AuditEvent.objects.get(action="user.role").after == {"role": "trader"}


def test_the_staff_permission_alone_gives_no_roles(bob: Any) -> None:
    from django.contrib.auth.models import Permission

    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label="foundation"))
    client = Client()
    client.force_login(bob)
    profile = UserProfile.objects.get(user=bob)
    form = {
        "role": "admin",
        "language": "",
        "time_zone": "UTC",
        "theme": "dark",
        "palette": "green-red",
        "base_currency": "USD",
    }
    assert client.post(f"/back/foundation/userprofile/{profile.pk}/change/", form).status_code == 403
    profile.refresh_from_db()
    assert profile.role == "operator"
