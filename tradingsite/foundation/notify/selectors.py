"""Reads of channels and of what they sent: nothing secret leaves here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from tradingsite.foundation import roles
from tradingsite.foundation.errors import NotFound
from tradingsite.foundation.notify.models import Delivery, NotificationChannel


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelRow:
    """A channel without its target. Quiet hours are HH:MM in the owner's time zone."""

    id: int
    name: str
    kind: str
    hint: str
    min_severity: str
    quiet_start: str | None
    quiet_end: str | None
    digest_minutes: int
    enabled: bool
    created_at: datetime
    last_ok_at: datetime | None
    last_error_at: datetime | None
    last_error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRow:
    """What became of one message."""

    channel: str
    occasion: str
    occasion_text: str
    status: str
    status_text: str
    reason: str
    attempt: int
    at: datetime | None
    next_attempt_at: datetime | None
    error: str


def channels(owner: Any) -> QuerySet[NotificationChannel]:
    """A person's channels, by name; with None everybody's."""
    found = NotificationChannel.objects.order_by("name", "pk")
    return found if owner is None else found.filter(owner=owner)


def visible_channels(user: Any) -> QuerySet[NotificationChannel]:
    """The channels `user` may see: their own, an administrator's all; newest first."""
    found = NotificationChannel.objects.order_by("-created_at", "-pk")
    return found if roles.allows(user, roles.Role.ADMIN) else found.filter(owner=user)


def channel_named(name: str, owner: Any = None) -> NotificationChannel:
    """A channel by name or number. Raises NotFound."""
    found = channels(owner).filter(name=name).first()
    if found is None and name.isascii() and name.isdigit():
        found = channels(owner).filter(pk=int(name[:15])).first()
    if found is None:
        raise NotFound(_("There is no such channel."))
    return found


def channel_row(channel: NotificationChannel) -> ChannelRow:
    """A channel as it may be shown."""
    return ChannelRow(
        id=channel.pk, name=channel.name, kind=channel.kind, hint=channel.hint, min_severity=channel.min_severity,
        quiet_start=f"{channel.quiet_start:%H:%M}" if channel.quiet_start else None,
        quiet_end=f"{channel.quiet_end:%H:%M}" if channel.quiet_end else None,
        digest_minutes=channel.digest_minutes, enabled=channel.enabled, created_at=channel.created_at,
        last_ok_at=channel.last_ok_at, last_error_at=channel.last_error_at, last_error=channel.last_error,
    )  # fmt: skip


def kind_text(kind: str) -> str:
    """The word for a kind of channel."""
    return str(NotificationChannel.Kind(kind).label)


def deliveries(alert_pk: int, limit: int = 50) -> Sequence[DeliveryRow]:
    """What was sent about an alert, newest first."""
    return [_row(found) for found in Delivery.objects.filter(alert=alert_pk)[:limit]]


def _row(found: Delivery) -> DeliveryRow:
    reasons = {
        "acknowledged": _("somebody had seen it already"),
        "channel-off": _("the channel was turned off"),
        "channel-removed": _("the channel was removed"),
    }
    is_waiting = found.status == Delivery.Status.WAITING
    return DeliveryRow(
        channel=found.channel_name, occasion=found.occasion, occasion_text=found.get_occasion_display(),
        status=found.status, status_text=found.get_status_display(), reason=reasons.get(found.reason, ""),
        attempt=found.attempt, at=found.at, next_attempt_at=found.next_attempt_at if is_waiting else None,
        error=found.error,
    )  # fmt: skip


def undelivered_counts(alerts: Sequence[int]) -> dict[int, int]:
    """Of these alerts, how many messages were given up, by alert."""
    counts: dict[int, int] = {}
    failed = Delivery.objects.filter(alert__in=alerts, status=Delivery.Status.FAILED).order_by()
    for pk in failed.values_list("alert_id", flat=True):
        counts[pk] = counts.get(pk, 0) + 1
    return counts


def undelivered_total() -> int:
    """How many messages were given up, of all."""
    return Delivery.objects.filter(status=Delivery.Status.FAILED).count()
