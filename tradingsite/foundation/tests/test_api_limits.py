from __future__ import annotations

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
from tradingsite.foundation.testkit import make_user

from .apikit import JSON, machine, post_order, problem
from .rows import Parcel

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tradingsite.foundation.tests.urls")]


# --- Idempotency-Key ------------------------------------------------------------------------------------------------------


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
