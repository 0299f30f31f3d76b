"""Channels of a person: add, change, test, remove. Whoever calls has asked for the password before a target is set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from tradingsite.foundation import alerts, audit, secrets
from tradingsite.foundation.alerts import RANK
from tradingsite.foundation.errors import Conflict, DomainError, FieldProblem, Invalid, NotFound
from tradingsite.foundation.notify import channels, messages, planning
from tradingsite.foundation.notify.channels import Target
from tradingsite.foundation.notify.deliver import place
from tradingsite.foundation.notify.guard import Blocked
from tradingsite.foundation.notify.models import Delivery, NotificationChannel

MOST_CHANNELS: Final = 20
LONGEST_DIGEST_MIN: Final = 24 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What a person wants of a channel. Times are in their own time zone; `digest_minutes` 0 means each by itself."""

    min_severity: str = "warning"
    quiet_start: time | None = None
    quiet_end: time | None = None
    digest_minutes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """A new channel. `key` signs a webhook's requests; it is told once, here."""

    id: int
    name: str
    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """What became of a test message: `error` is empty when it was taken."""

    name: str
    error: str

    @property
    def is_ok(self) -> bool:
        return not self.error


def add(
    *, owner: Any, kind: str, name: str, address: str, wishes: Wishes, actor: audit.Actor, now: datetime
) -> Added:
    """A new channel. Raises Invalid (with the fields that are wrong) or Conflict (name taken, too many)."""
    problems = _problems(kind, name.strip(), wishes)
    target = Target(address="")
    if "kind" not in problems:
        try:
            target = channels.target_of(kind, address)
        except Blocked as error:
            problems["address"] = error.message
    if problems:
        errors: list[FieldProblem] = [
            {"pointer": f"#/{name}", "code": "invalid", "detail": text} for name, text in problems.items()
        ]
        raise Invalid(_("Please correct the marked fields."), errors=errors)
    if NotificationChannel.objects.filter(owner=owner).count() >= MOST_CHANNELS:
        raise Conflict(
            _("There are %(count)s channels already; remove one first.") % {"count": MOST_CHANNELS}
        )
    try:
        with transaction.atomic():
            channel = NotificationChannel.objects.create(
                owner=owner, kind=kind, name=name.strip(), hint=channels.hint_of(kind, target.address),
                min_severity=wishes.min_severity, quiet_start=wishes.quiet_start, quiet_end=wishes.quiet_end,
                digest_minutes=wishes.digest_minutes, created_at=now, since=now,
            )  # fmt: skip
            # The place a secret is sealed for holds the row's number, which exists only now.
            channel.sealed_target = secrets.seal(target.to_text(), place=place(channel.pk))
            channel.save(update_fields=["sealed_target"])
            _record("notification.add", channel, actor)
    except IntegrityError as error:
        raise Conflict(_("You have a channel with this name already.")) from error
    return Added(id=channel.pk, name=channel.name, key=target.key)


def switch(pk: int, *, owner: Any, actor: audit.Actor, now: datetime) -> bool:
    """Turn a channel off (what waits is skipped), or on again for what happens from now on. Returns whether it is on.

    Raises NotFound.
    """
    with transaction.atomic():
        channel = _own(pk, owner)
        channel.enabled = not channel.enabled
        channel.since = now if channel.enabled else channel.since
        channel.save(update_fields=["enabled", "since"])
        if not channel.enabled:
            waiting = Delivery.objects.filter(channel=channel, status=Delivery.Status.WAITING)
            waiting.update(status=Delivery.Status.SKIPPED, reason="channel-off", at=now)
            alerts.resolve_alert(planning.channel_key(pk), now)
        _record("notification.on" if channel.enabled else "notification.off", channel, actor)
    return channel.enabled


def remove(pk: int, *, owner: Any, actor: audit.Actor, now: datetime) -> str:
    """Delete a channel and its secret; the log of what it sent stays. Returns its name. Raises NotFound."""
    with transaction.atomic():
        channel = _own(pk, owner)
        waiting = Delivery.objects.filter(channel=channel, status=Delivery.Status.WAITING)
        waiting.update(status=Delivery.Status.SKIPPED, reason="channel-removed", at=now)
        _record("notification.remove", channel, actor)
        channel.delete()
        alerts.resolve_alert(planning.channel_key(pk), now)
    return channel.name


def test(pk: int, *, owner: Any, actor: audit.Actor, now: datetime) -> Tested:
    """Send a test message now and say what became of it; up to about ten seconds. Raises NotFound."""
    channel = _own(pk, owner)
    error = ""
    try:
        target = Target.from_text(secrets.unseal(channel.sealed_target, place=place(channel.pk)))
        channels.send(channel.kind, target, messages.test_message(channel, now))
    except DomainError as failure:
        error = failure.message[:300]
    rows = NotificationChannel.objects.filter(pk=pk)
    with transaction.atomic():
        if error:
            rows.update(last_error_at=now, last_error=error)
        else:
            rows.update(last_ok_at=now, last_error="")
            alerts.resolve_alert(planning.channel_key(pk), now)
        _record("notification.test", channel, actor, error=error)
    return Tested(name=channel.name, error=error)


def _own(pk: int, owner: Any) -> NotificationChannel:
    found = NotificationChannel.objects.select_related("owner__profile").filter(pk=pk)
    channel = (found if owner is None else found.filter(owner=owner)).first()
    if channel is None:
        raise NotFound(_("There is no such channel."))
    return channel


def _problems(kind: str, name: str, wishes: Wishes) -> dict[str, str]:
    problems = {}
    if kind not in channels.KINDS:
        problems["kind"] = _("There is no such kind of channel.")
    if not 1 <= len(name) <= 80 or not name.isprintable():
        problems["name"] = _("A name of 1 to 80 characters is needed.")
    if wishes.min_severity not in RANK:
        problems["min_severity"] = _("Severity is info, warning or critical.")
    if (wishes.quiet_start is None) != (wishes.quiet_end is None):
        problems["quiet_end"] = _("Quiet hours need a beginning and an end.")
    if not 0 <= wishes.digest_minutes <= LONGEST_DIGEST_MIN:
        problems["digest_minutes"] = _("A digest collects for 0 to 1440 minutes.")
    return problems


def _record(action: str, channel: NotificationChannel, actor: audit.Actor, **more: str) -> None:
    after = {"name": channel.name, "kind": channel.kind, "hint": channel.hint, **more}
    audit.record(action=action, actor=actor, object_type="notification", object_id=channel.pk, after=after)
