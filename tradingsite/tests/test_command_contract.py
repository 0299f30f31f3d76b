"""What scripts may rely on: one JSON document whatever happens, code 2 for a wrong call, and the way out in the text."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands, load_command_class
from django.db import OperationalError, ProgrammingError, connections

from orchestrator.models import ProcessBeat, Workflow
from tradingsite.foundation import clock
from tradingsite.foundation.commands import JsonCommand
from tradingsite.tests import api_world

ROOT = Path(settings.BASE_DIR)


def called(name: str, *arguments: str) -> tuple[int, str, str]:
    """As from the command line, in this process: (exit code, standard output, standard error)."""
    command = load_command_class(get_commands()[name], name)
    out, err = io.StringIO(), io.StringIO()
    command.stdout, command.stderr = command.stdout.__class__(out), command.stderr.__class__(err)
    code = 0
    try:
        command.run_from_argv(["manage.py", name, *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def _keep_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command closes its connections when it ends; here they are the test's."""
    monkeypatch.setattr(connections, "close_all", lambda: None)


@pytest.fixture
def world(at: Any, db: Any) -> api_world.World:
    return api_world.build(at)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("workflow", ["bogus"]),
        ("workflow", ["list", "--status", "x"]),
        ("orchestrator", []),
        ("replay", ["--from", "x"]),
    ],
)
def test_a_wrong_call_is_told_as_json_too(name: str, arguments: list[str]) -> None:
    code, out, _err = called(name, *arguments, "--json")
    document = json.loads(out)
    assert code == 2 and document["ok"] is False
    assert document["problem"]["code"] == "usage" and document["problem"]["detail"]


@pytest.mark.parametrize("is_json", [False, True])
def test_an_unknown_command_is_a_wrong_call(tmp_path: Path, is_json: bool) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADING_")}
    done = subprocess.run(
        [sys.executable, "manage.py", "seed_dmo", *(["--json"] if is_json else [])], cwd=ROOT, capture_output=True,
        text=True, check=False, timeout=90,
        env={**clean, "TRADING_VAR_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tradingsite.settings.dev"},
    )  # fmt: skip
    assert done.returncode == 2
    told = json.loads(done.stdout)["problem"]["detail"] if is_json else done.stderr
    assert "seed_dmo" in told and "seed_demo" in told


@pytest.mark.parametrize(
    "error", [OperationalError("no such table: x"), ProgrammingError('relation "x" does not exist')]
)
def test_a_database_without_tables_is_told_with_what_to_do(error: Exception, capsys: Any) -> None:
    class Broken(JsonCommand):
        def run(self, options: dict[str, Any]) -> int:
            raise error

    with pytest.raises(SystemExit) as stop:
        call_command(Broken(), "--json", skip_checks=True)
    document = json.loads(capsys.readouterr().out)
    assert stop.value.code == 1 and "make setup" in document["problem"]["detail"]


@pytest.mark.django_db
def test_workflows_are_found_by_number_too(world: Any) -> None:
    row = Workflow.objects.get(slug="forex")
    for name in (str(row.pk), "forex"):
        assert json.loads(called("workflow", "show", name, "--json")[1])["slug"] == "forex"
    assert json.loads(called("workflow", "pause", str(row.pk), "--json")[1])["ok"]
    row.refresh_from_db()
    assert row.status == "paused"
    for arguments in (["show", "4711"], ["run", "nope"], ["pause", "nope"]):
        code, _out, err = called("workflow", *arguments)
        assert code == 4 and "workflow list" in err


@pytest.mark.django_db
def test_starting_without_a_loop_says_that_nothing_will_happen(world: Any) -> None:
    ProcessBeat.objects.all().delete()
    code, out, err = called("orchestrator", "start")
    assert code == 0 and "running" in out and "make run" in err
    assert "make run" in json.loads(called("orchestrator", "start", "--json")[1])["warning"]
    now = clock.now()
    ProcessBeat.objects.create(
        name="loop@x:1", role="loop", host="x", pid=1, started_at=now - timedelta(minutes=1), beat_at=now
    )
    assert called("orchestrator", "start")[2] == ""
    assert "warning" not in json.loads(called("orchestrator", "start", "--json")[1])
