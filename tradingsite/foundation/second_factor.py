"""The second factor of a user: set up, confirmed with a first code, asked at login and before live trading.

A code opens once: the step of the last one used is stored in one conditional UPDATE. The secret is sealed, recovery codes
are kept as keyed hashes. Brakes against guessing are in `login`; nothing here may be called without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from . import audit, secrets, totp
from .errors import Conflict, Invalid
from .models import RecoveryCode, TotpDevice

ISSUER = "Trading"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the app needs; shown until the first code has confirmed it."""

    secret: str
    uri: str

    @property
    def grouped(self) -> str:
        return totp.grouped(self.secret)


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be told of somebody's second factor."""

    is_on: bool
    since: datetime | None = None
    codes_left: int = 0


def _place(user: Any) -> str:
    return f"user:{user.pk}:totp"


def is_on(user: Any) -> bool:
    """Whether a confirmed device is stored for `user`."""
    return TotpDevice.objects.filter(user_id=user.pk, confirmed_at__isnull=False).exists()


def standing(user: Any) -> Standing:
    """Two queries."""
    device = TotpDevice.objects.filter(user_id=user.pk, confirmed_at__isnull=False).first()
    if device is None:
        return Standing(is_on=False)
    left = RecoveryCode.objects.filter(user_id=user.pk, used_at__isnull=True).count()
    return Standing(is_on=True, since=device.confirmed_at, codes_left=left)


def begin(user: Any, *, actor: audit.Actor, now: datetime) -> None:
    """Make a new secret that waits for its first code. Raises Conflict when the second factor is on."""
    with transaction.atomic():
        if is_on(user):
            raise Conflict(_("The second factor is already on."), code="second-factor-on")
        sealed = secrets.seal(totp.new_secret(), place=_place(user))
        TotpDevice.objects.update_or_create(
            user=user,
            defaults={"sealed_secret": sealed, "created_at": now, "confirmed_at": None, "last_step": -1},
        )
        audit.record(action="second-factor.begin", actor=actor, object_type="user", object_id=user.pk)


def waiting(user: Any) -> Enrolment | None:
    """The enrolment that waits for its first code. None when there is none, or it is over."""
    device = TotpDevice.objects.filter(user_id=user.pk, confirmed_at__isnull=True).first()
    if device is None:
        return None
    secret = secrets.unseal(device.sealed_secret, place=_place(user))
    return Enrolment(secret=secret, uri=totp.uri(secret, name=user.get_username(), issuer=ISSUER))


def confirm(user: Any, code: str, *, actor: audit.Actor, now: datetime) -> tuple[str, ...]:
    """Turn it on with a first code; returns the recovery codes, which exist in clear only here. Raises Invalid, Conflict."""
    with transaction.atomic():
        device = (
            TotpDevice.objects.select_for_update().filter(user_id=user.pk, confirmed_at__isnull=True).first()
        )
        if device is None:
            raise Conflict(_("There is nothing to confirm; begin again."), code="second-factor-not-begun")
        step = totp.matching_step(secrets.unseal(device.sealed_secret, place=_place(user)), code, now)
        if step is None:
            raise _wrong()
        TotpDevice.objects.filter(pk=device.pk).update(confirmed_at=now, last_step=step)
        codes = _renew_codes(user)
        audit.record(action="second-factor.on", actor=actor, object_type="user", object_id=user.pk)
    return codes


def check(user: Any, code: str, *, now: datetime) -> str:
    """Use one code up: "totp" or "recovery" says which kind it was. Raises Invalid for a wrong or a used one."""
    device = TotpDevice.objects.filter(user_id=user.pk, confirmed_at__isnull=False).first()
    if device is None:
        raise _wrong()
    if totp.digits_of(code):
        step = totp.matching_step(
            secrets.unseal(device.sealed_secret, place=_place(user)), code, now, after=device.last_step
        )
        fresh = TotpDevice.objects.filter(pk=device.pk, last_step__lt=-1 if step is None else step)
        # The condition is in the UPDATE: of two requests with the same code one gets through.
        if step is not None and fresh.update(last_step=step) == 1:
            return "totp"
        raise _wrong()
    kept = RecoveryCode.objects.filter(user_id=user.pk, used_at__isnull=True)
    keys = [str(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    digest = totp.recovery_match(code, list(kept.values_list("digest", flat=True)), keys)
    if digest is not None and kept.filter(digest=digest).update(used_at=now) == 1:
        return "recovery"
    raise _wrong()


def turn_off(user: Any, *, actor: audit.Actor) -> None:
    """Forget device and recovery codes; the caller has asked for password and code."""
    with transaction.atomic():
        TotpDevice.objects.filter(user_id=user.pk).delete()
        RecoveryCode.objects.filter(user_id=user.pk).delete()
        audit.record(action="second-factor.off", actor=actor, object_type="user", object_id=user.pk)


def new_codes(user: Any, *, actor: audit.Actor) -> tuple[str, ...]:
    """Ten new recovery codes in place of the old ones; the caller has asked for a code."""
    with transaction.atomic():
        codes = _renew_codes(user)
        audit.record(action="second-factor.codes", actor=actor, object_type="user", object_id=user.pk)
    return codes


def _renew_codes(user: Any) -> tuple[str, ...]:
    codes = totp.new_recovery_codes()
    RecoveryCode.objects.filter(user_id=user.pk).delete()
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user_id=user.pk, digest=totp.recovery_digest(code, key=settings.SECRET_KEY))
        for code in codes
    )
    return codes


def _wrong() -> Invalid:
    text = _("This code is wrong, used or too old.")
    return Invalid(
        text, code="wrong-code", errors=[{"pointer": "#/code", "code": "wrong-code", "detail": text}]
    )
