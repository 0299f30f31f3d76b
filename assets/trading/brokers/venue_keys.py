"""API keys of venues: sealed where they are stored, bound to their account, readable only for the broker that uses them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from assets.trading.models import Account, VenueKey
from assets.trading.services import live_gate
from tradingsite.foundation import audit, secrets
from tradingsite.foundation.audit import Actor
from tradingsite.foundation.errors import Invalid, NotFound

_LONGEST = 256


def _place(account: Account, part: str) -> str:
    return f"account:{account.pk}:{part}"


def store(account: Account, key: str, secret: str, *, actor: Actor, now: datetime) -> VenueKey:
    """Keep a new key in place of the old one. Raises Invalid for what cannot be a key. The audit log learns the hint."""
    key, secret = key.strip(), secret.strip()
    for name, value in (("key", key), ("secret", secret)):
        if not value or len(value) > _LONGEST or not value.isprintable() or any(c.isspace() for c in value):
            raise Invalid(
                f"The API {name} must be 1 to {_LONGEST} characters without spaces.", code="bad-venue-key"
            )
    with transaction.atomic():
        before = VenueKey.objects.filter(account=account).first()
        row, _made = VenueKey.objects.update_or_create(
            account=account,
            defaults={
                "sealed_key": secrets.seal(key, place=_place(account, "api-key")),
                "sealed_secret": secrets.seal(secret, place=_place(account, "api-secret")),
                "hint": secrets.hint(key), "created_by": actor.name[:120], "created_at": now, "checked_at": None,
                "permissions": {},
            },
        )  # fmt: skip
        if before is not None:
            live_gate.revoke(account, "key", actor=actor, now=now)
        audit.record(
            action="venue-key.store", actor=actor, object_type="account", object_id=str(account.pk),
            before={"hint": before.hint} if before else None, after={"hint": row.hint},
        )  # fmt: skip
    return row


def remove(account: Account, *, actor: Actor, now: datetime) -> None:
    """Forget the key; the account sends nothing without one. Raises NotFound."""
    with transaction.atomic():
        row = VenueKey.objects.filter(account=account).first()
        if row is None:
            raise NotFound(f"The account {account.name} has no API key.", code="no-venue-key")
        hint = row.hint
        row.delete()
        live_gate.revoke(account, "key", actor=actor, now=now)
        audit.record(
            action="venue-key.remove",
            actor=actor,
            object_type="account",
            object_id=str(account.pk),
            before={"hint": hint},
        )


def read(account: Account) -> tuple[str, str]:
    """Key and secret in clear, for a broker only. Raises NotFound without a key and secrets.Undecryptable."""
    row = VenueKey.objects.filter(account=account).first()
    if row is None:
        raise NotFound(f"The account {account.name} has no API key.", code="no-venue-key")
    return (
        secrets.unseal(row.sealed_key, place=_place(account, "api-key")),
        secrets.unseal(row.sealed_secret, place=_place(account, "api-secret")),
    )


def permissions(account: Account) -> dict[str, Any]:
    """What the venue said the key of the account may do; empty without a key, or when nobody asked yet."""
    return VenueKey.objects.filter(account=account).values_list("permissions", flat=True).first() or {}


def rotate() -> int:
    """Seal every stored key anew with the newest of settings.FIELD_ENCRYPTION_KEYS. Returns how many there are."""
    rows = list(VenueKey.objects.select_related("account"))
    for row in rows:
        with transaction.atomic():
            VenueKey.objects.filter(pk=row.pk, sealed_key=row.sealed_key).update(
                sealed_key=secrets.reseal(row.sealed_key, place=_place(row.account, "api-key")),
                sealed_secret=secrets.reseal(row.sealed_secret, place=_place(row.account, "api-secret")),
            )
    return len(rows)
