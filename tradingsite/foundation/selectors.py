"""Reads for pages and the API. The QuerySets are for pagination; the rows are shaped for the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from . import alerts as alert_service
from . import roles
from .errors import NotFound
from .models import Alert, ApiToken, AuditEvent, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert in the reader's language. Times are UTC."""

    id: int
    key: str
    code: str
    severity: str
    status: str
    subject: str
    title: str
    body: str
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    acknowledged_by: str
    acknowledged_at: datetime | None
    snoozed_until: datetime | None
    snoozed_by: str
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One line of the audit log."""

    id: int
    sequence: int
    at: datetime
    actor_kind: str
    actor: str
    action: str
    object_type: str
    object_id: str
    before: Any
    after: Any
    reason: str
    request_id: str
    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """What may be shown of a token: never the secret. `state` is active, expired or revoked."""

    id: int
    name: str
    start: str
    owner: str
    scopes: Sequence[str]
    state: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_ip: str


# Constants for `web.pulse`: open warnings, open critical alerts.
ALERT_PULSE = (
    "SELECT COUNT(*) FROM foundation_alert WHERE status = 'open' AND severity = 'warning'",
    "SELECT COUNT(*) FROM foundation_alert WHERE status = 'open' AND severity = 'critical'",
)


def alerts(
    *,
    status: Iterable[str] | str = (),
    severity: Iterable[str] | str = (),
    code: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    q: str = "",
) -> QuerySet[Alert]:
    """Alerts last seen in [since, until), newest first; `q` searches subject, key and code."""
    found = Alert.objects.order_by("-last_seen_at", "-pk")
    if status:
        found = found.filter(status__in=_several(status))
    if severity:
        found = found.filter(severity__in=_several(severity))
    if code:
        found = found.filter(code=code)
    if since:
        found = found.filter(last_seen_at__gte=since)
    if until:
        found = found.filter(last_seen_at__lt=until)
    if q:
        found = found.filter(Q(subject__icontains=q) | Q(key__icontains=q) | Q(code__icontains=q))
    return found


def attention(limit: int = 20) -> list[AlertRow]:
    """Unresolved alerts, worst first: what needs a person."""
    found = Alert.objects.exclude(status=Alert.Status.RESOLVED).order_by(
        "-severity_rank", "-last_seen_at", "-pk"
    )
    return [alert_row(alert) for alert in found[:limit]]


def alert(pk: int) -> AlertRow:
    """One alert. Raises NotFound."""
    found = Alert.objects.filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no alert %(id)s.") % {"id": pk})
    return alert_row(found)


def open_alert_counts() -> dict[str, int]:
    """Alerts nobody has acknowledged yet, per severity (all three keys present)."""
    counted = Alert.objects.filter(status=Alert.Status.OPEN).values("severity").annotate(n=Count("pk"))
    return {"info": 0, "warning": 0, "critical": 0} | {row["severity"]: row["n"] for row in counted}


def alert_row(alert: Alert) -> AlertRow:
    """An alert with its words."""
    return AlertRow(
        id=alert.pk, key=alert.key, code=alert.code, severity=alert.severity, status=alert.status,
        subject=alert.subject, title=alert_service.title(alert), body=alert_service.body(alert), count=alert.count,
        first_seen_at=alert.first_seen_at, last_seen_at=alert.last_seen_at, acknowledged_by=alert.acknowledged_by,
        acknowledged_at=alert.acknowledged_at, snoozed_until=alert.snoozed_until, snoozed_by=alert.snoozed_by,
        resolved_at=alert.resolved_at,
    )  # fmt: skip


def audit_events(
    *,
    action: str = "",
    actor: str = "",
    object_type: str = "",
    object_id: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEvent]:
    """Audit rows in [since, until), newest first. `action` matches itself and what follows a dot ("login" ->
    login.failed).
    """
    found = AuditEvent.objects.order_by("-at", "-pk")
    if action:
        found = found.filter(Q(action=action) | Q(action__startswith=f"{action}."))
    if actor:
        found = found.filter(actor_name__icontains=actor)
    if object_type:
        found = found.filter(object_type=object_type)
    if object_id:
        found = found.filter(object_id=object_id)
    if since:
        found = found.filter(at__gte=since)
    return found.filter(at__lt=until) if until else found


def audit_row(event: AuditEvent) -> AuditRow:
    """An audit event as plain values."""
    return AuditRow(
        id=event.pk, sequence=event.sequence, at=event.at, actor_kind=event.actor_kind, actor=event.actor_name,
        action=event.action, object_type=event.object_type, object_id=event.object_id, before=event.before,
        after=event.after, reason=event.reason, request_id=event.request_id, ip=event.ip,
    )  # fmt: skip


def access_tokens(user: Any) -> QuerySet[ApiToken]:
    """The tokens `user` may see: their own, an admin's all."""
    found = ApiToken.objects.select_related("user").order_by("-created_at", "-pk")
    return found if roles.allows(user, roles.Role.ADMIN) else found.filter(user=user)


def tokens_of(user: Any | None) -> QuerySet[ApiToken]:
    """Everybody's tokens, or those of one person."""
    found = ApiToken.objects.select_related("user").order_by("-created_at", "-pk")
    return found if user is None else found.filter(user=user)


def user_named(name: str) -> Any:
    """A person by user name. Raises NotFound."""
    found = get_user_model()._default_manager.filter(username=name).first()
    if found is None:
        raise NotFound(_("There is nobody called %(name)s.") % {"name": name})
    return found


def token(user: Any, pk: int, now: datetime) -> TokenRow:
    """One token `user` may see. Raises NotFound."""
    found = access_tokens(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no such token."))
    return token_row(found, now)


def token_row(token: ApiToken, now: datetime) -> TokenRow:
    """A token without anything secret."""
    expired = token.expires_at is not None and token.expires_at <= now
    state = "revoked" if token.revoked_at else "expired" if expired else "active"
    return TokenRow(
        id=token.pk, name=token.name, start=f"tsk_{token.lookup}_", owner=token.user.get_username(),
        scopes=tuple(token.scopes), state=state, created_at=token.created_at, expires_at=token.expires_at,
        last_used_at=token.last_used_at, last_used_ip=token.last_used_ip,
    )  # fmt: skip


def setting(key: str, default: Any = None) -> Any:
    """A site-wide value, `default` when it was never set."""
    found = Setting.objects.filter(key=key).first()
    return default if found is None else found.value


def _several(value: Iterable[str] | str) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
