"""The switch: positions, what each allows, the halt file and variable, and failing closed."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from orchestrator import testkit
from orchestrator.engine.types import Switch
from orchestrator.models import ControlSwitch
from orchestrator.services import control, workflows
from orchestrator.testkit import ACTOR
from orchestrator.tests.processes import dead_database
from tradingsite.foundation.errors import Locked, Unavailable
from tradingsite.foundation.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]


def test_a_new_system_is_stopped(time):
    assert control.current().position is Switch.STOPPED
    assert not control.entries_allowed()


@pytest.mark.parametrize(
    ("turn", "entries", "orders", "starts"),
    [
        (control.start, True, True, True),
        (control.pause_entries, False, True, True),
        (control.drain, False, True, False),
        (control.stop, False, False, False),
    ],
)
def test_each_position_allows_what_it_says(time, turn, entries, orders, starts):
    state = turn(ACTOR, time.now(), "test")
    assert (state.entries_allowed, state.orders_allowed, state.starts_allowed) == (entries, orders, starts)
    assert control.entries_allowed() is entries
    assert control.orders_allowed() is orders
    if not entries:
        with pytest.raises(Locked):
            control.require_entries_allowed()


def test_every_change_raises_the_epoch_and_is_audited(time):
    first = control.start(ACTOR, time.now(), "morning")
    second = control.stop(ACTOR, time.now(), "evening")
    assert second.epoch == first.epoch + 1
    actions = (
        AuditEvent.objects.filter(object_type="control").order_by("sequence").values_list("action", "reason")
    )
    assert list(actions) == [("control.running", "morning"), ("control.stopped", "evening")]


def test_the_same_position_twice_changes_nothing(time):
    first = control.start(ACTOR, time.now(), "once")
    again = control.start(ACTOR, time.now(), "twice")
    assert again.epoch == first.epoch and again.reason == "once"
    assert AuditEvent.objects.filter(object_type="control").count() == 1


def test_a_halt_file_stops_whatever_the_row_says(time, halt_file):
    control.start(ACTOR, time.now())
    halt_file.write_text("stop")
    state = control.current()
    assert state.position is Switch.STOPPED and state.set_position is Switch.RUNNING and state.halt_file
    assert not control.orders_allowed()


def test_the_switch_cannot_be_started_under_a_halt_file(time, halt_file):
    halt_file.write_text("stop")
    with pytest.raises(Locked) as error:
        control.start(ACTOR, time.now())
    assert error.value.code == "halted-by-hand"
    control.release_halt_file(ACTOR, time.now(), "looked at it")
    assert control.start(ACTOR, time.now()).position is Switch.RUNNING
    assert AuditEvent.objects.filter(action="control.release_halt_file").exists()


@pytest.mark.parametrize("value", ["True", "true", "1", "yes", "Treu"])
def test_the_variable_stops_even_when_misspelt(time, monkeypatch, value):
    control.start(ACTOR, time.now())
    monkeypatch.setenv("TRADING_HALT", value)
    assert control.current().position is Switch.STOPPED


def test_an_unreadable_switch_refuses_everything(time):
    control.start(ACTOR, time.now())
    with dead_database():
        assert not control.entries_allowed()
        assert not control.orders_allowed()
        with pytest.raises(Locked) as refused:
            control.require_entries_allowed()
        with pytest.raises(Unavailable):
            control.current()
    assert refused.value.code == "switch-unreadable"
    assert control.entries_allowed()


def test_stopping_with_a_dead_database_writes_the_halt_file(time, halt_file):
    control.start(ACTOR, time.now())
    with dead_database():
        state = control.stop(ACTOR, time.now(), "fire")
        assert state.position is Switch.STOPPED
        assert control.current().position is Switch.STOPPED
    assert "fire" in halt_file.read_text()
    assert control.current().position is Switch.STOPPED, "the file stops also after the database is back"


def test_a_halt_path_that_cannot_be_examined_stops(time, settings, tmp_path):
    control.start(ACTOR, time.now())
    (tmp_path / "file").write_text("")
    settings.HALT_FILE = (
        tmp_path / "file" / "HALT"
    )  # a path through a file: stat fails, but not with "not found"
    assert control.current().position is Switch.STOPPED


def test_a_workflow_with_paused_entries_may_still_reduce(time, toy):
    row = testkit.make_workflow(toy, time.now())
    control.start(ACTOR, time.now())
    assert control.entries_allowed(row.pk)
    workflows.set_entries_paused(row.pk, True, ACTOR, time.now())
    assert not control.entries_allowed(row.pk)
    assert control.orders_allowed(row.pk)


def test_a_halted_workflow_may_do_nothing(time, toy):
    row = testkit.make_workflow(toy, time.now())
    control.start(ACTOR, time.now())
    workflows.halt(row.pk, ACTOR, time.now(), "test")
    assert not control.orders_allowed(row.pk)
    assert control.orders_allowed()


def test_a_turn_that_lost_the_race_is_tried_again(time, monkeypatch):
    control.start(ACTOR, time.now())
    real, raced = control._turn, []

    def racing(row, *rest):
        if not raced:
            raced.append(1)
            ControlSwitch.objects.filter(pk=1).update(epoch=row.epoch + 5)
        return real(row, *rest)

    monkeypatch.setattr(control, "_turn", racing)
    assert control.stop(ACTOR, time.now()).position is Switch.STOPPED


def test_an_operational_error_counts_as_unreadable(time, monkeypatch):
    def broken(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(control.statements, "values", broken)
    assert not control.entries_allowed()
