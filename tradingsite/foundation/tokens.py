"""API tokens of machines: `tsk_<lookup>_<secret>`, shown once, kept as a keyed hash.

The lookup part (8 characters) finds the row, the secret (256 bits) is compared in constant time. What a token
may do is the smaller of its scope and its owner's role, decided at every request: revoking or demoting takes
effect at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from . import audit
from .errors import Invalid, NotAuthenticated, NotFound
from .models import ApiToken
from .roles import Role

PREFIX = "tsk"
SCOPES = {"read": Role.VIEWER, "operate": Role.OPERATOR, "trade": Role.TRADER, "admin": Role.ADMIN}
"""Scope and the role it goes up to; a higher scope includes the lower ones."""

_USED_EVERY = timedelta(minutes=1)
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; `clear` exists only here and only now."""

    token: ApiToken
    clear: str


def issue(
    *,
    user: Any,
    name: str,
    scopes: Iterable[str],
    actor: audit.Actor,
    now: datetime,
    expires_at: datetime | None = None,
) -> IssuedToken:
    """Create a token for `user`. Raises Invalid for an empty name, unknown scopes or an expiry in the past."""
    wanted = sorted(set(scopes))
    if not name.strip() or not wanted or not set(wanted) <= set(SCOPES):
        raise Invalid(
            _("A token needs a name and scopes out of: %(scopes)s.") % {"scopes": ", ".join(SCOPES)}
        )
    if expires_at is not None and expires_at <= now:
        raise Invalid(_("The expiry must lie in the future."))
    lookup = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user, name=name.strip()[:80], lookup=lookup, digest=_digest(settings.SECRET_KEY, lookup, secret),
            scopes=wanted, created_at=now, expires_at=expires_at,
        )  # fmt: skip
        audit.record(
            action="token.issue", actor=actor, object_type="token", object_id=token.pk,
            after={"name": token.name, "scopes": wanted, "user": user.get_username(), "expires_at": expires_at},
        )  # fmt: skip
    return IssuedToken(token=token, clear=f"{PREFIX}_{lookup}_{secret}")


def authenticate(clear: str, *, now: datetime, ip: str = "") -> ApiToken:
    """The valid token behind `clear`, its user loaded. Raises NotAuthenticated, never saying which part was wrong."""
    parts = clear.split("_", 2)
    refusal = NotAuthenticated(_("The token is not valid."), code="invalid-token")
    if len(clear) > _LONGEST or len(parts) != 3 or parts[0] != PREFIX or not clear.isascii():
        raise refusal
    _prefix, lookup, secret = parts
    token = ApiToken.objects.select_related("user", "user__profile").filter(lookup=lookup).first()
    if not _matches(token.digest if token else "", lookup, secret) or token is None:
        raise refusal
    expired = token.expires_at is not None and token.expires_at <= now
    if token.revoked_at is not None or expired or not token.user.is_active:
        raise refusal
    _note_use(token, now=now, ip=ip)
    return token


def revoke(pk: int, *, actor: audit.Actor, now: datetime, user: Any = None) -> ApiToken:
    """End a token at once; again is harmless. Raises NotFound (also for a token of somebody else than `user`)."""
    rows = ApiToken.objects.filter(pk=pk) if user is None else ApiToken.objects.filter(pk=pk, user=user)
    with transaction.atomic():
        changed = rows.filter(revoked_at__isnull=True).update(revoked_at=now)
        token = rows.first()
        if token is None:
            raise NotFound(_("There is no such token."))
        if changed:
            audit.record(action="token.revoke", actor=actor, object_type="token", object_id=pk)
    return token


def highest(token: ApiToken) -> Role:
    """The most a token's scopes allow."""
    return max((SCOPES[scope] for scope in token.scopes if scope in SCOPES), default=Role.NONE)


def _note_use(token: ApiToken, *, now: datetime, ip: str) -> None:
    # At most one write a minute, and exactly one audit row when the address changes.
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - _USED_EVERY) | ~Q(last_used_ip=ip)
    with transaction.atomic():
        if not _is_stale(token, now, ip):
            return
        moved = token.last_used_ip != ip
        changed = ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now, last_used_ip=ip)
        if changed and moved:
            actor = audit.Actor("token", str(token.pk), f"{token.user.get_username()} / {token.name}")
            audit.record(
                action="token.new-address", actor=actor, object_type="token", object_id=token.pk,
                before={"ip": token.last_used_ip}, after={"ip": ip},
            )  # fmt: skip


def _is_stale(token: ApiToken, now: datetime, ip: str) -> bool:
    return token.last_used_at is None or token.last_used_at <= now - _USED_EVERY or token.last_used_ip != ip


def _matches(digest: str, lookup: str, secret: str) -> bool:
    keys = [str(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    # Every key is tried, also for an unknown lookup: the time taken says nothing.
    matching = [hmac.compare_digest(digest, _digest(key, lookup, secret)) for key in keys]
    return any(matching)


def _digest(key: str, lookup: str, secret: str) -> str:
    return hmac.new(f"api-token:{key}".encode(), f"{lookup}:{secret}".encode(), hashlib.sha256).hexdigest()
