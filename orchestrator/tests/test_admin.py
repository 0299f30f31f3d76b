"""Administration pages: everybody with access may look, nothing may be changed past the services."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from orchestrator import runner, testkit
from orchestrator.models import Run, Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]

MODELS = (
    "workflow",
    "run",
    "decision",
    "healthevent",
    "workflowevent",
    "controlswitch",
    "lease",
    "processbeat",
)


@pytest.fixture
def chief(client):
    user = get_user_model().objects.create_superuser(
        "chief", "chief@example.org", "correct horse battery staple"
    )
    client.force_login(user)
    return client


@pytest.fixture
def row(time, toy):
    testkit.switch_on(time.now())
    row = testkit.make_workflow(toy, time.now())
    runner.execute(testkit.queued_run(row, time.now()).pk)
    time.advance(timedelta(minutes=5))
    return row


@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens_and_offers_no_way_to_add(chief, row, model):
    response = chief.get(reverse(f"admin:orchestrator_{model}_changelist"))
    assert response.status_code == 200
    assert chief.get(reverse(f"admin:orchestrator_{model}_add")).status_code == 403


def test_a_workflow_and_a_run_open_but_cannot_be_changed(chief, row):
    for name, pk in (("workflow", row.pk), ("run", Run.objects.get().pk)):
        url = reverse(f"admin:orchestrator_{name}_change", args=(pk,))
        assert chief.get(url).status_code == 200
        assert chief.post(url, {"status": "archived", "name": "x"}).status_code == 403
        assert chief.post(reverse(f"admin:orchestrator_{name}_delete", args=(pk,))).status_code == 403
    assert Workflow.objects.get().name == "toy"


def test_actions_go_through_the_services(chief, row):
    data = {"action": "pause", "_selected_action": [row.pk]}
    chief.post(reverse("admin:orchestrator_workflow_changelist"), data)
    row.refresh_from_db()
    assert row.status == "paused"
    assert row.events.filter(event="pause").count() == 1


def test_staff_without_the_role_may_not_act(client, row, django_user_model):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user(
        "helper", password="correct horse battery staple", is_staff=True
    )
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="orchestrator"))
    client.force_login(user)
    data = {"action": "pause", "_selected_action": [row.pk]}
    client.post(reverse("admin:orchestrator_workflow_changelist"), data)
    row.refresh_from_db()
    assert row.status == "active"
