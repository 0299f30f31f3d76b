"""The append-only audit log: who did what to which object, why, and what changed.

Every row carries the SHA-256 of its content and of the row before it, so changing, removing or inserting a
row is found by `verify()` even when somebody dropped the triggers. Call `record` as the last step of a
transaction: on PostgreSQL it holds a lock until commit so that sequences have no gaps.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connections, router, transaction
from django.http import HttpRequest

from . import client, clock, context
from .jsonable import canonical_json, iso, plain
from .models import AuditEvent, AuditHead

GENESIS = "0" * 64
_LOCK = 0x7473_6175_6469_74  # "tsaudit": the advisory lock that orders writers on PostgreSQL
_CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `kind` is user, token, system or cli."""

    kind: str
    id: str = ""
    name: str = ""


def system(name: str) -> Actor:
    """A part of the system acting by itself, e.g. system("loop")."""
    return Actor("system", "", name)


def cli(name: str = "") -> Actor:
    """Somebody at the command line."""
    return Actor("cli", "", name)


def actor_of(request: HttpRequest) -> Actor:
    """The actor behind a request (page or API)."""
    token = getattr(request, "auth", None)
    user: Any = getattr(request, "user", None) or AnonymousUser()
    if not user.is_authenticated:
        return Actor("user", "", "")
    if token is not None and hasattr(token, "lookup"):
        return Actor("token", str(token.pk), f"{user.get_username()} / {token.name}"[:150])
    return Actor("user", str(user.pk), user.get_username())


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of `verify`: rows checked, and the sequence of the first bad one with what is wrong with it."""

    ok: bool
    checked: int
    first_bad: int | None = None
    problem: str = ""


def record(
    *,
    action: str,
    actor: Actor,
    object_type: str = "",
    object_id: object = "",
    before: Any = None,
    after: Any = None,
    reason: str = "",
    request: HttpRequest | None = None,
) -> AuditEvent:
    """Append one event in the caller's transaction. Values under keys that name a secret are replaced by ***."""
    using = router.db_for_write(AuditEvent)
    with transaction.atomic(using=using):
        head = _lock_head(using)
        event = AuditEvent(
            sequence=head.sequence + 1,
            at=clock.now(),
            actor_kind=actor.kind,
            actor_id=_text(actor.id, 64),
            actor_name=_text(actor.name, 150),
            action=_text(action, 80),
            object_type=_text(object_type, 60),
            object_id=_text(object_id, 80),
            before=plain(before),
            after=plain(after),
            reason=_text(reason, 500),
            request_id=_text(context.request_id(), 64),
            ip=client.address(request) if request is not None else "",
            previous_hash=head.hash,
        )
        event.hash = digest(event)
        event.save(using=using, force_insert=True)
        AuditHead.objects.using(using).filter(pk=1).update(sequence=event.sequence, hash=event.hash)
    return event


def digest(event: AuditEvent) -> str:
    """The hash the row must have."""
    content = {
        "sequence": event.sequence,
        "at": iso(event.at),
        "actor": [event.actor_kind, event.actor_id, event.actor_name],
        "action": event.action,
        "object": [event.object_type, event.object_id],
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
        "request": [event.request_id, event.ip],
    }
    return hashlib.sha256((event.previous_hash + canonical_json(content)).encode()).hexdigest()


def verify(limit: int | None = None) -> AuditReport:
    """Check the chain from the start, or only the newest `limit` rows (then the row before them is trusted)."""
    head = AuditHead.objects.filter(pk=1).first()
    last = head.sequence if head else 0
    first = 1 if limit is None else max(1, last - limit + 1)
    before = AuditEvent.objects.filter(sequence=first - 1).first()
    previous, expected, checked = (before.hash if before else GENESIS), first, 0
    rows = AuditEvent.objects.filter(sequence__gte=first).order_by("sequence")
    for event in rows.iterator(chunk_size=_CHUNK):
        problem = _problem(event, expected, previous)
        if problem:
            return AuditReport(False, checked, min(expected, event.sequence), problem)
        previous, expected, checked = event.hash, expected + 1, checked + 1
    if expected - 1 != last:
        return AuditReport(False, checked, expected, "rows are missing at the end")
    if head is not None and not hmac.compare_digest(head.hash, previous):
        return AuditReport(False, checked, last, "the newest row is not the one that was written last")
    return AuditReport(True, checked)


def _problem(event: AuditEvent, expected: int, previous: str) -> str:
    if event.sequence != expected:
        return "rows are missing"
    if not hmac.compare_digest(event.previous_hash, previous):
        return "the row does not follow the one before it"
    if not hmac.compare_digest(event.hash, digest(event)):
        return "the row was changed"
    return ""


def _lock_head(using: str) -> AuditHead:
    # SQLite: the transaction is IMMEDIATE, there is one writer. PostgreSQL: wait for the other writer's commit.
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    head, _created = AuditHead.objects.using(using).get_or_create(
        pk=1, defaults={"sequence": 0, "hash": GENESIS}
    )
    return head


def _text(value: object, length: int) -> str:
    return str(plain(str(value)))[:length]
