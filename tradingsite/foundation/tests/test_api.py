from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tradingsite.foundation import clock, services
from tradingsite.foundation.api import idempotency, throttles
from tradingsite.foundation.errors import Conflict
from tradingsite.foundation.models import AuditEvent, IdempotencyRecord, ThrottleBucket
from tradingsite.foundation.testkit import NOON, make_user, token_for

from .rows import Parcel

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tradingsite.foundation.tests.urls")]

JSON = "application/json"


def machine(user: Any, *scopes: str) -> Client:
    return Client(
        raise_request_exception=False, headers={"Authorization": f"Token {token_for(user, *scopes)}"}
    )


@pytest.fixture
def admin(alice: Any, at: datetime) -> Client:
    return machine(alice, "admin")


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= set(body)
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["request_id"] == response["X-Request-ID"]
    assert response["API-Version"] == "1" and response["Cache-Control"] == "private, no-cache"
    return body


# --- Problems --------------------------------------------------------------------------------------------------------


def test_every_error_is_a_problem_document(admin: Client) -> None:
    problem(admin.get("/api/nothing/at/all"), 404, "not-found")
    assert problem(admin.get("/api/parcels/7/"), 404, "not-found")["detail"] == "There is no such parcel."
    problem(admin.put("/api/parcels/", {}, content_type=JSON), 405, "method-not-allowed")
    problem(admin.post("/api/parcels/", "note=x", content_type="text/plain"), 415, "unsupported-media-type")
    problem(admin.post("/api/parcels/", "{", content_type=JSON), 400, "invalid-json")
    problem(admin.get("/api/parcels/", headers={"Accept": "application/xml"}), 406, "not-acceptable")
    problem(admin.post("/api/parcels/", "[" * 100_000, content_type=JSON), 400, "invalid-json")
    problem(admin.post("/api/parcels/", b" " * 1_048_577, content_type=JSON), 413, "content-too-large")


def test_a_stranger_gets_401_with_a_challenge_even_for_unknown_routes(db: Any) -> None:
    for path in ("/api/parcels/", "/api/nothing/"):
        response = Client().get(path)
        problem(response, 401, "not-authenticated")
        assert response["WWW-Authenticate"] == "Token"


