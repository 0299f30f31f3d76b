"""Idempotency-Key: the same POST sent twice happens once.

The first request reserves (principal, route, key) by a UNIQUE row; its outcome is kept 24 hours and replayed.
A process that dies in between leaves the key "in progress": nobody knows what happened, so asking again
answers 409 until it expires.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from tradingsite.foundation import clock
from tradingsite.foundation.errors import Conflict, DomainError, Invalid
from tradingsite.foundation.jsonable import canonical_json
from tradingsite.foundation.models import IdempotencyRecord

from .rendering import ApiRenderer

KEEP = timedelta(hours=24)
HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("Location",)


class KeyReused(DomainError):
    """The key was used for a different request. Use a new key."""

    status = 422
    exit_code = 6
    default_code = "idempotency-key-reused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A stored answer."""

    status: int
    data: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reservation:
    """This request is the first with its key; finish or release it."""

    pk: int


def key_of(header: str | None, *, required: bool) -> str | None:
    """The key in the header (bare or quoted), None when absent. Raises Invalid when it is required or malformed."""
    if header is None:
        if required:
            message = _("This request needs the header Idempotency-Key, so that it cannot happen twice.")
            raise Invalid(message, code="idempotency-key-required")
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise Invalid(
            _("Idempotency-Key is 1 to 255 visible ASCII characters."), code="idempotency-key-invalid"
        )
    return key


def fingerprint(method: str, query: str, data: Any) -> str:
    """What makes two requests the same."""
    body = canonical_json(json.loads(ApiRenderer().render(data) or b"null"))
    return hashlib.sha256("\x1f".join((method, query, body)).encode()).hexdigest()


def begin(*, principal: str, route: str, key: str, print_: str) -> Reservation | Outcome:
    """Reserve the key, or give the outcome of the first request. Raises KeyReused, or Conflict while that is
    running.
    """
    now = clock.now()
    where = {"principal": principal, "route": route[:300], "key": key}
    IdempotencyRecord.objects.filter(**where, expires_at__lte=now).delete()
    try:
        with transaction.atomic():
            made = IdempotencyRecord.objects.create(
                **where, fingerprint=print_, created_at=now, expires_at=now + KEEP
            )
            return Reservation(made.pk)
    except IntegrityError:
        record = IdempotencyRecord.objects.filter(**where).first()
    if record is None or (record.fingerprint == print_ and not record.finished):
        # None: the first request was refused and gave the key back at this very moment; the client may try again.
        raise Conflict(
            _("The first request with this key is still in progress."), code="idempotency-in-progress"
        )
    if record.fingerprint != print_:
        raise KeyReused(_("This Idempotency-Key belongs to a different request. Use a new one."))
    body = json.loads(record.response_body) if record.response_body else None
    return Outcome(record.response_status or 200, body, record.response_headers)


def finish(reservation: Reservation, *, status: int, data: Any, headers: Mapping[str, str]) -> None:
    """Keep the answer, or give the key back when nothing happened and a later try may go differently."""
    rows = IdempotencyRecord.objects.filter(pk=reservation.pk)
    if not _is_final(status):
        rows.delete()
        return
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    body = ApiRenderer().render(data).decode() if data is not None else ""
    rows.update(finished=True, response_status=status, response_headers=kept, response_body=body)


def forget_old() -> int:
    """Delete expired records; returns how many."""
    return IdempotencyRecord.objects.filter(expires_at__lte=clock.now()).delete()[0]


def _is_final(status: int) -> bool:
    # A risk refusal (422) and a failure half-way (500, 502) are outcomes. Wrong input, missing rights, locks,
    # limits and outages (503) are not: nothing was done.
    return status < 400 or status == 422 or (status >= 500 and status != 503)
