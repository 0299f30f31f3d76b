from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpRequest
from django.test import RequestFactory

from tradingsite.foundation import clock, login
from tradingsite.foundation.errors import NotAuthenticated, RateLimited
from tradingsite.foundation.models import AuditEvent, LoginAttempt
from tradingsite.foundation.testkit import NOON, PASSWORD


def request_from(ip: str = "192.0.2.1") -> HttpRequest:
    request = RequestFactory().post("/login/", REMOTE_ADDR=ip)
    request.session = SessionStore()
    request.user = AnonymousUser()
    return request


def try_(username: str = "alice", password: str = "wrong", ip: str = "192.0.2.1", at: datetime = NOON) -> str:
    with clock.use(clock.FixedClock(at)):
        try:
            login.attempt(request=request_from(ip), username=username, password=password)
        except RateLimited as e:
            return f"wait {e.retry_after_s}"
        except NotAuthenticated as e:
            return e.message
    return "in"


WRONG = "The user name or the password is wrong."


@pytest.mark.django_db
def test_the_right_password_logs_in_with_a_new_session_and_is_audited(alice: Any, at: datetime) -> None:
    request = request_from()
    request.session["kept"] = 1
    request.session.save()
    before = request.session.session_key
    assert login.attempt(request=request, username="alice", password=PASSWORD) == alice
    assert request.session.session_key != before and request.session["login_at"] == at.isoformat()
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_name, event.ip) == ("login.success", "alice", "192.0.2.1")


@pytest.mark.django_db
@pytest.mark.parametrize("name", [" alice ", "alice@example.org", "ALICE@EXAMPLE.ORG"])
def test_spaces_and_the_mail_address_are_accepted(alice: Any, name: str) -> None:
    assert try_(name, PASSWORD) == "in"


@pytest.mark.django_db
def test_a_shared_mail_address_identifies_nobody(alice: Any, bob: Any) -> None:
    type(bob).objects.filter(pk=bob.pk).update(email="alice@example.org")
    assert try_("alice@example.org", PASSWORD) == WRONG


@pytest.mark.django_db
def test_every_failure_says_the_same_and_is_audited_without_the_typed_name(alice: Any, bob: Any) -> None:
    bob.is_active = False
    bob.save(update_fields=["is_active"])
    answers = {
        try_(),
        try_("hunter2-typed-as-name"),
        try_("bob", PASSWORD),
        try_("alice", "x" * 5000),
        try_("", ""),
    }
    assert answers == {WRONG}
    assert Counter(AuditEvent.objects.values_list("action", flat=True)) == {"login.failed": 5}
    assert "hunter2" not in str(list(AuditEvent.objects.values()))


