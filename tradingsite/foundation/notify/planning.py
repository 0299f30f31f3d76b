"""Which messages are owed: compares the alerts with what each channel was told. Writes rows, sends nothing.

An episode is announced once per channel, once more for each severity it rises to, and once when it is over. The table's
constraint keeps that true whoever plans, and however many do so at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, F, OuterRef, Q

from tradingsite.foundation.alerts import RANK
from tradingsite.foundation.models import Alert
from tradingsite.foundation.notify import times
from tradingsite.foundation.notify.models import Delivery, NotificationChannel

_LOOK_BACK: Final = timedelta(days=1)  # for what is over already
_TOLD: Final = (Delivery.Occasion.OPENED, Delivery.Occasion.ESCALATED)


def channel_key(pk: int) -> str:
    """The key of the alert that says a channel does not work; that channel need not be told."""
    return f"notify:channel:{pk}"


def usable() -> list[NotificationChannel]:
    """Channels that are on, of people who may still log in."""
    rows = NotificationChannel.objects.filter(enabled=True, owner__is_active=True)
    return list(rows.select_related("owner__profile"))


def plan(channels: Sequence[NotificationChannel], now: datetime) -> int:
    """Write down what is owed and not yet written. Returns how many messages that is."""
    if not channels:
        return 0
    rows = [*_news(channels, now), *_ends(channels, now)]
    if rows:
        _to_digests(rows, channels)
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def due_at(channel: NotificationChannel, severity_rank: int, now: datetime) -> datetime:
    """When a message may go: critical ones at once, others after the quiet hours."""
    if severity_rank >= RANK["critical"]:
        return now
    profile = getattr(channel.owner, "profile", None)
    zone = times.zone_of(profile.time_zone if profile else "")
    return times.after_quiet(now, channel.quiet_start, channel.quiet_end, zone)


def row(channel: NotificationChannel, alert: Alert, occasion: str, now: datetime) -> Delivery:
    """A message that waits for its time."""
    return Delivery(
        alert=alert, channel=channel, channel_name=channel.name, occasion=occasion, severity_rank=alert.severity_rank,
        created_at=now, next_attempt_at=due_at(channel, alert.severity_rank, now),
    )  # fmt: skip


def _news(channels: Sequence[NotificationChannel], now: datetime) -> Iterable[Delivery]:
    since = min(channel.since for channel in channels)
    # What was over before anybody looked is told all the same; what somebody has seen, or put off, is not.
    over = Q(status=Alert.Status.RESOLVED, resolved_at__gte=now - _LOOK_BACK, acknowledged_at=None)
    awake = Q(snoozed_until=None) | Q(snoozed_until__lte=now)
    alerts = list(Alert.objects.filter(awake, Q(status=Alert.Status.OPEN) | over, news_at__gte=since))
    told = _told(alerts)
    for channel in channels:
        least = RANK[channel.min_severity]
        for alert in alerts:
            if alert.severity_rank < least or alert.news_at is None or alert.news_at < channel.since:
                continue
            worst = told[channel.pk].get(alert.pk)
            if alert.key == channel_key(channel.pk) or (worst is not None and worst >= alert.severity_rank):
                continue
            yield row(channel, alert, _TOLD[0] if worst is None else _TOLD[1], now)


def _told(alerts: Sequence[Alert]) -> defaultdict[int, dict[int, int]]:
    """By channel and alert, the worst severity that was announced, or is about to be."""
    told: defaultdict[int, dict[int, int]] = defaultdict(dict)
    rows = Delivery.objects.filter(alert__in=alerts, occasion__in=_TOLD, channel__isnull=False).order_by()
    for channel, alert, rank in rows.values_list("channel_id", "alert_id", "severity_rank"):
        told[channel][alert] = max(rank, told[channel].get(alert, -1))
    return told


def _ends(channels: Sequence[NotificationChannel], now: datetime) -> Iterable[Delivery]:
    known = {channel.pk: channel for channel in channels}
    ended = Delivery.objects.filter(
        alert=OuterRef("alert"), channel=OuterRef("channel"), occasion=Delivery.Occasion.RESOLVED
    )
    announced = Delivery.objects.filter(
        ~Exists(ended), status=Delivery.Status.SENT, occasion__in=_TOLD, channel__in=known,
        alert__status=Alert.Status.RESOLVED, alert__resolved_at__gte=now - _LOOK_BACK, at__lt=F("alert__resolved_at"),
    )  # fmt: skip
    seen: set[tuple[Any, Any]] = set()
    for delivery in announced.select_related("alert").order_by():
        key = (delivery.alert_id, delivery.channel_id)
        if key not in seen and delivery.channel_id is not None:
            seen.add(key)
            yield row(known[delivery.channel_id], delivery.alert, Delivery.Occasion.RESOLVED, now)


def _to_digests(rows: Sequence[Delivery], channels: Sequence[NotificationChannel]) -> None:
    """What may wait goes with the digest that is being collected, or begins one."""
    collecting = {channel.pk: channel for channel in channels if channel.digest_minutes}
    mild = [row for row in rows if row.channel_id in collecting and row.severity_rank < RANK["critical"]]
    if not mild:
        return
    first: dict[int, datetime] = {}
    waiting = Delivery.objects.filter(
        channel__in=collecting, status=Delivery.Status.WAITING, attempt=0, severity_rank__lt=RANK["critical"]
    )
    for pk, at in waiting.order_by("-next_attempt_at").values_list("channel_id", "next_attempt_at"):
        if pk is not None and at > mild[0].created_at:
            first[pk] = at
    for row in mild:
        channel = collecting[row.channel_id or 0]
        begins = row.created_at + timedelta(minutes=channel.digest_minutes)
        row.next_attempt_at = first.setdefault(channel.pk, due_at(channel, row.severity_rank, begins))
