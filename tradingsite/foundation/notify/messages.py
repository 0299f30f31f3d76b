"""What a channel is told: each alert with what, why, what to do and a link, in its owner's language."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from tradingsite.foundation import alerts
from tradingsite.foundation.jsonable import iso
from tradingsite.foundation.models import Alert
from tradingsite.foundation.notify import advice
from tradingsite.foundation.notify.channels import Message
from tradingsite.foundation.notify.models import Delivery, NotificationChannel


def language_of(channel: NotificationChannel) -> str:
    """The owner's language, else the site's."""
    profile = getattr(channel.owner, "profile", None)
    chosen = profile.language if profile else ""
    return chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def of_deliveries(channel: NotificationChannel, deliveries: Sequence[Delivery], now: datetime) -> Message:
    """One message about all of `deliveries`, the worst first. They have their alerts loaded."""
    with translation.override(language_of(channel)):
        parts = [_part(delivery) for delivery in deliveries]
        worst = max(deliveries, key=lambda delivery: delivery.severity_rank).alert.severity
        title = parts[0]["headline"]
        if len(parts) > 1:
            title = _("%(count)s alerts, first: %(title)s") % {"count": len(parts), "title": title}
        text = "\n\n".join(_text(part) for part in parts)
    document = {"version": 1, "sent_at": iso(now), "alerts": parts}
    return Message(title=title, text=text, severity=worst, sent_at=int(now.timestamp()), document=document)


def test_message(channel: NotificationChannel, now: datetime) -> Message:
    """What the test button sends."""
    with translation.override(language_of(channel)):
        title, text = _("Test of your alerts"), _("This channel works. Alerts will look like this.")
    document = {"version": 1, "sent_at": iso(now), "alerts": [], "test": True}
    return Message(title=title, text=text, severity="info", sent_at=int(now.timestamp()), document=document)


def link(alert: Alert) -> str:
    """The alert's page as people reach it. Written out: to look it up would load every page into this process."""
    return f"{settings.PUBLIC_URL.rstrip('/')}/alerts/{alert.pk}/"


def _part(delivery: Delivery) -> dict[str, Any]:
    alert = delivery.alert
    is_over = alert.status == Alert.Status.RESOLVED
    word = _("Over") if is_over else str(Alert.Severity(alert.severity).label)
    what = alerts.title(alert)
    return {
        "id": alert.pk, "code": alert.code, "severity": alert.severity, "occasion": delivery.occasion,
        "status": alert.status, "subject": alert.subject, "count": alert.count, "headline": f"[{word}] {what}",
        "what": what, "why": alerts.body(alert), "what_to_do": "" if is_over else advice.for_code(alert.code),
        "link": link(alert), "first_seen_at": iso(alert.first_seen_at), "last_seen_at": iso(alert.last_seen_at),
        "resolved_at": iso(alert.resolved_at) if alert.resolved_at else None,
    }  # fmt: skip


def _text(part: dict[str, Any]) -> str:
    lines = [part["headline"], part["why"]]
    if part["what_to_do"]:
        lines.append(_("What to do: %(text)s") % {"text": part["what_to_do"]})
    lines.append(part["link"])
    return "\n".join(line for line in lines if line)
