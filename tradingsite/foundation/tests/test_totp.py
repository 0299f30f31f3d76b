"""Codes of an app: the RFC's own numbers, a step of tolerance, each once, and nothing of it stored in clear."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from tradingsite.foundation import audit, second_factor, totp
from tradingsite.foundation.errors import Conflict, Invalid
from tradingsite.foundation.models import AuditEvent, RecoveryCode, TotpDevice
from tradingsite.foundation.testkit import NOON

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
ALICE = audit.Actor("user", "1", "alice")
STEP = timedelta(seconds=totp.STEP_S)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
     (2000000000, "69279037"), (20000000000, "65353130")],
)  # fmt: skip
def test_the_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    # The appendix prints eight digits; six are the last six of them.
    assert totp.code_at(RFC_SECRET, totp.step_of(datetime.fromtimestamp(seconds, UTC))) == code[-6:]


@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off(steps: int, fits: bool) -> None:
    code = totp.code_at(RFC_SECRET, totp.step_of(NOON) + steps)
    assert (totp.matching_step(RFC_SECRET, code, NOON) is not None) is fits


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "１２３４５６", "12 34", "-12345"])
def test_what_is_no_code_fits_no_step(typed: str) -> None:
    assert totp.digits_of(typed) == "" and totp.matching_step(RFC_SECRET, typed, NOON) is None


def test_spaces_of_the_app_are_ignored() -> None:
    code = totp.code_at(RFC_SECRET, totp.step_of(NOON))
    assert totp.matching_step(RFC_SECRET, f" {code[:3]} {code[3:]}", NOON) == totp.step_of(NOON)


def test_the_address_for_the_app_names_site_and_user() -> None:
    address = totp.uri("ABC", name="al ice@x", issuer="Trading")
    assert address == "otpauth://totp/Trading%3Aal%20ice%40x?secret=ABC&issuer=Trading&digits=6&period=30"


def test_secrets_and_recovery_codes_are_long_and_never_the_same() -> None:
    assert len(base64.b32decode(totp.new_secret())) == 20 and totp.new_secret() != totp.new_secret()
    codes = {*totp.new_recovery_codes(), *totp.new_recovery_codes()}
    assert len(codes) == 20 and all(len(code.replace("-", "")) == 16 for code in codes)


def enrolled(user: Any, at: datetime = NOON) -> tuple[str, tuple[str, ...]]:
    """Secret and recovery codes of a user whose second factor is on; the code of `at` is used up."""
    second_factor.begin(user, actor=ALICE, now=at)
    waiting = second_factor.waiting(user)
    assert waiting is not None
    codes = second_factor.confirm(user, totp.code_at(waiting.secret, totp.step_of(at)), actor=ALICE, now=at)
    return waiting.secret, codes


@pytest.mark.django_db
def test_only_the_first_right_code_turns_it_on(alice: Any) -> None:
    second_factor.begin(alice, actor=ALICE, now=NOON)
    with pytest.raises(Invalid):
        second_factor.confirm(alice, "000000", actor=ALICE, now=NOON)
    assert not second_factor.is_on(alice)
    secret = second_factor.waiting(alice).secret
    assert (
        len(second_factor.confirm(alice, totp.code_at(secret, totp.step_of(NOON)), actor=ALICE, now=NOON))
        == 10
    )
    assert second_factor.is_on(alice) and second_factor.waiting(alice) is None
    with pytest.raises(Conflict):
        second_factor.begin(alice, actor=ALICE, now=NOON)


@pytest.mark.django_db
def test_a_code_opens_once_and_so_does_none_before_it(alice: Any) -> None:
    secret, _codes = enrolled(alice)
    later = NOON + 2 * STEP
    code = totp.code_at(secret, totp.step_of(later))
    assert second_factor.check(alice, code, now=later) == "totp"
    for again in (
        code,
        totp.code_at(secret, totp.step_of(later) - 1),
        totp.code_at(secret, totp.step_of(NOON)),
    ):
        with pytest.raises(Invalid):
            second_factor.check(alice, again, now=later)
    ahead = totp.code_at(secret, totp.step_of(later) + 1)
    assert second_factor.check(alice, ahead, now=later) == "totp"


@pytest.mark.django_db
def test_a_recovery_code_opens_once_in_any_writing(alice: Any) -> None:
    _secret, codes = enrolled(alice)
    assert second_factor.check(alice, f" {codes[3].upper()} ", now=NOON) == "recovery"
    with pytest.raises(Invalid):
        second_factor.check(alice, codes[3], now=NOON)
    assert second_factor.standing(alice).codes_left == 9
    assert second_factor.check(alice, codes[4].replace("-", ""), now=NOON) == "recovery"


@pytest.mark.django_db
def test_codes_of_somebody_else_open_nothing(alice: Any, bob: Any) -> None:
    secret, codes = enrolled(alice)
    enrolled(bob)
    later = NOON + 2 * STEP
    for code in (totp.code_at(secret, totp.step_of(later)), codes[0]):
        with pytest.raises(Invalid):
            second_factor.check(bob, code, now=later)


@pytest.mark.django_db
def test_neither_secret_nor_recovery_codes_are_stored_in_clear(alice: Any) -> None:
    secret, codes = enrolled(alice)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_secret FROM foundation_totpdevice")
        kept = str(cursor.fetchall())
        cursor.execute("SELECT digest FROM foundation_recoverycode")
        kept += str(cursor.fetchall())
    kept += str(list(AuditEvent.objects.values()))
    assert secret not in kept and not any(code in kept or code.replace("-", "") in kept for code in codes)


@pytest.mark.django_db
def test_turning_it_off_forgets_everything(alice: Any) -> None:
    enrolled(alice)
    second_factor.turn_off(alice, actor=ALICE)
    assert not TotpDevice.objects.exists() and not RecoveryCode.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_requests_with_one_code_one_gets_through(alice: Any) -> None:
    secret, _codes = enrolled(alice)
    later, passed = NOON + 2 * STEP, []

    def try_() -> None:
        try:
            passed.append(second_factor.check(alice, totp.code_at(secret, totp.step_of(later)), now=later))
        except Invalid:
            pass
        finally:
            connection.close()

    threads = [Thread(target=try_) for _n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == ["totp"]


def test_a_step_that_was_used_and_those_before_it_do_not_match() -> None:
    now = totp.step_of(NOON)
    code = totp.code_at(RFC_SECRET, now)
    assert totp.matching_step(RFC_SECRET, code, NOON, after=now - 1) == now
    assert totp.matching_step(RFC_SECRET, code, NOON, after=now) is None
