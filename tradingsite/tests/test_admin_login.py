"""The administration has no login of its own: that one would know neither brakes nor the audit log."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery staple"


def _user(*, is_staff: bool) -> Any:
    return get_user_model()._default_manager.create_user("boss", password=PASSWORD, is_staff=is_staff)


def test_the_right_password_does_not_log_in_there(client: Client) -> None:
    _user(is_staff=True)
    answer = client.post("/backoffice/login/", {"username": "boss", "password": PASSWORD})
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/login/?next=")
    assert "_auth_user_id" not in client.session


def test_the_site_login_leads_back_to_the_administration(client: Client) -> None:
    _user(is_staff=True)
    answer = client.get("/backoffice/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/login/")
    answer = client.post(
        answer.redirect_chain[-1][0], {"username": "boss", "password": PASSWORD}, follow=True
    )
    assert (answer.status_code, answer.request["PATH_INFO"]) == (200, "/backoffice/")


def test_somebody_who_may_not_administrate_is_refused(client: Client) -> None:
    client.force_login(_user(is_staff=False))
    assert client.get("/backoffice/", follow=True).status_code == 403
