"""The administration: nothing there runs code, and every page of it says whose money is at stake."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django_q.models import Failure, OrmQ, Schedule, Success

from tradingsite.foundation.testkit import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(make_user("root", "admin", is_superuser=True, is_staff=True))
    return client


def test_nobody_can_have_a_function_of_his_choice_run(root: Client) -> None:
    assert not admin.site.is_registered(Schedule)
    form = {"name": "x", "func": "os.system", "args": "'true'", "schedule_type": "O", "repeats": "-1"}
    assert root.post("/backoffice/django_q/schedule/add/", form).status_code in (403, 404)
    assert not Schedule.objects.exists()


@pytest.mark.parametrize("model", [Success, Failure, OrmQ])
def test_the_queue_can_be_looked_at_and_not_touched(root: Client, rf: Any, model: Any) -> None:
    name = model._meta.model_name
    assert root.get(f"/backoffice/django_q/{name}/").status_code == 200
    assert root.get(f"/backoffice/django_q/{name}/add/").status_code == 403
    shown = admin.site.get_model_admin(model)
    request = rf.get("/")
    request.user = make_user("boss", "admin", is_superuser=True, is_staff=True)
    assert not shown.has_change_permission(request) and not shown.has_delete_permission(request)
    assert set(shown.get_actions(request)) == set()


@pytest.mark.parametrize("path", ["/backoffice/", "/backoffice/auth/user/"])
def test_the_administration_has_the_name_the_mode_and_a_way_back(root: Client, path: str) -> None:
    html = root.get(path).content.decode()
    assert (
        "Django administration" not in html
        and "Django site admin" not in html
        and "Control switchs" not in html
    )
    assert "[DEMO]" in html and "badge-demo" in html and 'href="/"' in html


def test_the_documentation_of_the_api_has_the_mode_and_a_way_back(root: Client) -> None:
    html = root.get("/api/docs/").content.decode()
    assert "[DEMO]" in html and "badge-demo" in html and 'href="/"' in html
