"""The orchestrator's resources: what they say is what the services and the engine did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from orchestrator import explain, testkit
from orchestrator.engine.counterfactuals import Inputs, changed
from orchestrator.engine.restore import inputs_of
from orchestrator.engine.serialise import decision_to_row
from orchestrator.engine.types import Bounds, Conditions, Exposure, History, HostLoad, Subject
from orchestrator.models import ControlSwitch, Decision, HealthEvent, ProcessBeat, Run, RunStep, Workflow
from orchestrator.selectors import pages, recommendations
from orchestrator.services import control, workflows
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.testkit import token_for

JSON = "application/json"


@pytest.fixture
def toys(at: datetime, db: Any) -> Iterator[list[Workflow]]:
    """Three workflows of two asset types, switch on."""
    kinds = (testkit.toy_type("ball"), testkit.toy_type("doll"), testkit.toy_type("book", asset_type="paper"))
    with testkit.registered(*kinds):
        testkit.switch_on(at)
        yield workflows.sync_from_plugins(at)


@pytest.fixture
def api(bob: Any) -> Client:
    return Client(headers={"Authorization": f"Token {token_for(bob, 'operate')}"})


def post(api: Client, url: str, body: Any = None) -> Any:
    return api.post(url, body or {}, content_type=JSON)


def decide(workflow: Workflow, at: datetime, volatility: float = 0.9, **conditions: Any) -> Decision:
    bounds = Bounds(
        min_s=workflow.min_interval_s, base_s=workflow.base_interval_s, max_s=workflow.max_interval_s
    )
    subject = Subject(key=workflow.slug, bounds=bounds, is_trading=True)
    seen = Conditions(as_of=at, volatility=volatility, **conditions)
    history = History(last_run_at=at - timedelta(minutes=9), interval_s=120.0)
    inputs = Inputs(subject, seen, Exposure(), HostLoad(cpu=0.3), history, at)
    decision = inputs.decide()
    parts = {name: getattr(inputs, name) for name in ("subject", "conditions", "exposure", "load", "history")}
    return Decision.objects.create(workflow=workflow, **decision_to_row(decision, **parts, now=at))


def run(
    workflow: Workflow, at: datetime, status: str = "succeeded", seconds: float = 2.0, **values: Any
) -> Run:
    fields: dict[str, Any] = {
        "slot_at": at, "status": status, "cause": "cadence", "lane": "trading", "priority": 2, "planned_at": at,
        "started_at": at + timedelta(seconds=0.5), "finished_at": at + timedelta(seconds=0.5 + seconds),
        "expires_at": at + timedelta(hours=1), "changed": status == "succeeded", "cpu_s": 0.5, "api_weight": 2,
    }  # fmt: skip
    return Run.objects.create(workflow=workflow, **(fields | values))


# --- Start and stop -----------------------------------------------------------------------------------------------


def test_stop_without_a_body_pauses_entries_everywhere_once_and_is_audited(toys: Any, api: Client) -> None:
    first = post(api, "/api/orchestrator/stop")
    assert (first.status_code, first.headers["Location"]) == (202, "/api/orchestrator/status/")
    assert (first.json()["position"], first.json()["switched"]) == ("paused", True)
    audited = AuditEvent.objects.filter(action="control.paused").count()
    again = post(api, "/api/orchestrator/stop")
    assert (again.status_code, again.json()["switched"]) == (202, False)
    assert AuditEvent.objects.filter(action="control.paused").count() == audited == 1
    status = api.get("/api/orchestrator/status").json()
    assert status["switch"]["position"] == "paused" and not status["switch"]["entries_allowed"]
    assert status["switch"]["orders_allowed"] and status["switch"]["changed_by"].startswith("bob")


@pytest.mark.parametrize(("mode", "position"), [("drain", "draining"), ("stop", "stopped")])
def test_all_can_be_drained_or_stopped(toys: Any, api: Client, mode: str, position: str) -> None:
    answer = post(api, "/api/orchestrator/stop/", {"mode": mode, "reason": "fire"})
    assert answer.json()["position"] == position
    assert ControlSwitch.objects.get().reason == "fire"


def test_starting_after_a_stop_needs_a_reason(toys: Any, api: Client) -> None:
    post(api, "/api/orchestrator/stop", {"mode": "stop"})
    refused = post(api, "/api/orchestrator/start")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "#/reason")
    started = post(api, "/api/orchestrator/start", {"reason": "fire is out"})
    assert (started.status_code, started.json()["position"]) == (202, "running")


def test_a_halt_file_cannot_be_started_over(toys: Any, api: Client, halt_file: Any) -> None:
    halt_file.write_text("stop")
    refused = post(api, "/api/orchestrator/start", {"reason": "please"})
    assert (refused.status_code, refused.json()["code"]) == (423, "halted-by-hand")
    status = api.get("/api/orchestrator/status").json()["switch"]
    assert (status["position"], status["set_position"], status["halt_file"]) == ("stopped", "running", True)
    halt_file.unlink()


def test_one_asset_type_is_stopped_and_started_and_the_others_go_on(toys: Any, api: Client) -> None:
    body = {"scope": "asset_type", "target": "toys", "mode": "stop"}
    stopped = post(api, "/api/orchestrator/stop", body)
    assert stopped.json()["changed"] == ["ball", "doll"]
    assert stopped.headers["Location"] == "/api/workflows/?asset_type=toys"
    assert dict(Workflow.objects.values_list("slug", "status")) == {
        "ball": "halted", "doll": "halted", "book": "active",
    }  # fmt: skip
    assert post(api, "/api/orchestrator/stop", body).json()["changed"] == []
    started = post(api, "/api/orchestrator/start", {"scope": "asset_type", "target": "toys"})
    assert started.json()["changed"] == ["ball", "doll"]
    assert set(Workflow.objects.values_list("status", flat=True)) == {"active"}
    assert control.current().position == "running"


def test_one_workflow_is_paused_for_entries_drained_and_started(toys: Any, api: Client) -> None:
    one = {"scope": "workflow", "target": "ball"}
    paused = post(api, "/api/orchestrator/stop", one)
    assert paused.headers["Location"] == f"/api/workflows/{toys[0].pk}/"
    assert api.get(paused.headers["Location"]).json()["entries_paused"] is True
    post(api, "/api/orchestrator/stop", {**one, "mode": "drain"})
    assert api.get(paused.headers["Location"]).json()["status"] == "paused"
    post(api, "/api/orchestrator/start", one)
    now = api.get(paused.headers["Location"]).json()
    assert (now["status"], now["entries_paused"]) == ("active", False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": "asset_type", "target": "stamps"}, 404),
        ({"scope": "workflow", "target": "stamps"}, 404),
        ({"scope": "workflow"}, 400),
        ({"scope": "all", "target": "ball"}, 400),
        ({"scope": "some"}, 400),
        ({"mode": "softly"}, 400),
        ({"state": "stopped"}, 400),
        ([], 400),
    ],
)
def test_a_stop_nobody_can_mean_is_refused(toys: Any, api: Client, body: Any, status: int) -> None:
    response = api.post("/api/orchestrator/stop", json.dumps(body), content_type=JSON)
    assert response.status_code == status, response.json()
    assert control.current().position == "running"


# --- Workflows ----------------------------------------------------------------------------------------------------


def test_an_edit_changes_what_is_given_and_tells_every_wrong_field(toys: Any, api: Client) -> None:
    url = f"/api/workflows/{toys[0].pk}/"
    seen = {"If-Match": api.get(url).headers["ETag"]}
    wrong = {"min_interval_s": 1, "params": {"size": 99, "colour": "red"}}
    refused = api.patch(url, wrong, content_type=JSON, headers=seen)
    assert refused.status_code == 400
    pointers = {problem["pointer"] for problem in refused.json()["errors"]}
    assert pointers == {"#/min_interval_s", "#/params/size", "#/params/colour"}
    changed = api.patch(url, {"params": {"size": 5}, "reason": "try"}, content_type=JSON, headers=seen).json()
    assert (changed["params"]["size"], changed["version"], changed["base_interval_s"]) == (5, 2, 120)
    event = AuditEvent.objects.filter(action="workflow.edit").get()
    assert (event.reason, event.before["params"], event.after["params"]) == ("try", {"size": 3}, {"size": 5})


@pytest.mark.parametrize("field", ["status", "version", "slug", "run_value", "entries_paused", "asset_type"])
def test_what_is_not_configuration_cannot_be_written(toys: Any, api: Client, field: str) -> None:
    url = f"/api/workflows/{toys[0].pk}/"
    seen = {"If-Match": api.get(url).headers["ETag"]}
    response = api.patch(url, {field: "x"}, content_type=JSON, headers=seen)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "unknown-field")


def test_pause_resume_and_run_do_what_they_say(toys: Any, api: Client) -> None:
    url = f"/api/workflows/{toys[0].pk}"
    assert post(api, f"{url}/pause", {"reason": "lunch"}).json()["status"] == "paused"
    refused = post(api, f"{url}/run")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert post(api, f"{url}/resume").json()["status"] == "active"
    asked = post(api, f"{url}/run")
    assert (asked.status_code, asked.headers["Location"]) == (202, "/api/runs/?workflow=ball")
    assert asked.json()["manual_requested_at"] == "2024-05-14T12:00:00Z"
    assert post(api, "/api/workflows/999/pause").status_code == 404


def test_workflows_can_be_filtered_and_archived_ones_are_hidden(toys: Any, api: Client) -> None:
    def slugs(query: str = "") -> set[str]:
        return {row["slug"] for row in api.get(f"/api/workflows/{query}").json()["results"]}

    assert slugs() == {"ball", "doll", "book"}
    assert slugs("?asset_type=paper") == {"book"}
    Workflow.objects.filter(slug="doll").update(status="archived")
    assert slugs() == {"ball", "book"}
    assert slugs("?status=archived,paused") == {"doll"}


# --- Runs and metrics ---------------------------------------------------------------------------------------------


def test_a_run_is_told_with_lag_duration_steps_and_result(toys: Any, api: Client, at: datetime) -> None:
    row = run(toys[0], at - timedelta(minutes=5), result={"orders": 2})
    RunStep.objects.create(
        run=row,
        position=1,
        name="play",
        status="succeeded",
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
    told = api.get(f"/api/runs/{row.pk}").json()
    assert (told["lag_s"], told["duration_s"], told["result"]) == (0.5, 2.0, {"orders": 2})
    assert [(step["name"], step["duration_s"]) for step in told["steps"]] == [("play", 2.0)]
    assert [
        found["id"] for found in api.get("/api/runs?workflow=ball&status=succeeded").json()["results"]
    ] == [row.pk]
    assert api.get("/api/runs?until=2024-05-14T11:00:00Z").json()["results"] == []


def test_metrics_are_counted_from_the_runs_and_equal_the_pages(toys: Any, api: Client, at: datetime) -> None:
    for minute in range(8):
        run(toys[0], at - timedelta(minutes=minute + 1), seconds=float(minute + 1))
    run(toys[0], at - timedelta(minutes=20), "failed")
    run(toys[0], at - timedelta(minutes=21), "timed_out")
    run(toys[0], at - timedelta(minutes=22), "skipped", started_at=None)
    run(toys[0], at - timedelta(days=30))
    decide(toys[0], at)
    told = api.get("/api/orchestrator/metrics").json()
    mine = next(row for row in told["workflows"] if row["workflow"] == "ball")
    assert mine["runs"] == {"failed": 1, "skipped": 1, "succeeded": 8, "timed_out": 1}
    assert mine["success_ratio"] == pytest.approx(0.8)
    assert (
        mine["success_ratio"] == next(row for row in pages.workflows(at) if row.slug == "ball").success_ratio
    )
    assert mine["success_ratio"] == api.get(f"/api/workflows/{toys[0].pk}").json()["success_ratio_7d"]
    assert (mine["duration_s"]["n"], mine["duration_s"]["p50"], mine["duration_s"]["p99"]) == (10, 3.5, 7.91)
    assert mine["lag_s"]["p90"] == 0.5
    assert (mine["cost"]["cpu_s"], mine["cost"]["api_weight"]) == (5.0, 20)
    assert told["engine"]["decisions"] == 1 and sum(told["engine"]["by_action"].values()) == 1
    other = next(row for row in told["workflows"] if row["workflow"] == "doll")
    assert (other["success_ratio"], other["duration_s"]["p50"]) == (None, None)
    assert [
        row["workflow"] for row in api.get("/api/orchestrator/metrics?workflow=book").json()["workflows"]
    ] == ["book"]
    assert api.get("/api/orchestrator/metrics?window_s=5").status_code == 400


# --- Decisions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_decision_is_explained_with_the_numbers_of_the_record(
    toys: Any, api: Client, at: datetime, language: str
) -> None:
    row = decide(toys[0], at)
    told = api.get(f"/api/decisions/{row.pk}", headers={"Accept-Language": language}).json()
    with translation.override(language):
        assert told["explanation"] == {"lang": language, "text": str(explain.sentence(row))}
    assert told["score"] == pytest.approx(sum(factor["contribution"] for factor in told["factors"]), abs=0.01)
    assert told["interval_after_s"] == row.interval_after_s and told["interval_before_s"] == 120.0
    assert told["factors"] == row.factors and told["inputs"] == row.inputs
    checked = 0
    for item in told["counterfactuals"]:
        answer = changed(inputs_of(row.inputs, at), item["code"], item["needed"]).decide()
        assert answer.action.value == item["action"] and answer.interval_s == item["interval_s"], item
        checked += 1
    assert checked >= 2
    assert told["rule_version"] == row.rule_version and told["inputs_as_of"] == "2024-05-14T12:00:00Z"


def test_a_skip_names_its_guards_and_the_run_of_a_decision_is_linked(
    toys: Any, api: Client, at: datetime
) -> None:
    closed = decide(toys[0], at, is_open=False, closed_reason="weekend")
    ran = decide(toys[1], at)
    made = run(toys[1], at, decision=ran)
    assert api.get(f"/api/decisions/{closed.pk}").json()["guards"][0]["code"] == "market_closed"
    listed = api.get("/api/decisions?action=skip").json()["results"]
    assert [(row["id"], row["guards"]) for row in listed] == [(closed.pk, ["market_closed"])]
    linked = api.get(f"/api/decisions/{ran.pk}").json()["run"]
    assert linked == {"id": made.pk, "status": "succeeded", "changed": True}


# --- Recommendations and health -----------------------------------------------------------------------------------


def test_recommendations_name_evidence_and_an_unknown_asset_type_is_not_found(
    toys: Any, api: Client, at: datetime
) -> None:
    for minute in range(40):
        run(
            toys[0],
            at - timedelta(minutes=minute + 1),
            "failed" if minute % 2 else "succeeded",
            error_code="Timeout",
        )
    told = api.get("/api/orchestrator/recommendations").json()
    assert told["asset_type"] is None
    codes = {(item["code"], item["workflow"]) for item in told["results"]}
    assert ("low_success", "ball") in codes
    found = next(item for item in told["results"] if item["code"] == "low_success")
    assert (found["severity"], found["evidence_n"]) == ("warning", 40) and "50" in found["text"]
    assert api.get("/api/orchestrator/recommendations/paper").json()["results"] == []
    assert api.get("/api/orchestrator/recommendations/toys/").json()["results"] == told["results"]
    unknown = api.get("/api/orchestrator/recommendations/stamps")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")
    assert recommendations.all_of(at).results[0].workflow == "ball"


def test_health_tells_the_worst_of_every_component(toys: Any, api: Client, at: datetime) -> None:
    assert api.get("/api/orchestrator/health").json()["state"] == "off"
    for role, age_s in (("loop", 2), ("feed", 3600), ("workers:trading", 3)):
        ProcessBeat.objects.create(
            name=f"{role}@host:7",
            role=role,
            host="host",
            pid=7,
            started_at=at,
            beat_at=at - timedelta(seconds=age_s),
        )
    event = {
        "opened_at": at,
        "last_seen_at": at,
        "severity": "critical",
        "remedy_at": at,
        "remedy_result": "asked",
    }
    HealthEvent.objects.create(
        component="workers",
        subject="trading",
        code="canary_late",
        remedy="restart_cluster",
        detail={"age_s": 50.0},
        **event,
    )
    HealthEvent.objects.create(
        component="queue", subject="trading", code="backlog", remedy="requeue", closed_at=at, **event
    )
    told = api.get("/api/orchestrator/health").json()
    states = {part["name"]: part["state"] for part in told["components"]}
    assert states == {
        "loop": "ok",
        "feed": "missing",
        "workers:trading": "critical",
        "workers:maintenance": "off",
    }
    assert told["state"] == "missing"
    assert [finding["code"] for finding in told["findings"]] == ["canary_late"]
    assert {finding["remedy"] for finding in told["healing"]} == {"restart_cluster", "requeue"}
    assert told["queue"]["waiting"] == 0
