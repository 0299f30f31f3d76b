"""Configuration and standing of workflows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator import testkit
from orchestrator.models import Workflow, WorkflowEvent, WorkflowRevision
from orchestrator.services import workflows
from orchestrator.testkit import ACTOR
from tradingsite.foundation import audit
from tradingsite.foundation.errors import ConcurrentChange, Conflict, Invalid, Locked, NotFound, Refused
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.transitions import IllegalTransition

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]


@pytest.fixture
def row(time, toy):
    workflows.sync_from_plugins(time.now())
    return Workflow.objects.get(slug="toy")


def edit(row, time, **changes):
    return workflows.edit(
        row.pk, version=changes.pop("version", row.version), actor=ACTOR, now=time.now(), **changes
    )


def test_each_type_gets_its_default_workflow_once(time, toy):
    assert [row.slug for row in workflows.sync_from_plugins(time.now())] == ["toy"]
    assert workflows.sync_from_plugins(time.now()) == []
    row = Workflow.objects.get()
    assert (row.status, row.base_interval_s, row.params, row.asset_type) == (
        "active",
        120,
        {"size": 3},
        "toys",
    )
    assert WorkflowRevision.objects.count() == WorkflowEvent.objects.count() == 1
    assert AuditEvent.objects.filter(action="workflow.create").count() == 1


def test_an_archived_default_stays_archived(time, row):
    workflows.pause(row.pk, ACTOR, time.now())
    workflows.archive(row.pk, ACTOR, time.now())
    assert workflows.sync_from_plugins(time.now()) == []
    assert Workflow.objects.get().status == "archived"


def test_an_edit_changes_what_is_given_and_keeps_a_revision(time, row):
    edited = edit(row, time, base_interval_s=100, params={"size": 5}, reason="livelier")
    assert (edited.version, edited.base_interval_s, edited.max_interval_s, edited.params) == (
        2,
        100,
        240,
        {"size": 5},
    )
    assert list(WorkflowRevision.objects.values_list("version", flat=True)) == [1, 2]
    event = AuditEvent.objects.get(action="workflow.edit")
    assert event.before["base_interval_s"] == 120 and event.after["base_interval_s"] == 100


def test_an_edit_that_changes_nothing_makes_no_version(time, row):
    assert edit(row, time, base_interval_s=120).version == 1


def test_of_two_editors_who_saw_the_same_version_one_is_refused(time, row):
    edit(row, time, base_interval_s=100)
    with pytest.raises(Conflict) as stale:
        edit(row, time, base_interval_s=90)
    assert stale.value.code == "stale-version"
    assert Workflow.objects.get().base_interval_s == 100


def test_an_editor_overtaken_during_the_write_is_refused(time, row, monkeypatch):
    real = workflows._validated

    def overtaken(kind, config):
        Workflow.objects.filter(pk=row.pk).update(version=7)
        return real(kind, config)

    monkeypatch.setattr(workflows, "_validated", overtaken)
    with pytest.raises(ConcurrentChange):
        edit(row, time, base_interval_s=90)
    assert Workflow.objects.get().base_interval_s == 120


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"base_interval_s": 59}, ["#/base_interval_s"]),
        ({"max_interval_s": 241}, ["#/max_interval_s"]),
        ({"min_interval_s": 130}, ["#/base_interval_s"]),
        ({"min_interval_s": True}, ["#/min_interval_s"]),
        ({"base_interval_s": 90.5}, ["#/base_interval_s"]),
        ({"name": "  "}, ["#/name"]),
        ({"params": {"size": 10}}, ["#/params/size"]),
        ({"params": {"colour": "red"}}, ["#/params/colour"]),
        ({"name": "x" * 121, "params": {"size": 0}}, ["#/name", "#/params/size"]),
    ],
)
def test_wrong_values_are_named_one_by_one(time, row, changes, pointers):
    with pytest.raises(Invalid) as refused:
        edit(row, time, **changes)
    assert [error["pointer"] for error in refused.value.errors] == pointers
    assert Workflow.objects.get().version == 1


def test_a_revert_brings_back_an_old_configuration_as_a_new_version(time, row):
    edited = edit(row, time, base_interval_s=100, name="Lively")
    back = workflows.revert(row.pk, 1, version=edited.version, actor=ACTOR, now=time.now())
    assert (back.version, back.base_interval_s, back.name) == (3, 120, row.name)
    with pytest.raises(NotFound):
        workflows.revert(row.pk, 9, version=3, actor=ACTOR, now=time.now())


def test_a_parameter_the_type_dropped_does_not_block_an_edit(time, row):
    Workflow.objects.update(params={"size": 4, "gone": 1})
    assert edit(row, time, base_interval_s=100).params == {"size": 4}


def test_pausing_twice_is_one_change(time, row):
    workflows.pause(row.pk, ACTOR, time.now(), "lunch")
    workflows.pause(row.pk, ACTOR, time.now(), "lunch")
    assert AuditEvent.objects.filter(action="workflow.pause").count() == 1
    assert WorkflowEvent.objects.filter(event="pause").count() == 1
    assert workflows.resume(row.pk, ACTOR, time.now()).status == "active"


def test_only_a_person_lifts_a_halt(time, row):
    workflows.halt(row.pk, audit.system("runs"), time.now(), "repeated failure")
    with pytest.raises(Refused):
        workflows.resume(row.pk, audit.system("health"), time.now())
    assert workflows.resume(row.pk, ACTOR, time.now()).status == "active"


def test_resuming_an_active_workflow_lifts_its_quarantine(time, row):
    Workflow.objects.update(
        consecutive_failures=4, quarantined_until=time.now() + timedelta(hours=1), quarantine_count=2
    )
    resumed = workflows.resume(row.pk, ACTOR, time.now())
    assert (resumed.consecutive_failures, resumed.quarantined_until, resumed.quarantine_count) == (0, None, 0)
    assert AuditEvent.objects.filter(action="workflow.release").exists()


def test_an_active_workflow_is_not_archived_by_accident(time, row):
    with pytest.raises(IllegalTransition):
        workflows.archive(row.pk, ACTOR, time.now())


def test_asking_for_a_run_needs_a_switch_that_lets_it_start(time, row):
    with pytest.raises(Locked):
        workflows.request_run(row.pk, ACTOR, time.now())
    testkit.switch_on(time.now())
    assert workflows.request_run(row.pk, ACTOR, time.now()).manual_requested_by == "Alice"


def test_a_further_workflow_starts_as_a_draft(time, toy):
    row = workflows.create(
        type_key="toy", slug="second", name="Second", actor=ACTOR, now=time.now(), params={"size": 1}
    )
    assert (row.status, row.params, row.version) == ("draft", {"size": 1}, 1)
    with pytest.raises(Conflict):
        workflows.create(type_key="toy", slug="second", name="Again", actor=ACTOR, now=time.now())
    with pytest.raises(Invalid):
        workflows.create(type_key="gone", slug="third", name="Third", actor=ACTOR, now=time.now())
    assert workflows.activate(row.pk, ACTOR, time.now()).status == "active"


def test_entries_of_one_workflow_are_paused_once(time, row):
    workflows.set_entries_paused(row.pk, True, ACTOR, time.now())
    assert workflows.set_entries_paused(row.pk, True, ACTOR, time.now()).entries_paused
    assert AuditEvent.objects.filter(action="workflow.pause_entries").count() == 1


def test_a_workflow_that_does_not_exist_is_not_found(time):
    with pytest.raises(NotFound):
        workflows.pause(4711, ACTOR, time.now())
