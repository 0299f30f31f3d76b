from __future__ import annotations

import logging
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tradingsite.foundation.testkit import NOON, make_user, token_for

from .apikit import JSON, machine, problem
from .rows import Parcel

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tradingsite.foundation.tests.urls")]


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