@pytest.mark.django_db
def test_an_unknown_user_costs_a_hash_as_well(alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    encode = hashers.MD5PasswordHasher.encode
    monkeypatch.setattr(
        hashers.MD5PasswordHasher,
        "encode",
        lambda self, password, salt: (hashed.append(password), encode(self, password, salt))[1],
    )
    try_("alice")
    known = len(hashed)
    try_("nobody")
    assert known == 1 and len(hashed) == 2


@pytest.mark.django_db
def test_five_failures_block_then_delays_grow_to_a_limit(alice: Any) -> None:
    now, waits = NOON, []
    for _n in range(4):
        assert try_(at=now) == WRONG
    for _n in range(8):
        assert try_(at=now) == WRONG
        waits.append(try_("alice", PASSWORD, at=now))
        now += timedelta(seconds=int(waits[-1].removeprefix("wait ")))
    assert waits == [
        "wait 31",
        "wait 61",
        "wait 121",
        "wait 241",
        "wait 481",
        "wait 901",
        "wait 901",
        "wait 901",
    ]
    # Blocked, never locked out: after the wait the right password works.
    assert try_("alice", PASSWORD, at=now) == "in"
    assert try_(at=now) == WRONG


@pytest.mark.django_db
def test_the_window_forgets_four_failures(alice: Any) -> None:
    for _n in range(4):
        try_()
    later = NOON + timedelta(minutes=15)
    assert [try_(at=later) for _n in range(4)] == [WRONG] * 4
    assert try_("alice", PASSWORD, at=later) == "in"


@pytest.mark.django_db
def test_a_success_clears_the_count_of_its_address(alice: Any) -> None:
    for _n in range(4):
        try_()
    assert try_("alice", PASSWORD) == "in"
    assert [try_() for _n in range(5)] == [WRONG] * 5


@pytest.mark.django_db
def test_the_block_is_for_one_user_and_address(alice: Any, bob: Any) -> None:
    for _n in range(6):
        try_()
    assert try_("alice", PASSWORD) == "wait 31"
    assert try_("bob", PASSWORD) == "in"
    assert try_("alice", PASSWORD, ip="192.0.2.2") == "in"


@pytest.mark.django_db
def test_one_address_cannot_try_many_users(alice: Any) -> None:
    answers = [try_(f"user{n}") for n in range(31)]
    assert answers == [WRONG] * 30 + ["wait 31"]


@pytest.mark.django_db
def test_many_addresses_cannot_guess_one_user_but_cannot_lock_out_its_home(alice: Any) -> None:
    assert try_("alice", PASSWORD, ip="198.51.100.1") == "in"
    answers = [try_(ip=f"192.0.2.{n}") for n in range(51)]
    assert answers == [WRONG] * 50 + ["wait 31"]
    assert try_("alice", PASSWORD, ip="198.51.100.1") == "in"


@pytest.mark.django_db
def test_the_start_of_a_block_is_audited_once(alice: Any) -> None:
    for _n in range(9):
        try_()
    assert Counter(AuditEvent.objects.values_list("action", flat=True)) == {
        "login.failed": 4,
        "login.throttled": 1,
    }


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_do_not_slip_through(alice: Any) -> None:
    answers: list[str] = []

    def work() -> None:
        try:
            for _n in range(5):
                try:
                    login.attempt(request=request_from(), username="alice", password="wrong")
                except (RateLimited, NotAuthenticated) as e:
                    answers.append(type(e).__name__)
        finally:
            connection.close()

    with clock.use(clock.FixedClock(NOON)):
        threads = [Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(answers) == {"NotAuthenticated": 5, "RateLimited": 25}


@pytest.mark.django_db
def test_counters_hold_no_names_and_old_ones_go(alice: Any) -> None:
    try_()
    assert "alice" not in str(list(LoginAttempt.objects.values()))
    assert login.forget_old(NOON) == 0
    assert login.forget_old(NOON + timedelta(days=91)) == 3


@pytest.mark.django_db
def test_leaving_ends_the_session_on_the_server(alice: Any, client: Any) -> None:
    request = request_from()
    login.attempt(request=request, username="alice", password=PASSWORD)
    request.session.save()
    key = request.session.session_key
    login.leave(request)
    assert not SessionStore().exists(key)
    assert AuditEvent.objects.filter(action="logout", actor_name="alice").count() == 1


@pytest.mark.django_db
def test_the_password_counts_for_ten_minutes_then_it_is_asked_again(alice: Any) -> None:
    request = request_from()
    with clock.use(clock.VirtualClock(NOON)) as virtual:
        login.attempt(request=request, username="alice", password=PASSWORD)
        virtual.advance(timedelta(minutes=10))
        assert login.is_confirmed(request)
        virtual.advance(timedelta(seconds=1))
        assert not login.is_confirmed(request)
        with pytest.raises(NotAuthenticated):
            login.confirm(request=request, password="wrong")
        assert not login.is_confirmed(request)
        login.confirm(request=request, password=PASSWORD)
        assert login.is_confirmed(request)
    actions = list(AuditEvent.objects.order_by("sequence").values_list("action", flat=True))
    assert actions == ["login.success", "login.failed", "login.confirm"]


@pytest.mark.django_db
def test_confirming_has_the_same_brakes(alice: Any) -> None:
    request = request_from()
    with clock.use(clock.FixedClock(NOON)):
        login.attempt(request=request, username="alice", password=PASSWORD)
        for _n in range(5):
            with pytest.raises(NotAuthenticated):
                login.confirm(request=request, password="wrong")
        with pytest.raises(RateLimited):
            login.confirm(request=request, password=PASSWORD)
