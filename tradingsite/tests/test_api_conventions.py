"""What every resource does the same way: problems, both slash forms, cursors, ETags, If-Match, Idempotency-Key, limits."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import translation

from orchestrator.models import Run, Workflow
from orchestrator.selectors import runs as run_reads
from orchestrator.services import control
from tradingsite.foundation.api import throttles
from tradingsite.foundation.models import ApiToken, AuditEvent, IdempotencyRecord
from tradingsite.foundation.testkit import token_for
from tradingsite.tests import api_world

JSON = "application/json"


@pytest.fixture
def workflow(at: Any, db: Any) -> Workflow:
    """A workflow with seven runs a minute apart."""
    from orchestrator.services import workflows

    control.start(api_world.ACTOR, at, "test")
    made = workflows.sync_from_plugins(at)
    row = next(row for row in made if row.asset_type)
    for minutes in range(7):
        api_world.make_run(row, at - timedelta(minutes=minutes + 1))
    return row


@pytest.fixture
def api(alice: Any) -> Client:
    return Client(headers={"Authorization": f"Token {token_for(alice, 'admin')}"})


def act(api: Client, url: str) -> Any:
    """A POST without anything to say."""
    return api.post(url, {}, content_type=JSON)


def is_problem(response: Any, status: int, code: str) -> bool:
    body = response.json()
    assert response.status_code == status, body
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body["code"] == code and body["status"] == status and body["type"] == f"/problems/{code}"
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["title"] and body["detail"] and body["instance"]
    text = response.content.decode()
    assert not any(word in text for word in ("Traceback", "site-packages", "SELECT", "/hidden", "sqlite"))
    return True


# --- Problems -----------------------------------------------------------------------------------------------------


def test_wrong_requests_are_told_as_problems(workflow: Workflow, api: Client, charlie: Any) -> None:
    one = f"/api/workflows/{workflow.pk}"
    assert is_problem(api.get("/api/runs/?nonsense=1"), 400, "unknown-parameter")
    assert is_problem(api.get("/api/runs/?limit=0"), 400, "invalid")
    assert is_problem(api.get("/api/runs/?limit=201"), 400, "invalid")
    assert is_problem(api.get("/api/runs/?cursor=nonsense"), 400, "invalid")
    assert is_problem(api.get("/api/runs/?since=yesterday"), 400, "invalid")
    assert is_problem(api.get("/api/runs/?status=succeeded,lost"), 400, "invalid")
    assert is_problem(api.post(f"{one}/pause", {"why": "x"}, content_type=JSON), 400, "invalid")
    assert is_problem(api.post(f"{one}/pause", "{", content_type=JSON), 400, "invalid-json")
    assert is_problem(api.post(f"{one}/pause", {"reason": 5}, content_type=JSON), 400, "invalid")
    assert is_problem(Client().get("/api/runs"), 401, "not-authenticated")
    assert Client().get("/api/runs").headers["WWW-Authenticate"] == "Token"
    viewer = Client(headers={"Authorization": f"Token {token_for(charlie, 'admin')}"})
    assert is_problem(act(viewer, f"{one}/pause"), 403, "permission-denied")
    assert is_problem(api.get("/api/nothing/here"), 404, "not-found")
    assert is_problem(api.get("/api/runs/99999999999999999999"), 404, "not-found")
    assert is_problem(api.delete("/api/runs"), 405, "method-not-allowed")
    assert "GET" in api.delete("/api/runs").headers["Allow"]
    assert is_problem(api.get("/api/runs", headers={"Accept": "text/html"}), 406, "not-acceptable")
    assert is_problem(api.post(f"{one}/pause", {"reason": "x"}), 415, "unsupported-media-type")
    big = b'{"reason": "' + b"x" * 1_100_000 + b'"}'
    assert is_problem(api.post(f"{one}/pause", big, content_type=JSON), 413, "content-too-large")


def test_a_conflict_a_lock_and_an_old_version_are_told_as_problems(
    workflow: Workflow, api: Client, at: Any
) -> None:
    one = f"/api/workflows/{workflow.pk}"
    Workflow.objects.filter(pk=workflow.pk).update(status="archived")
    assert is_problem(act(api, f"{one}/resume"), 409, "illegal-transition")
    Workflow.objects.filter(pk=workflow.pk).update(status="active")
    control.stop(api_world.ACTOR, at, "test")
    assert is_problem(act(api, f"{one}/run"), 423, "kill-switch-engaged")
    assert is_problem(api.patch(one, {"name": "New"}, content_type=JSON), 428, "precondition-required")
    stale = api.patch(one, {"name": "New"}, content_type=JSON, headers={"If-Match": '"0123.v7"'})
    assert is_problem(stale, 412, "precondition-failed")


def test_a_failure_of_ours_says_nothing_about_the_inside(
    workflow: Workflow, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_filters: Any) -> Any:
        raise RuntimeError("SELECT secret FROM /hidden/place")

    monkeypatch.setattr(run_reads, "rows", broken)
    assert is_problem(api.get("/api/runs"), 500, "internal-error")


def test_an_unreadable_switch_is_unavailable_not_running(
    api: Client, monkeypatch: pytest.MonkeyPatch, db: Any
) -> None:
    from django.db import OperationalError

    from orchestrator.services import control

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise OperationalError("no such table")

    monkeypatch.setattr(control.statements, "values", broken)
    assert is_problem(api.get("/api/orchestrator/status"), 503, "switch-unreadable")


def test_titles_follow_the_language_and_codes_do_not(
    workflow: Workflow, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradingsite.foundation.api import problem

    class Spoken:
        def __str__(self) -> str:
            return f"not found, in {translation.get_language()}"

    monkeypatch.setitem(problem.TITLES, "not-found", Spoken())
    for language in ("en", "fr"):
        body = api.get("/api/nothing", headers={"Accept-Language": language}).json()
        assert (body["title"], body["code"]) == (f"not found, in {language}", "not-found")


# --- Slashes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_both_slash_forms_of_a_post_answer_directly(workflow: Workflow, api: Client, slash: str) -> None:
    body = {"scope": "workflow", "target": workflow.slug, "mode": "drain", "reason": "both forms"}
    response = api.post(f"/api/orchestrator/stop{slash}", body, content_type=JSON)
    assert response.status_code == 202
    assert response.json()["changed"] == [workflow.slug]
    assert act(api, f"/api/workflows/{workflow.pk}/resume{slash}").json()["status"] == "active"


# --- Pages --------------------------------------------------------------------------------------------------------


def test_walking_the_pages_finds_each_row_once_although_rows_are_added(
    workflow: Workflow, api: Client, at: Any
) -> None:
    before = set(Run.objects.values_list("pk", flat=True))
    found: list[int] = []
    url, number = "/api/runs/?limit=2", 0
    while url:
        page = api.get(url).json()
        found += [row["id"] for row in page["results"]]
        number += 1
        api_world.make_run(workflow, at + timedelta(minutes=number))
        url = page["next"]
    assert found == sorted(found, reverse=True, key=lambda pk: Run.objects.get(pk=pk).slot_at)
    assert len(found) == len(set(found)) and set(found) == before


def test_a_page_links_to_its_neighbours_and_back(workflow: Workflow, api: Client) -> None:
    first = api.get("/api/runs/?limit=3")
    assert 'rel="next"' in first.headers["Link"] and first.json()["previous"] is None
    second = api.get(first.json()["next"]).json()
    back = api.get(second["previous"]).json()
    assert back["results"] == first.json()["results"]


# --- Versions -----------------------------------------------------------------------------------------------------


def test_what_did_not_change_is_not_sent_again(workflow: Workflow, api: Client) -> None:
    for url in (
        "/api/orchestrator/status",
        "/api/orchestrator/metrics",
        f"/api/workflows/{workflow.pk}",
        "/api/runs",
    ):
        first = api.get(url)
        again = api.get(url, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
    workflow_url = f"/api/workflows/{workflow.pk}"
    tag = api.get(workflow_url).headers["ETag"]
    Workflow.objects.filter(pk=workflow.pk).update(interval_s=77)
    assert api.get(workflow_url, headers={"If-None-Match": tag}).status_code == 200


def test_an_edit_needs_the_version_that_was_read_and_only_another_edit_makes_it_old(
    workflow: Workflow, api: Client
) -> None:
    url = f"/api/workflows/{workflow.pk}/"
    seen = api.get(url).headers["ETag"]
    Workflow.objects.filter(pk=workflow.pk).update(interval_s=77)  # the loop goes on meanwhile
    first = api.patch(url, {"name": "First"}, content_type=JSON, headers={"If-Match": seen})
    assert (first.status_code, first.json()["name"], first.json()["version"]) == (200, "First", 2)
    second = api.patch(url, {"name": "Second"}, content_type=JSON, headers={"If-Match": seen})
    assert second.status_code == 412
    third = api.patch(url, {"name": "Third"}, content_type=JSON, headers={"If-Match": first.headers["ETag"]})
    assert third.json()["name"] == "Third"
    assert Workflow.objects.get(pk=workflow.pk).name == "Third"


# --- Once ---------------------------------------------------------------------------------------------------------


def test_a_repeated_post_gets_the_first_answer_and_happens_once(workflow: Workflow, api: Client) -> None:
    key = {"Idempotency-Key": "stop-1"}
    body = {"scope": "workflow", "target": workflow.slug, "mode": "stop"}
    first = api.post("/api/orchestrator/stop", body, content_type=JSON, headers=key)
    audited = AuditEvent.objects.count()
    again = api.post("/api/orchestrator/stop/", body, content_type=JSON, headers=key)
    assert (again.status_code, again.json()) == (first.status_code, first.json()) and first.status_code == 202
    assert (
        again.headers["Idempotent-Replayed"] == "true"
        and again.headers["Location"] == first.headers["Location"]
    )
    assert AuditEvent.objects.count() == audited
    other = api.post("/api/orchestrator/stop", {"scope": "all"}, content_type=JSON, headers=key)
    assert is_problem(other, 422, "idempotency-key-reused")
    bad = api.post("/api/orchestrator/stop", body, content_type=JSON, headers={"Idempotency-Key": "ü"})
    assert is_problem(bad, 400, "idempotency-key-invalid")


def test_the_secret_of_a_token_is_told_once_and_kept_nowhere(api: Client) -> None:
    key, body = {"Idempotency-Key": "token-1"}, {"name": "bot", "scopes": ["read"]}
    first = api.post("/api/tokens", body, content_type=JSON, headers=key)
    clear = first.json()["token"]
    again = api.post("/api/tokens", body, content_type=JSON, headers=key)
    assert again.json() == {**first.json(), "token": None}
    kept = [record.response_body for record in IdempotencyRecord.objects.all()]
    assert kept and all(clear not in body and clear.split("_")[2] not in body for body in kept)
    assert all(clear.split("_")[2] not in str(row) for row in ApiToken.objects.values())
    assert ApiToken.objects.filter(name="bot").count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_with_one_key_happen_once(alice: Any) -> None:
    headers = {"Authorization": f"Token {token_for(alice, 'admin')}", "Idempotency-Key": "at-once"}
    Client(headers={"Authorization": headers["Authorization"]}).get("/api/orchestrator/status")
    statuses: list[int] = []
    together = threading.Barrier(20)

    def ask() -> None:
        together.wait()
        try:
            body = {"name": "made once", "scopes": ["read"]}
            statuses.append(Client(headers=headers).post("/api/tokens", body, content_type=JSON).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ApiToken.objects.filter(name="made once").count() == 1
    assert len(statuses) == 20 and set(statuses) <= {201, 409} and 201 in statuses
    again = Client(headers=headers).post(
        "/api/tokens", {"name": "made once", "scopes": ["read"]}, content_type=JSON
    )
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")


# --- Limits -------------------------------------------------------------------------------------------------------


def test_too_many_requests_are_refused_with_the_time_to_wait(
    workflow: Workflow, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "LIMITS", {"read": 3, "write": 2, "orders": 1})
    answers = [api.get("/api/orchestrator/status") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["RateLimit-Limit"] == "3" and int(answers[0].headers["RateLimit-Reset"]) <= 60
    assert is_problem(answers[3], 429, "rate-limited")
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    posts = [act(api, f"/api/workflows/{workflow.pk}/pause").status_code for _ in range(3)]
    assert posts == [200, 200, 429]


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_when_many_ask_at_once(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "LIMITS", {"read": 5, "write": 2, "orders": 1})
    headers = {"Authorization": f"Token {token_for(alice, 'admin')}"}
    statuses: list[int] = []
    together = threading.Barrier(12)

    def ask() -> None:
        together.wait()
        try:
            statuses.append(Client(headers=headers).get("/api/alerts").status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [429] * 7


def test_every_answer_names_its_version_and_is_never_shared(workflow: Workflow, api: Client) -> None:
    for response in (api.get("/api/runs"), api.get("/api/nothing"), Client().get("/api/runs")):
        assert response.headers["API-Version"] == "1"
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert "Access-Control-Allow-Origin" not in response.headers
