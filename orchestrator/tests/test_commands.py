"""The command line: documents, tables and exit codes."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

from orchestrator import testkit
from orchestrator.models import Workflow
from orchestrator.services import control, workflows
from orchestrator.testkit import ACTOR
from orchestrator.tests.processes import dead_database

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("halt_file")]


def manage(*args):
    """(exit code, standard output, standard error)"""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*args, stdout=out, stderr=err)
        code = 0
    except SystemExit as e:
        code = e.code
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def row(time, toy):
    workflows.sync_from_plugins(time.now())
    return Workflow.objects.get(slug="toy")


@pytest.mark.parametrize(
    ("action", "position"),
    [("start", "running"), ("pause", "paused"), ("drain", "draining"), ("stop", "stopped")],
)
def test_the_switch_is_turned_and_says_so(time, action, position):
    code, out, _err = manage("orchestrator", action, "--reason", "test", "--json")
    document = json.loads(out)
    assert code == 0 and document["ok"] and document["position"] == position
    assert control.current().position == position


def test_status_is_degraded_while_nobody_leads(time, row):
    code, out, _err = manage("orchestrator", "status", "--json")
    document = json.loads(out)
    assert code == 3
    assert (document["switch"]["position"], document["leader"], document["workflows"]) == (
        "stopped",
        None,
        {"active": 1},
    )


def test_status_for_people_is_a_table(time, row):
    _code, out, _err = manage("orchestrator", "status")
    assert "switch      stopped" in out and "leader      nobody" in out


def test_a_start_under_a_halt_file_is_refused_with_exit_5(time, halt_file):
    halt_file.write_text("x")
    code, out, _err = manage("orchestrator", "start", "--json")
    document = json.loads(out)
    assert code == 5 and document["ok"] is False and document["problem"]["code"] == "halted-by-hand"
    code, _out, _err = manage("orchestrator", "start", "--clear-halt", "--reason", "checked")
    assert code == 0 and not halt_file.exists()


def test_stop_works_with_a_dead_database(time, halt_file):
    with dead_database():
        code, _out, _err = manage("orchestrator", "stop", "--reason", "fire")
    assert code == 0 and halt_file.exists()


def test_a_dead_database_is_a_temporary_failure(time):
    with dead_database():
        code, out, _err = manage("workflow", "list", "--json")
    assert code == 75 and json.loads(out)["problem"]["code"] == "unavailable"


@pytest.mark.django_db(transaction=True)
def test_tick_does_one_round(time, toy):
    control.start(ACTOR, time.now())
    code, out, _err = manage("orchestrator", "tick", "--json")
    document = json.loads(out)
    assert code == 0 and document["leader"] and document["planned"] == 1


def test_workflows_are_listed_and_shown(time, row):
    code, out, _err = manage("workflow", "list", "--json")
    assert code == 0 and [item["slug"] for item in json.loads(out)["workflows"]] == ["toy"]
    code, out, _err = manage("workflow", "list")
    assert out.splitlines()[0].split()[:2] == ["ID", "SLUG"]
    code, out, _err = manage("workflow", "show", "toy", "--json")
    document = json.loads(out)
    assert document["params"] == {"size": 3} and document["performance_7d"]["success_ratio"] is None


def test_an_unknown_workflow_is_exit_4(time):
    code, out, err = manage("workflow", "show", "nobody")
    assert (code, out) == (4, "")
    assert "nobody" in err


def test_a_workflow_is_edited_paused_and_resumed(time, row):
    code, out, _err = manage("workflow", "edit", "toy", "--base", "100", "--param", "size=7", "--json")
    assert code == 0 and (json.loads(out)["base_interval_s"], json.loads(out)["params"]) == (100, {"size": 7})
    assert manage("workflow", "pause", "toy")[0] == 0
    assert Workflow.objects.get().status == "paused"
    assert manage("workflow", "resume", "toy")[0] == 0
    assert Workflow.objects.get().status == "active"


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (("edit", "toy", "--base", "1"), 2, "invalid"),
        (("edit", "toy", "--param", "size=99"), 2, "invalid"),
        (("edit", "toy", "--param", "size"), 2, "invalid"),
        (("edit", "toy", "--base", "100", "--expect-version", "9"), 6, "stale-version"),
        (("run", "toy"), 5, "kill-switch-engaged"),
    ],
)
def test_refusals_have_their_exit_code_and_problem(time, row, args, code, problem):
    answer, out, _err = manage("workflow", *args, "--json")
    assert (answer, json.loads(out)["problem"]["code"]) == (code, problem)


@pytest.mark.django_db(transaction=True)
def test_a_decision_is_explained(time, toy):
    control.start(ACTOR, time.now())
    manage("orchestrator", "tick")
    code, out, _err = manage("decision", "explain", "--latest", "toy", "--json")
    document = json.loads(out)
    assert code == 0 and document["action"] == "run" and document["explanation"]
    assert abs(sum(item["contribution"] for item in document["factors"])) > 0
    code, out, _err = manage("decision", "explain", str(document["id"]))
    assert code == 0 and document["explanation"] in out


def test_explaining_nothing_is_a_usage_error_and_an_unknown_one_not_found(time, row):
    assert manage("decision", "explain")[0] == 2
    assert manage("decision", "explain", "4711")[0] == 4
    assert manage("decision", "explain", "--latest", "toy")[0] == 4


@pytest.mark.django_db(transaction=True)
def test_the_loop_ticks_and_resigns(time, toy):
    control.start(ACTOR, time.now())
    code, out, _err = manage("loop", "--ticks", "2", "--json")
    assert code == 0 and json.loads(out) == {"ok": True, "ticks": 2}
    assert json.loads(manage("orchestrator", "status", "--json")[1])["leader"] is None
    assert testkit.Run.objects.count() == 1
