"""Logging in, with brakes.

Five failures of one user from one address within 15 minutes block that pair for 30 s, then twice as long each
time, at most 15 minutes; wider nets catch one address trying many users, and one user attacked from many
addresses (an address the user has logged in from before is not held back by the latter: nobody can lock out
the owner).

An attempt is counted *before* the password is checked, in one conditional UPDATE, so parallel guesses cannot
slip through.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.contrib import auth
from django.db import transaction
from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.http import HttpRequest
from django.utils.translation import gettext as _

from . import audit, client, clock, second_factor
from .errors import Conflict, Invalid, NotAuthenticated, RateLimited
from .models import LoginAttempt

WINDOW = timedelta(minutes=15)
FORGET_AFTER = timedelta(hours=1)
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(minutes=15)
KNOWN_ADDRESS_FOR = timedelta(days=90)
CONFIRMED_FOR = timedelta(minutes=10)
CODE_WITHIN = timedelta(minutes=5)
"""From the right password to the code of the second factor."""
_LONGEST_PASSWORD = 4096
_LOGIN_AT, _CONFIRMED, _HALF_WAY = "login_at", "confirmed_at", "second_factor"


class SecondFactorNeeded(NotAuthenticated):
    """The password was right. Enter the code of your authenticator app."""

    default_code = "second-factor-needed"


@dataclass(frozen=True, slots=True)
class _Brake:
    key: str
    allowed: int


def attempt(*, request: HttpRequest, username: str, password: str) -> Any:
    """Log the user in (new session key) and return them.

    Raises NotAuthenticated with one message for every reason, or RateLimited with the seconds to wait; and
    SecondFactorNeeded when `finish` has to be asked with a code before anything is open.
    `username` may be the e-mail address when only one user has it.
    """
    now, ip = clock.now(), client.address(request)
    name = _normal(username)
    brakes = _brakes(name, ip, now)
    for brake in brakes:
        _take(brake, now)
    user = auth.authenticate(
        request, username=_account(name, username), password=password[: _LONGEST_PASSWORD + 1]
    )
    if user is None or len(password) > _LONGEST_PASSWORD:
        _note_failure(request, username, brakes, now)
        raise NotAuthenticated(_("The user name or the password is wrong."), code="login-failed")
    if second_factor.is_on(user):
        proof = {"user": user.pk, "hash": user.get_session_auth_hash(), "at": now.isoformat()}
        request.session[_HALF_WAY] = proof | {"backend": user.backend}
        raise SecondFactorNeeded(_("Enter the code of your authenticator app."))
    return _enter(request, user, user.backend, brakes, now)


def is_half_way(request: HttpRequest) -> bool:
    """Whether the password was right just now and only the code is missing."""
    return _half_way(request) is not None


def finish(*, request: HttpRequest, code: str) -> Any:
    """The second step of logging in: a code of the app, or a recovery code. Same brakes as the password.

    Raises NotAuthenticated for a wrong code, with the code "login-expired" when the password has to be entered again, or
    RateLimited.
    """
    now, user = clock.now(), _half_way(request)
    if user is None:
        raise NotAuthenticated(_("Please log in again."), code="login-expired")
    brakes = _brakes(_normal(user.get_username()), client.address(request), now)
    _use_code(request, user, code, brakes, now)
    backend = request.session.pop(_HALF_WAY)["backend"]
    return _enter(request, user, backend, brakes, now)


def confirm_code(*, request: HttpRequest, code: str) -> None:
    """Ask the logged-in user for a code of the second factor before real money is switched on.

    Raises Conflict (second-factor-missing) when it is off, NotAuthenticated for a wrong or used code, RateLimited.
    """
    now, user = clock.now(), cast(Any, request.user)
    if not second_factor.is_on(user):
        raise Conflict(_("Turn the second factor on first."), code="second-factor-missing")
    brakes = _brakes(_normal(user.get_username()), client.address(request), now)
    _use_code(request, user, code, brakes, now)
    _forgive(brakes, now)


def _enter(request: HttpRequest, user: Any, backend: str, brakes: list[_Brake], now: datetime) -> Any:
    with transaction.atomic():
        _forgive(brakes, now)
        auth.login(request, user, backend=backend)
        request.session[_LOGIN_AT] = now.isoformat()
        audit.record(action="login.success", actor=audit.actor_of(request), request=request)
    return user


def _half_way(request: HttpRequest) -> Any:
    proof = request.session.get(_HALF_WAY)
    if not proof or not timedelta(0) <= clock.now() - datetime.fromisoformat(proof["at"]) <= CODE_WITHIN:
        return None
    user: Any = auth.get_user_model()._default_manager.filter(pk=proof["user"], is_active=True).first()
    # A password changed meanwhile ends what the old one had begun.
    if user is None or not hmac.compare_digest(user.get_session_auth_hash(), proof["hash"]):
        return None
    return user


def _use_code(request: HttpRequest, user: Any, code: str, brakes: list[_Brake], now: datetime) -> None:
    for brake in brakes:
        _take(brake, now)
    try:
        kind = second_factor.check(user, code[:64], now=now)
    except Invalid as error:
        _note_failure(request, user.get_username(), brakes, now)
        raise NotAuthenticated(error.message, code="wrong-code") from error
    if kind == "recovery":
        actor = audit.Actor("user", str(user.pk), user.get_username())
        audit.record(action="second-factor.recovery", actor=actor, request=request)


def leave(request: HttpRequest) -> None:
    """Log out: the session ends on the server."""
    actor = audit.actor_of(request)
    if actor.id:
        audit.record(action="logout", actor=actor, request=request)
    auth.logout(request)


def confirm(*, request: HttpRequest, password: str) -> None:
    """Ask the logged-in user for the password again before something dangerous (keys, limits, users, live trading).

    Same brakes as logging in. Raises NotAuthenticated or RateLimited.
    """
    now, user = clock.now(), cast(Any, request.user)
    brakes = _brakes(_normal(user.get_username()), client.address(request), now)
    for brake in brakes:
        _take(brake, now)
    if len(password) > _LONGEST_PASSWORD or not user.check_password(password):
        _note_failure(request, user.get_username(), brakes, now)
        raise NotAuthenticated(_("The password is wrong."), code="login-failed")
    _forgive(brakes, now)
    request.session[_CONFIRMED] = now.isoformat()
    audit.record(action="login.confirm", actor=audit.actor_of(request), request=request)


def is_confirmed(request: HttpRequest) -> bool:
    """Whether the password was entered (login or `confirm`) within the last ten minutes."""
    times = [request.session.get(name) for name in (_CONFIRMED, _LOGIN_AT)]
    now = clock.now()
    return any(timedelta(0) <= now - datetime.fromisoformat(text) <= CONFIRMED_FOR for text in times if text)


def forget_old(now: datetime) -> int:
    """Delete counters nobody needs any more; returns how many."""
    idle = Q(last_attempt_at__lt=now - KNOWN_ADDRESS_FOR)
    return LoginAttempt.objects.filter(idle).delete()[0]


def _brakes(name: str, ip: str, now: datetime) -> list[_Brake]:
    pair = _Brake(_key("pair", name, ip), 5)
    known = LoginAttempt.objects.filter(key=pair.key, last_success_at__gte=now - KNOWN_ADDRESS_FOR).exists()
    wide = [_Brake(_key("address", ip), 30)]
    return [pair, *wide] if known else [pair, *wide, _Brake(_key("account", name), 50)]


def _take(brake: _Brake, now: datetime) -> None:
    """Count one attempt now, or raise RateLimited when the brake is on."""
    rows = LoginAttempt.objects.filter(key=brake.key)
    free = rows.filter(Q(blocked_until__isnull=True) | Q(blocked_until__lte=now))
    if not free.update(**_counted(brake, now)):
        row = LoginAttempt(key=brake.key, failures=0, window_started_at=now, last_attempt_at=now)
        LoginAttempt.objects.bulk_create([row], ignore_conflicts=True)
        if not free.update(**_counted(brake, now)):
            until = rows.values_list("blocked_until", flat=True).first()
            wait = int((until - now).total_seconds()) + 1 if until else 1
            raise RateLimited(
                _("Too many failed logins. Try again in %(seconds)s seconds.") % {"seconds": wait},
                retry_after_s=wait,
            )


def _counted(brake: _Brake, now: datetime) -> dict[str, Any]:
    fresh = Q(failures__lt=brake.allowed, window_started_at__lte=now - WINDOW) | Q(
        last_attempt_at__lte=now - FORGET_AFTER
    )
    delays, delay, failures = [], FIRST_DELAY, brake.allowed - 1
    while delay < LONGEST_DELAY:
        delays.append(When(failures=failures, then=Value(now + delay)))
        delay, failures = delay * 2, failures + 1
    return {
        "failures": Case(When(fresh, then=Value(1)), default=F("failures") + 1),
        "window_started_at": Case(When(fresh, then=Value(now)), default=F("window_started_at")),
        "last_attempt_at": now,
        "blocked_until": Case(
            When(fresh, then=Value(None)),
            *delays,
            When(failures__gte=failures, then=Value(now + LONGEST_DELAY)),
            default=Value(None),
            output_field=DateTimeField(null=True),
        ),
    }


def _forgive(brakes: list[_Brake], now: datetime) -> None:
    pair, *wide = brakes
    LoginAttempt.objects.filter(key=pair.key).update(failures=0, blocked_until=None, last_success_at=now)
    # The wider nets keep their count, without this attempt: one good account must not hide guessing at others.
    keys = [brake.key for brake in wide]
    LoginAttempt.objects.filter(key__in=keys, failures__gte=1).update(
        failures=F("failures") - 1, blocked_until=None
    )


def _note_failure(request: HttpRequest, username: str, brakes: list[_Brake], now: datetime) -> None:
    # A name nobody has may be a password typed into the wrong box: not stored.
    user = (
        auth.get_user_model()._default_manager.filter(username=_account(_normal(username), username)).first()
    )
    actor = audit.Actor("user", str(user.pk) if user else "", user.get_username() if user else "")
    blocked = LoginAttempt.objects.filter(
        key__in=[brake.key for brake in brakes], blocked_until__gt=now
    ).exists()
    action = "login.throttled" if blocked else "login.failed"
    audit.record(action=action, actor=actor, request=request, reason="" if user else "unknown user")


def _account(name: str, typed: str) -> str:
    """The username meant: itself, or the one user with that e-mail address."""
    users = auth.get_user_model()._default_manager
    by_mail = (
        list(users.filter(email__iexact=name).values_list("username", flat=True)[:2]) if "@" in name else []
    )
    return by_mail[0] if len(by_mail) == 1 else typed.strip()


def _normal(username: str) -> str:
    return unicodedata.normalize("NFKC", username).strip().casefold()[:254].replace("\x00", "")


def _key(kind: str, *parts: str) -> str:
    # Hashed: the table holds no list of names and addresses that were tried.
    return f"{kind}:{hashlib.sha256(chr(31).join(parts).encode('utf-8', 'replace')).hexdigest()}"[:80]
