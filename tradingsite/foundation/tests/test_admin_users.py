"""Users and groups in the administration: who came, who got which right, who went - all of it in the audit log."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from tradingsite.foundation import audit
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.testkit import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tradingsite.foundation.tests.urls")]
WORDS = "a long enough pass phrase 7"
USERS, GROUPS = "/back/auth/user/", "/back/auth/group/"


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(make_user("root", "admin", is_superuser=True, is_staff=True))
    return client


def form_of(user: Any, **changes: Any) -> dict[str, Any]:
    form = {
        "username": user.username, "email": user.email, "first_name": "", "last_name": "", "is_active": "on",
        "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00",
    }  # fmt: skip
    return {name: value for name, value in (form | changes).items() if value is not None}


def event(action: str) -> AuditEvent:
    return AuditEvent.objects.get(action=action)


def test_a_new_user_is_audited_without_the_password(browser: Client) -> None:
    form = {"username": "mallory", "usable_password": "true", "password1": WORDS, "password2": WORDS}
    assert browser.post(f"{USERS}add/", form).status_code == 302
    made = event("user.create")
    pk = get_user_model()._default_manager.get(username="mallory").pk
    assert (made.actor_name, made.object_type, made.object_id) == ("root", "user", str(pk))
    assert made.after["username"] == "mallory" and made.after["is_superuser"] is False and made.ip
    assert WORDS not in str(made.after) and "argon2" not in str(made.after) and audit.verify().ok


def test_becoming_a_superuser_is_audited_with_before_and_after(browser: Client, bob: Any) -> None:
    group = Group.objects.create(name="desk")
    changes = {"is_superuser": "on", "is_staff": "on", "groups": [group.pk]}
    assert browser.post(f"{USERS}{bob.pk}/change/", form_of(bob, **changes)).status_code == 302
    changed = event("user.change")
    assert changed.before == {"is_superuser": False, "is_staff": False, "groups": []}
    assert changed.after == {"is_superuser": True, "is_staff": True, "groups": ["desk"]}


def test_saving_without_a_change_leaves_no_row(browser: Client, bob: Any) -> None:
    assert browser.post(f"{USERS}{bob.pk}/change/", form_of(bob)).status_code == 302
    assert not AuditEvent.objects.filter(action="user.change").exists()


def test_a_password_set_by_somebody_else_is_audited(browser: Client, bob: Any) -> None:
    form = {"usable_password": "true", "password1": WORDS, "password2": WORDS}
    assert browser.post(f"{USERS}{bob.pk}/password/", form).status_code == 302
    changed = event("user.password")
    assert changed.object_id == str(bob.pk) and WORDS not in f"{changed.before}{changed.after}"


@pytest.mark.parametrize("is_many", [False, True])
def test_a_deleted_user_is_audited(browser: Client, is_many: bool) -> None:
    bob = get_user_model()._default_manager.create_user("bob")  # never signed in: no profile keeps the user
    if is_many:
        form = {"action": "delete_selected", "_selected_action": [bob.pk], "post": "yes"}
        assert browser.post(USERS, form).status_code == 302
    else:
        assert browser.post(f"{USERS}{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not get_user_model()._default_manager.filter(username="bob").exists()
    assert event("user.delete").before["username"] == "bob"


def test_groups_are_audited_too(browser: Client) -> None:
    right = Permission.objects.get(codename="change_user")
    assert browser.post(f"{GROUPS}add/", {"name": "desk"}).status_code == 302
    pk = Group.objects.get().pk
    form = {"name": "desk", "permissions": [right.pk]}
    assert browser.post(f"{GROUPS}{pk}/change/", form).status_code == 302
    assert browser.post(f"{GROUPS}{pk}/delete/", {"post": "yes"}).status_code == 302
    assert event("group.create").after == {"name": "desk", "permissions": []}
    assert event("group.change").after == {"permissions": ["auth.change_user"]}
    assert event("group.delete").before["name"] == "desk"


def test_the_permission_alone_makes_nobody_a_superuser(bob: Any) -> None:
    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    client = Client()
    client.force_login(bob)
    answer = client.post(f"{USERS}{bob.pk}/change/", form_of(bob, is_staff="on", is_superuser="on"))
    assert answer.status_code == 403
    bob.refresh_from_db()
    assert not bob.is_superuser
