"""The second factor at the login and on its page; sessions that end by themselves or by hand."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.core.management import call_command
from django.test import Client

from tradingsite.foundation import clock, second_factor, totp
from tradingsite.foundation.models import AuditEvent
from tradingsite.foundation.testkit import NOON, PASSWORD
from tradingsite.foundation.tests.test_totp import STEP, enrolled

pytestmark = pytest.mark.django_db
LATER = NOON + 2 * STEP


def code_for(secret: str, at: Any = LATER) -> str:
    return totp.code_at(secret, totp.step_of(at))


def password_step(client: Client, name: str = "alice", password: str = PASSWORD) -> Any:
    return client.post("/login/?next=/risk/", {"username": name, "password": password, "next": "/risk/"})


def test_with_a_second_factor_the_password_alone_opens_nothing(alice: Any, client: Client) -> None:
    secret, _codes = enrolled(alice)
    with clock.use(clock.FixedClock(LATER)):
        answer = password_step(client)
        assert answer.status_code == 302 and answer.headers["Location"].startswith("/login/code/")
        assert SESSION_KEY not in client.session and client.get("/risk/").status_code == 302
        assert client.get("/login/code/").status_code == 200
        wrong = client.post("/login/code/", {"code": "000000"})
        assert wrong.status_code == 422 and SESSION_KEY not in client.session
        before = client.session.session_key
        answer = client.post("/login/code/", {"code": code_for(secret), "next": "/risk/"})
        assert answer.headers["Location"] == "/risk/" and client.session.session_key != before
        assert client.get("/risk/").status_code == 200
    actions = list(AuditEvent.objects.values_list("action", flat=True))
    assert "login.failed" in actions and actions.count("login.success") == 1


def test_the_code_is_not_asked_without_the_password(alice: Any, client: Client) -> None:
    secret, _codes = enrolled(alice)
    with clock.use(clock.FixedClock(LATER)):
        for answer in (client.get("/login/code/"), client.post("/login/code/", {"code": code_for(secret)})):
            assert answer.headers["Location"] == "/login/"
        assert SESSION_KEY not in client.session


def test_a_code_of_a_login_cannot_be_replayed_in_another(alice: Any) -> None:
    secret, _codes = enrolled(alice)
    with clock.use(clock.FixedClock(LATER)):
        for expected in (302, 422):
            client = Client()
            password_step(client)
            assert client.post("/login/code/", {"code": code_for(secret)}).status_code == expected


def test_the_password_step_is_forgotten_after_five_minutes_or_a_new_password(
    alice: Any, client: Client
) -> None:
    enrolled(alice)
    with clock.use(clock.FixedClock(LATER)):
        password_step(client)
        alice.set_password("another long password")
        alice.save()
        assert client.get("/login/code/").headers["Location"] == "/login/"
        password_step(client, password="another long password")
        assert client.get("/login/code/").status_code == 200
    with clock.use(clock.FixedClock(LATER + timedelta(minutes=5, seconds=1))):
        assert client.get("/login/code/").headers["Location"] == "/login/"


def test_guessing_codes_meets_the_same_brakes_as_guessing_passwords(alice: Any, client: Client) -> None:
    secret, _codes = enrolled(alice)
    with clock.use(clock.FixedClock(LATER)):
        password_step(client)
        statuses = [client.post("/login/code/", {"code": f"{n:06d}"}).status_code for n in range(6)]
        assert statuses[-1] == 429 and statuses.count(422) <= 5
        answer = client.post("/login/code/", {"code": code_for(secret)})
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0


def test_enrolling_needs_the_password_and_shows_the_codes_once(alice: Any, client: Client, at: Any) -> None:
    client.force_login(alice)
    assert client.post("/settings/security/begin/", {"password": "wrong"}).status_code == 422
    assert second_factor.waiting(alice) is None
    assert client.post("/settings/security/begin/", {"password": PASSWORD}).status_code == 303
    secret = second_factor.waiting(alice).secret
    assert totp.grouped(secret) in client.get("/settings/security/").content.decode()
    html = client.post("/settings/security/confirm/", {"code": code_for(secret, at)}).content.decode()
    codes = re.findall(r"<li>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</li>", html)
    assert len(codes) == 10 and second_factor.is_on(alice)
    shown = client.get("/settings/security/").content.decode()
    assert (
        not any(code in shown for code in codes) and secret not in shown and totp.grouped(secret) not in shown
    )


@pytest.mark.parametrize(("password", "has_code", "status"), [
    ("wrong", True, 422), (PASSWORD, False, 422), (PASSWORD, True, 303),
])  # fmt: skip
def test_turning_it_off_needs_password_and_code(
    alice: Any, client: Client, password: str, has_code: bool, status: int
) -> None:
    secret, _codes = enrolled(alice)
    client.force_login(alice)
    with clock.use(clock.FixedClock(LATER)):
        code = code_for(secret) if has_code else "000000"
        assert (
            client.post("/settings/security/off/", {"password": password, "code": code}).status_code == status
        )
    assert second_factor.is_on(alice) is (status != 303)


# --- Sessions -------------------------------------------------------------------------------------------------------


def at_(minutes: float) -> Any:
    return clock.use(clock.FixedClock(NOON + timedelta(minutes=minutes)))


def is_in(client: Client) -> bool:
    return bool(client.get("/about/").status_code == 200)


def test_a_session_nobody_uses_ends_after_half_an_hour(alice: Any, client: Client) -> None:
    with at_(0):
        client.force_login(alice)
    for minutes in (29, 58, 87):
        with at_(minutes):
            assert is_in(client)
    with at_(87 + 30.1):
        assert not is_in(client)
    assert AuditEvent.objects.get(action="session.expired").reason == "idle"


def test_polls_of_an_open_page_do_not_keep_it_alive(alice: Any, client: Client) -> None:
    with at_(0):
        client.force_login(alice)
    for minutes in (10, 20, 29):
        with at_(minutes):
            assert client.get("/ui/frame/status/", headers={"HX-Request": "true"}).status_code in (200, 204)
    with at_(31):
        assert not is_in(client)


def test_every_session_ends_after_twelve_hours(alice: Any, client: Client) -> None:
    with at_(0):
        client.force_login(alice)
    for minutes in range(20, 721, 20):
        with at_(minutes):
            assert is_in(client)
    with at_(721):
        assert not is_in(client)


def test_the_limits_can_be_set(alice: Any, client: Client, settings: Any) -> None:
    settings.SESSION_IDLE = timedelta(minutes=5)
    with at_(0):
        client.force_login(alice)
    with at_(6):
        assert not is_in(client)


def test_own_sessions_are_listed_and_ended_and_no_others(alice: Any, bob: Any, at: Any) -> None:
    here, there, stranger = Client(), Client(headers={"User-Agent": "Other phone"}), Client()
    for client, user in ((here, alice), (stranger, bob)):
        client.force_login(user)
    there.post("/login/", {"username": "alice", "password": PASSWORD})
    html = here.get("/settings/security/").content.decode()
    handles = re.findall(r'name="session" value="([0-9a-f]+)"', html)
    assert "Other phone" in html and len(handles) == 1 and here.session.session_key not in html
    # Somebody else's session cannot be named.
    assert stranger.post("/settings/security/sessions/end/", {"session": handles[0]}).status_code == 404
    assert is_in(there)
    assert here.post("/settings/security/sessions/end/", {"session": handles[0]}).status_code == 303
    assert not is_in(there) and is_in(here) and is_in(stranger)


def test_ending_all_others_keeps_this_one_and_those_of_others(alice: Any, bob: Any, at: Any) -> None:
    mine, others, stranger = Client(), [Client(), Client()], Client()
    for client in (mine, *others):
        client.force_login(alice)
    stranger.force_login(bob)
    assert mine.post("/settings/security/sessions/end-others/").status_code == 303
    assert is_in(mine) and is_in(stranger) and not any(is_in(client) for client in others)


def test_who_lost_the_phone_gets_back_in_by_the_command_line(alice: Any, client: Client) -> None:
    enrolled(alice)
    call_command("second_factor", "off", "alice", stdout=io.StringIO(), stderr=io.StringIO())
    assert (
        not second_factor.is_on(alice) and AuditEvent.objects.filter(action="second-factor.off").count() == 1
    )
    password_step(client)
    assert SESSION_KEY in client.session
