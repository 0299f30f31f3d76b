"""Sends what is owed. Each message leaves on a thread of its own, so a channel that hangs keeps nobody else waiting.

A row is claimed by a conditional UPDATE that also books the next attempt: two processes never send the same message at
once, and what a dead process had in hand goes out again a minute later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from tradingsite.foundation import alerts, secrets
from tradingsite.foundation.errors import DomainError
from tradingsite.foundation.models import Alert
from tradingsite.foundation.notify import channels, messages, planning, times
from tradingsite.foundation.notify.channels import Message, Target
from tradingsite.foundation.notify.guard import Undelivered
from tradingsite.foundation.notify.models import Delivery, NotificationChannel

logger = logging.getLogger(__name__)

CLAIM: Final = timedelta(seconds=60)  # longer than any attempt takes
HANGS_AFTER: Final = timedelta(minutes=2)  # a thread that is stuck (in a name server, say) is given up
TOGETHER: Final = 20  # alerts in one message
AT_ONCE: Final = 8  # messages under way

Send = Callable[[str, Target, Message], None]
Start = Callable[[Callable[[], None]], None]


def place(pk: int) -> str:
    """Where a channel's target is sealed for."""
    return f"notification:{pk}"


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="notify", daemon=True).start()


@dataclass(slots=True)
class _Letter:
    """A message under way. The thread that sends it touches no database; it only writes `problem` and `is_done`."""

    channel: NotificationChannel
    deliveries: Sequence[Delivery]
    began_at: datetime
    problem: DomainError | None = None
    is_done: threading.Event = field(default_factory=threading.Event)


class Deliverer:
    """Call `work` every second or two."""

    def __init__(self, *, send: Send = channels.send, start: Start = _in_background) -> None:
        self._send, self._start = send, start
        self._under_way: dict[int, _Letter] = {}

    def work(self, now: datetime) -> int:
        """Note what came back, plan what is owed, send what is due. Returns how many messages left."""
        self._collect(now)
        usable = planning.usable()
        planning.plan(usable, now)
        left = 0
        for channel in usable:
            if channel.pk not in self._under_way and len(self._under_way) < AT_ONCE:
                left += self._dispatch(channel, now)
        self._collect(now)
        return left

    def _collect(self, now: datetime) -> None:
        for pk, letter in list(self._under_way.items()):
            is_done = letter.is_done.is_set()
            if is_done or now - letter.began_at > HANGS_AFTER:
                problem = letter.problem if is_done else Undelivered(_("It took too long."), code="hangs")
                settle(letter.channel, letter.deliveries, problem, now)
                del self._under_way[pk]

    def _dispatch(self, channel: NotificationChannel, now: datetime) -> int:
        mine = claim(channel, now)
        if not mine:
            return 0
        letter = _Letter(channel, mine, now)
        try:
            target = Target.from_text(secrets.unseal(channel.sealed_target, place=place(channel.pk)))
        except secrets.Undecryptable as error:
            settle(channel, mine, error, now)
            return 0
        message = messages.of_deliveries(channel, mine, now)
        self._under_way[channel.pk] = letter
        self._start(lambda: self._deliver(letter, target, message))
        return 1

    def _deliver(self, letter: _Letter, target: Target, message: Message) -> None:
        try:
            self._send(letter.channel.kind, target, message)
        except DomainError as error:
            letter.problem = error
        except Exception as error:  # a bug in one kind of channel: said there, and the others go on
            logger.exception("Channel %s failed", letter.channel.pk)
            letter.problem = Undelivered(type(error).__name__, code="bug")
        finally:
            letter.is_done.set()


def claim(channel: NotificationChannel, now: datetime) -> list[Delivery]:
    """Messages that are due, worst first, now ours alone; those nobody needs any more are skipped or put off."""
    due = Delivery.objects.filter(channel=channel, status=Delivery.Status.WAITING, next_attempt_at__lte=now)
    found = due.select_related("alert").order_by("-severity_rank", "pk")[:TOGETHER]
    mine = []
    for delivery in found:
        if _is_wanted(delivery, channel, now) and _take(
            delivery, attempt=F("attempt") + 1, next_attempt_at=now + CLAIM
        ):
            delivery.attempt += 1
            mine.append(delivery)
    return mine


def _take(delivery: Delivery, **values: object) -> bool:
    rows = Delivery.objects.filter(
        pk=delivery.pk, status=Delivery.Status.WAITING, attempt=delivery.attempt,
        next_attempt_at=delivery.next_attempt_at,
    )  # fmt: skip
    return rows.update(**values) == 1


def _is_wanted(delivery: Delivery, channel: NotificationChannel, now: datetime) -> bool:
    alert = delivery.alert
    if delivery.occasion != Delivery.Occasion.RESOLVED and alert.status != Alert.Status.RESOLVED:
        if alert.status == Alert.Status.ACKNOWLEDGED:
            _take(delivery, status=Delivery.Status.SKIPPED, reason="acknowledged", at=now)
            return False
        if alert.snoozed_until is not None and alert.snoozed_until > now:
            _take(delivery, next_attempt_at=alert.snoozed_until)
            return False
    at = planning.due_at(channel, delivery.severity_rank, now)
    if at > now:
        _take(delivery, next_attempt_at=at)
        return False
    return True


def settle(
    channel: NotificationChannel, deliveries: Sequence[Delivery], problem: DomainError | None, now: datetime
) -> None:
    """Write down how it went: sent, to be tried again, or failed for good; then other channels are asked."""
    told = NotificationChannel.objects.filter(pk=channel.pk)
    rows = Delivery.objects.filter(
        pk__in=[delivery.pk for delivery in deliveries], status=Delivery.Status.WAITING
    )
    if problem is None:
        with transaction.atomic():
            rows.update(status=Delivery.Status.SENT, at=now, error="")
            told.update(last_ok_at=now, last_error="")
        alerts.resolve_alert(planning.channel_key(channel.pk), now)
        return
    text = problem.message[:300]
    lost = []
    with transaction.atomic():
        told.update(last_error_at=now, last_error=text)
        for delivery in deliveries:
            again = times.retry_at(now, delivery.attempt) if isinstance(problem, Undelivered) else None
            mine = rows.filter(pk=delivery.pk)
            if again is not None:
                mine.update(next_attempt_at=again, error=text)
            elif mine.update(status=Delivery.Status.FAILED, at=now, error=text):
                lost.append(delivery)
        if lost:
            _give_up(channel, lost, text, now)


def _give_up(channel: NotificationChannel, lost: Sequence[Delivery], text: str, now: datetime) -> None:
    """A channel that failed for good: an alert about it, and its messages go by the owner's other channels."""
    others = [
        other for other in planning.usable() if other.owner_id == channel.owner_id and other.pk != channel.pk
    ]
    rows = [
        planning.row(other, delivery.alert, delivery.occasion, now)
        for other in others
        for delivery in lost
        if delivery.alert.key != planning.channel_key(other.pk)
    ]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    alerts.raise_alert(
        key=planning.channel_key(channel.pk), code="notify-failed", severity="warning", subject=channel.name,
        params={"error": text, "lost": len(lost)}, now=now,
    )  # fmt: skip