def test_an_unforeseen_error_says_nothing_about_the_inside(
    admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        body = problem(admin.get("/api/crash/error/"), 500, "internal-error")
    assert "secret" not in str(body) and "RuntimeError" not in str(body)
    assert "secret detail" in caplog.text
    problem(admin.get("/api/crash/nan/"), 500, "internal-error")
    logged_in = Client(raise_request_exception=False)
    logged_in.force_login(make_user("dora"))
    problem(logged_in.get("/api/plain-crash/"), 500, "internal-error")
    assert b"secret" not in logged_in.get("/crash/").content


def test_domain_errors_keep_their_code_and_values(admin: Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    body = problem(
        admin.post("/api/orderlike/", {"kind": "risky"}, content_type=JSON, headers=headers),
        422,
        "risk-limit",
    )
    assert (body["detail"], body["params"]) == ("The order is above the limit.", {"limit": "10"})
    problem(
        admin.post(
            "/api/orderlike/", {"kind": "locked"}, content_type=JSON, headers={"Idempotency-Key": "k2"}
        ),
        423,
        "kill-switch-engaged",
    )


def test_wrong_and_unknown_fields_are_named(admin: Client) -> None:
    body = problem(admin.post("/api/parcels/", {"note": "", "weight": -1}, content_type=JSON), 400, "invalid")
    assert {(e["pointer"], e["code"]) for e in body["errors"]} == {
        ("#/note", "blank"),
        ("#/weight", "min_value"),
    }
    body = problem(
        admin.post("/api/parcels/", {"note": "a", "is_live": True, "x/y": 1}, content_type=JSON),
        400,
        "invalid",
    )
    assert {(e["pointer"], e["code"]) for e in body["errors"]} == {
        ("#/is_live", "unknown-field"),
        ("#/x~1y", "unknown-field"),
    }
    problem(admin.post("/api/parcels/", [1], content_type=JSON), 400, "invalid")
    assert not Parcel.objects.exists()


@pytest.mark.parametrize(
    "body", ['{"note": NaN}', '{"note": "a\\u0000b"}', '{"note": "\\ud800"}', b'{"note": "\xff"}']
)
def test_text_that_cannot_be_stored_is_refused(admin: Client, body: Any) -> None:
    problem(admin.generic("POST", "/api/parcels/", body, content_type=JSON), 400, "invalid-json")


def test_titles_follow_the_language_and_codes_do_not(admin: Client) -> None:
    english, german = (
        problem(admin.get("/api/nothing", headers={"Accept-Language": lang}), 404, "not-found")
        for lang in ("en", "fr")
    )
    assert english["title"] == "Not found" and german["code"] == "not-found"


@pytest.mark.parametrize(
    ("query", "code"),
    [("colour=red", "unknown-parameter"), ("status=broken", "invalid"), ("status=new&status=sent", "invalid"), ("since=2024-01-01", "invalid"), ("weight=1e3", "invalid"), ("limit=0", "invalid"), ("limit=201", "invalid"), ("limit=x", "invalid"), ("cursor=abc", "invalid"), ("cursor=%00", "invalid"), ("status=new%00", "invalid")],
)  # fmt: skip
def test_unknown_or_wrong_query_parameters_are_refused(admin: Client, query: str, code: str) -> None:
    body = problem(admin.get(f"/api/parcels/?{query}"), 400, code)
    assert body["errors"][0]["pointer"] == f"?{query.split('=')[0]}"


def test_good_query_parameters_pass(admin: Client) -> None:
    Parcel.objects.create(note="a", created_at=NOON)
    found = admin.get("/api/parcels/?status=new,sent&since=2024-01-01T00:00:00+00:00&weight=7&limit=200")
    assert (found.status_code, len(found.json()["results"])) == (200, 1)
    assert admin.get("/api/parcels/?status=sent").json()["results"] == []


def test_both_slash_forms_answer_directly(admin: Client) -> None:
    assert admin.get("/api/parcels").status_code == admin.get("/api/parcels/").status_code == 200
    created = admin.post("/api/parcels", {"note": "x"}, content_type=JSON)
    assert (created.status_code, created["Location"]) == (201, f"/api/parcels/{Parcel.objects.get().pk}/")


# --- Who may ------------------------------------------------------------------------------------------------------------


def test_a_token_counts_in_the_header_only(alice: Any) -> None:
    clear = token_for(alice, "admin")
    assert Client().get("/api/parcels/", headers={"Authorization": f"Token {clear}"}).status_code == 200
    assert Client().get("/api/parcels/", headers={"Authorization": f"token {clear}"}).status_code == 200
    by_cookie = Client()
    by_cookie.cookies["Authorization"] = by_cookie.cookies["token"] = clear
    for client, path in ((Client(), f"/api/parcels/?token={clear}"), (by_cookie, "/api/parcels/")):
        problem(client.get(path), 401, "not-authenticated")
    wrong = Client().get("/api/parcels/", headers={"Authorization": f"Token {clear}x"})
    assert problem(wrong, 401, "not-authenticated")["detail"] == "The token is not valid."


@pytest.mark.parametrize("role", ["viewer", "operator", "trader", "admin"])
@pytest.mark.parametrize("scope", ["read", "operate", "trade", "admin"])
def test_both_the_role_and_the_scope_must_reach(role: str, scope: str) -> None:
    client = machine(make_user("someone", role), scope)
    reach = min(
        ["viewer", "operator", "trader", "admin"].index(role),
        ["read", "operate", "trade", "admin"].index(scope),
    )
    row = Parcel.objects.create()
    assert client.get("/api/parcels/").status_code == 200
    assert client.post("/api/parcels/", {"note": "a"}, content_type=JSON).status_code == (
        201 if reach >= 1 else 403
    )
    answer = client.post("/api/orderlike/", {}, content_type=JSON, headers={"Idempotency-Key": "k"})
    assert answer.status_code == (201 if reach >= 2 else 403)
    assert client.delete(f"/api/parcels/{row.pk}/", headers={"If-Match": "*"}).status_code == (
        204 if reach >= 3 else 403
    )


def test_a_browser_session_needs_the_csrf_token_to_change(bob: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    assert client.get("/api/parcels/").status_code == 200
    problem(client.post("/api/parcels/", {"note": "a"}, content_type=JSON), 403, "csrf-failed")
    assert not Parcel.objects.exists()


# --- ETags --------------------------------------------------------------------------------------------------------------


def test_reading_again_unchanged_answers_304(admin: Client) -> None:
    row = Parcel.objects.create(note="a")
    for path in (f"/api/parcels/{row.pk}/", "/api/parcels/"):
        first = admin.get(path)
        assert first["ETag"].startswith('"')
        again = admin.get(path, headers={"If-None-Match": f'"other", W/{first["ETag"]}'})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    Parcel.objects.update(note="b")
    changed = admin.get(f"/api/parcels/{row.pk}/", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200


def test_a_change_names_the_version_it_saw(admin: Client) -> None:
    row = Parcel.objects.create(note="a")
    path, body = f"/api/parcels/{row.pk}/", {"note": "b"}
    tag = admin.get(path)["ETag"]
    problem(admin.patch(path, body, content_type=JSON), 428, "precondition-required")
    problem(admin.delete(path), 428, "precondition-required")
    stale = problem(
        admin.patch(path, body, content_type=JSON, headers={"If-Match": '"old"'}), 412, "precondition-failed"
    )
    assert stale["params"] == {"etag": tag}
    assert admin.patch(path, body, content_type=JSON, headers={"If-Match": tag}).json()["note"] == "b"
    problem(
        admin.patch(path, {"note": "c"}, content_type=JSON, headers={"If-Match": tag}),
        412,
        "precondition-failed",
    )
    assert admin.delete(path, headers={"If-Match": admin.get(path)["ETag"]}).status_code == 204
    problem(admin.delete(path, headers={"If-Match": tag}), 404, "not-found")


def test_of_parallel_changes_with_one_etag_one_passes(alice: Any, empty_tables: None) -> None:
    row, codes = Parcel.objects.create(note="a"), []
    authorization = f"Token {token_for(alice, 'admin')}"
    tag = Client(headers={"Authorization": authorization}).get(f"/api/parcels/{row.pk}/")["ETag"]

    def work(n: int) -> None:
        try:
            mine = Client(raise_request_exception=False, headers={"Authorization": authorization})
            answer = mine.patch(
                f"/api/parcels/{row.pk}/", {"note": f"by {n}"}, content_type=JSON, headers={"If-Match": tag}
            )
            codes.append(answer.status_code)
        finally:
            connection.close()

    threads = [Thread(target=work, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 412, 412, 412]


# --- Idempotency-Key ------------------------------------------------------------------------------------------------------


def post_order(client: Client, key: str | None, **body: Any) -> Any:
    return client.post(
        "/api/orderlike/", body, content_type=JSON, headers={"Idempotency-Key": key} if key else {}
    )


def test_the_same_key_happens_once_and_replays_the_answer(admin: Client) -> None:
    first, again = post_order(admin, "k", kind="a"), post_order(admin, "k", kind="a")
    assert (
        (first.status_code, first.json())
        == (again.status_code, again.json())
        == (201, {"id": Parcel.objects.get().pk})
    )
    assert "Idempotent-Replayed" not in first and again["Idempotent-Replayed"] == "true"
    assert post_order(admin, '"k"', kind="a")["Idempotent-Replayed"] == "true"
    assert Parcel.objects.count() == 1


def test_a_replay_keeps_the_location(admin: Client) -> None:
    def send() -> Any:
        return admin.post("/api/parcels/", {"note": "x"}, content_type=JSON, headers={"Idempotency-Key": "k"})

    assert send()["Location"] == send()["Location"] == f"/api/parcels/{Parcel.objects.get().pk}/"


def test_a_refusal_by_risk_is_replayed_as_the_same_problem(admin: Client) -> None:
    first, again = (post_order(admin, "k", kind="risky") for _ in range(2))
    assert problem(first, 422, "risk-limit")["detail"] == problem_detail(again)
    assert again["Idempotent-Replayed"] == "true" and Parcel.objects.count() == 1


def problem_detail(response: Any) -> str:
    assert response["Content-Type"] == "application/problem+json"
    return str(response.json()["detail"])


def test_the_key_is_required_and_must_be_well_formed(admin: Client) -> None:
    problem(post_order(admin, None), 400, "idempotency-key-required")
    for wrong in ("x" * 256, "a b", '""', "ü"):
        problem(post_order(admin, wrong), 400, "idempotency-key-invalid")


def test_a_key_used_for_something_else_is_refused(admin: Client) -> None:
    post_order(admin, "k", kind="a")
    problem(post_order(admin, "k", kind="b"), 422, "idempotency-key-reused")
    assert Parcel.objects.count() == 1


def test_a_key_in_progress_is_a_conflict(admin: Client) -> None:
    post_order(admin, "k", kind="a")
    IdempotencyRecord.objects.update(finished=False)
    problem(post_order(admin, "k", kind="a"), 409, "idempotency-in-progress")
    problem(post_order(admin, "k", kind="b"), 422, "idempotency-key-reused")


@pytest.mark.parametrize("kind", ["locked", "down"])
def test_when_nothing_was_done_the_key_is_free_again(admin: Client, kind: str) -> None:
    assert post_order(admin, "k", kind=kind).status_code in (423, 503)
    assert not IdempotencyRecord.objects.exists()
    assert post_order(admin, "k", kind="a").status_code == 201


def test_keys_belong_to_one_principal_and_one_route(admin: Client, bob: Any, at: datetime) -> None:
    other = machine(make_user("tom", "trader"), "trade")
    assert post_order(admin, "k", kind="a").status_code == post_order(other, "k", kind="b").status_code == 201
    assert (
        admin.post(
            "/api/parcels/", {"note": "x"}, content_type=JSON, headers={"Idempotency-Key": "k"}
        ).status_code
        == 201
    )
    assert Parcel.objects.count() == 3


def test_a_key_is_forgotten_after_a_day(admin: Client, at: datetime) -> None:
    post_order(admin, "k", kind="a")
    with clock.use(clock.FixedClock(at + timedelta(hours=23, minutes=59))):
        assert post_order(admin, "k", kind="a")["Idempotent-Replayed"] == "true"
    with clock.use(clock.FixedClock(at + timedelta(hours=24))):
        assert "Idempotent-Replayed" not in post_order(admin, "k", kind="a")
    assert Parcel.objects.count() == 2


def test_parallel_requests_with_one_key_reserve_once(empty_tables: None) -> None:
    got: list[str] = []

    def work() -> None:
        try:
            got.append(type(idempotency.begin(principal="user:1", route="/x", key="k", print_="f")).__name__)
        except Conflict:
            got.append("in progress")
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["Reservation"] + ["in progress"] * 4


# --- Rate limits ----------------------------------------------------------------------------------------------------------


def test_reads_writes_and_orders_have_their_own_limits(
    admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert throttles.LIMITS == {"read": 120, "write": 30, "orders": 10}
    monkeypatch.setattr(throttles, "LIMITS", {"read": 4, "write": 3, "orders": 2})
    left = [admin.get("/api/parcels/")["RateLimit-Remaining"] for _ in range(4)]
    assert left == ["3", "2", "1", "0"]
    refused = admin.get("/api/parcels/")
    problem(refused, 429, "rate-limited")
    assert (
        refused["Retry-After"],
        refused["RateLimit-Limit"],
        refused["RateLimit-Remaining"],
        refused["RateLimit-Reset"],
    ) == ("60", "4", "0", "60")
    assert admin.get("/api/parcels/").status_code == 429
    assert [admin.post("/api/parcels/", {"note": "a"}, content_type=JSON).status_code for _ in range(4)] == [
        201,
        201,
        201,
        429,
    ]
    assert [post_order(admin, f"k{n}").status_code for n in range(3)] == [201, 201, 429]
    # Once per window and scope, not once per refusal.
    assert AuditEvent.objects.filter(action="api.rate-limited").count() == 3


def test_the_window_ends_after_a_minute_and_others_are_not_affected(
    admin: Client, charlie: Any, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "LIMITS", {"read": 1, "write": 1, "orders": 1})
    other = machine(charlie)
    assert [admin.get("/api/parcels/").status_code for _ in range(2)] == [200, 429]
    assert other.get("/api/parcels/").status_code == 200
    with clock.use(clock.FixedClock(at + timedelta(seconds=59))):
        assert admin.get("/api/parcels/")["Retry-After"] == "1"
    with clock.use(clock.FixedClock(at + timedelta(seconds=60))):
        assert admin.get("/api/parcels/").status_code == 200


def test_parallel_uses_are_all_counted(empty_tables: None, at: datetime) -> None:
    used: list[int] = []

    def work() -> None:
        try:
            used.extend(throttles.take("read:x", 10).used for _ in range(10))
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(used) == list(range(1, 51))


def test_housekeeping_deletes_what_is_over(admin: Client, at: datetime) -> None:
    post_order(admin, "k", kind="a")
    assert services.forget_old(at) == {"idempotency_records": 0, "throttle_buckets": 0, "login_attempts": 0}
    later = at + timedelta(days=2)
    with clock.use(clock.FixedClock(later)):
        assert services.forget_old(later) == {
            "idempotency_records": 1,
            "throttle_buckets": 1,
            "login_attempts": 0,
        }
    assert not ThrottleBucket.objects.exists()


# --- Pagination -----------------------------------------------------------------------------------------------------------


def pages(client: Client, path: str) -> list[list[str]]:
    found = []
    while path:
        body = client.get(path).json()
        found.append([row["note"] for row in body["results"]])
        path = body["next"]
    return found


def fill(count: int, at: datetime, step: timedelta = timedelta(minutes=1)) -> None:
    Parcel.objects.bulk_create([Parcel(note=str(n), created_at=at + n * step) for n in range(count)])


def test_pages_go_from_new_to_old_and_back(admin: Client, at: datetime) -> None:
    fill(5, at)
    assert pages(admin, "/api/parcels/?limit=2") == [["4", "3"], ["2", "1"], ["0"]]
    first = admin.get("/api/parcels/?limit=2&status=new")
    assert first.json()["previous"] is None and "status=new" in first.json()["next"]
    assert first["Link"] == f'<{first.json()["next"]}>; rel="next"'
    second = admin.get(first.json()["next"])
    assert 'rel="next"' in second["Link"] and 'rel="prev"' in second["Link"]
    back = admin.get(second.json()["previous"]).json()
    assert ([row["note"] for row in back["results"]], back["previous"]) == (["4", "3"], None)
    everything = admin.get("/api/parcels/")
    assert len(everything.json()["results"]) == 5 and "Link" not in everything


def test_rows_inserted_meanwhile_neither_repeat_nor_hide_others(admin: Client, at: datetime) -> None:
    fill(4, at)
    first = admin.get("/api/parcels/?limit=2").json()
    Parcel.objects.create(note="newer", created_at=at + timedelta(days=1))
    second = admin.get(first["next"]).json()
    assert [row["note"] for row in second["results"]] == ["1", "0"]
    back = admin.get(second["previous"]).json()
    assert [row["note"] for row in back["results"]] == ["3", "2"]
    assert [row["note"] for row in admin.get(back["previous"]).json()["results"]] == ["newer"]


def test_equal_times_are_ordered_by_id(admin: Client, at: datetime) -> None:
    fill(5, at, timedelta(0))
    assert pages(admin, "/api/parcels/?limit=2") == [["4", "3"], ["2", "1"], ["0"]]


def test_fifty_rows_are_the_default(admin: Client, at: datetime) -> None:
    fill(51, at)
    assert [len(page) for page in pages(admin, "/api/parcels/")] == [50, 1]


def test_values_are_rendered_exactly(admin: Client, at: datetime) -> None:
    fill(1, at)
    assert admin.get("/api/parcels/").json()["results"][0]["created_at"] == "2024-05-14T12:00:00Z"
