"""Alerts: what a person should know, once per key, in words chosen when read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from . import audit, said, statements, transitions
from .errors import ConcurrentChange, Conflict, Invalid, NotFound
from .jsonable import plain
from .models import Alert, AlertEvent

RANK = {"info": 0, "warning": 1, "critical": 2}
LONGEST_SNOOZE_MIN = 7 * 24 * 60

MACHINE = transitions.Machine(
    "alert",
    {
        ("open", "acknowledge"): "acknowledged",
        ("open", "resolve"): "resolved",
        ("acknowledged", "resolve"): "resolved",
        # It got worse after somebody looked: it needs another look.
        ("acknowledged", "escalate"): "open",
        ("open", "escalate"): "open",
    },
    terminal=frozenset({"resolved"}),
)


@dataclass(frozen=True, slots=True)
class Text:
    """Title and body with %(name)s places for the alert's params; usually gettext_lazy strings."""

    title: Any
    body: Any


_texts: dict[str, Text] = {}
_listeners: list[Callable[[int], None]] = []


def register_text(code: str, title: Any, body: Any) -> None:
    """Say how alerts with `code` read; called while apps load. Places: the alert's params, `subject`, `count`."""
    _texts[code] = Text(title, body)


def subscribe(listener: Callable[[int], None]) -> None:
    """Call `listener(alert_id)` after commit whenever an alert opens or gets worse (notifications)."""
    if listener not in _listeners:
        _listeners.append(listener)


def raise_alert(
    *,
    key: str,
    code: str,
    severity: str,
    now: datetime,
    subject: str = "",
    params: Mapping[str, Any] | None = None,
) -> Alert:
    """Open the alert `key`, or count one more occurrence of the one that is not resolved yet."""
    if severity not in RANK:
        raise Invalid(f"Severity is info, warning or critical, was {severity!r}.")
    values = {"subject": subject[:200], "params": plain(params or {}), "last_seen_at": now}
    with transaction.atomic():
        alert = _repeat(key, severity, now, values) or _open(key, code, severity, now, values)
        # Lost the race for opening it: now it exists.
        alert = alert or _repeat(key, severity, now, values)
    if alert is None:
        raise NotFound(
            f"The alert {key} was opened and resolved by others at the same moment; raise it again."
        )
    return alert


def resolve_alert(key: str, now: datetime) -> Alert | None:
    """Close the alert `key`; None when there is none open (saying twice that all is well does no harm)."""
    for last in (False, False, True):
        # Runs say many times a minute that all is well: no queryset for that.
        tail = "WHERE key = %s AND status <> %s ORDER BY id LIMIT 1"
        found = statements.instances(Alert, tail, (key, Alert.Status.RESOLVED))
        if not found:
            return None
        (alert,) = found
        try:
            return transitions.apply(
                alert,
                "resolve",
                machine=MACHINE,
                now=now,
                event_model=AlertEvent,
                updates={"resolved_at": now},
            )
        except ConcurrentChange:
            # Acknowledged or escalated at this instant. The end of a run must not fail for that: look again.
            if last:
                raise
    return None


def acknowledge(pk: int, actor: audit.Actor, now: datetime) -> Alert:
    """A person has seen it. Doing it again changes nothing. Raises NotFound, or IllegalTransition once it is
    resolved.
    """
    alert = Alert.objects.filter(pk=pk).first()
    if alert is None:
        raise NotFound(_("There is no alert %(id)s.") % {"id": pk})
    if alert.status == Alert.Status.ACKNOWLEDGED:
        return alert
    with transaction.atomic():
        alert = transitions.apply(
            alert, "acknowledge", machine=MACHINE, now=now, event_model=AlertEvent,
            updates={"acknowledged_at": now, "acknowledged_by": actor.name[:150]}, detail={"actor": actor.name},
        )  # fmt: skip
        audit.record(
            action="alert.acknowledge",
            actor=actor,
            object_type="alert",
            object_id=pk,
            after={"key": alert.key},
        )
    return alert


def snooze(pk: int, minutes: int, actor: audit.Actor, now: datetime) -> Alert:
    """Leave people alone about it for `minutes` (1 to 10080, a week); 0 ends that. It comes back by itself, and at once
    when it gets worse. Raises NotFound, Invalid, and Conflict for one that is resolved.
    """
    if not 0 <= minutes <= LONGEST_SNOOZE_MIN:
        raise Invalid(_("An alert can be snoozed for 1 minute to 7 days."))
    until = now + timedelta(minutes=minutes) if minutes else None
    with transaction.atomic():
        rows = Alert.objects.filter(pk=pk).exclude(status=Alert.Status.RESOLVED)
        if not rows.update(snoozed_until=until, snoozed_by=actor.name[:150] if until else ""):
            if Alert.objects.filter(pk=pk).exists():
                raise Conflict(_("The alert is resolved; there is nothing to snooze."))
            raise NotFound(_("There is no alert %(id)s.") % {"id": pk})
        alert = Alert.objects.get(pk=pk)
        audit.record(
            action="alert.snooze" if until else "alert.wake",
            actor=actor,
            object_type="alert",
            object_id=pk,
            after={"key": alert.key, "until": until},
        )
    return alert


def title(alert: Alert) -> str:
    """The alert's headline in the active language."""
    text = _texts.get(alert.code)
    return _render(text.title, alert) if text else alert.code.replace("-", " ").replace("_", " ").capitalize()


def body(alert: Alert) -> str:
    """What happened and what to do, in the active language; for an unknown code its subject and values."""
    text = _texts.get(alert.code)
    if text:
        return _render(text.body, alert)
    values = ", ".join(f"{name} = {value}" for name, value in sorted(alert.params.items()))
    return ": ".join(part for part in (alert.subject, values) if part)


class _Places(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def _render(template: Any, alert: Alert) -> str:
    places = _Places({**alert.params, "subject": said.word(alert.subject), "count": alert.count})
    try:
        return str(template) % places
    except (TypeError, ValueError):
        # A wrong place in a translation must not hide the alert.
        return str(template)


def _repeat(key: str, severity: str, now: datetime, values: Mapping[str, Any]) -> Alert | None:
    unresolved = Alert.objects.filter(key=key).exclude(status=Alert.Status.RESOLVED)
    if not unresolved.update(count=F("count") + 1, **values):
        return None
    alert = unresolved.first()
    if alert is None or RANK[severity] <= alert.severity_rank:
        return alert
    return transitions.apply(
        alert, "escalate", machine=MACHINE, now=now, event_model=AlertEvent,
        updates={
            "severity": severity, "severity_rank": RANK[severity], "news_at": now, "snoozed_until": None, "snoozed_by": "",
        }, detail={"severity": severity},
        on_commit=partial(_announce, alert.pk),
    )  # fmt: skip


def _open(key: str, code: str, severity: str, now: datetime, values: Mapping[str, Any]) -> Alert | None:
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                key=key,
                code=code,
                severity=severity,
                severity_rank=RANK[severity],
                first_seen_at=now,
                news_at=now,
                **values,
            )
    except IntegrityError:
        return None
    transaction.on_commit(partial(_announce, alert.pk))
    return alert


def _announce(pk: int) -> None:
    for listener in _listeners:
        listener(pk)
