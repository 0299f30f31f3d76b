"""Forgetting what is too old: each app registers what it drops, one maintenance run asks them all.

What the ledger, the audit log or an invariant needs is never dropped: fills, journals, intents, orders and their events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, Model, OuterRef, QuerySet

from . import clock
from .models import Alert, AlertEvent

Guard: TypeAlias = Callable[[], None]
Purge: TypeAlias = Callable[[datetime, Guard], Mapping[str, int]]

LARGEST_PORTION: Final = 1000  # rows of all tables in one transaction
_FIRST_PORTION: Final = 100
_SMALLEST_PORTION: Final = 20
_GOAL_S: Final = 0.05  # of holding the write lock
_PORTIONS: Final = 300  # of one table in one run; the next run goes on


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How many rows went, by what they were."""

    counts: Mapping[str, int]

    @property
    def deleted(self) -> int:
        return sum(self.counts.values())


_purges: dict[str, Purge] = {}


def register(name: str, purge: Purge) -> None:
    """Add what an app drops, called while apps load. Idempotent by name. `purge` answers with rows by kind."""
    _purges[name] = purge


def forget_old(now: datetime, *, guard: Guard) -> Report:
    """Ask all. `guard` is called before each transaction and raises when the caller must stop; what is gone is gone."""
    counts: dict[str, int] = {}
    for purge in _purges.values():
        counts |= purge(now, guard)
    return Report(counts=counts)


def horizon(now: datetime) -> datetime:
    """What happened before this and is over may be dropped."""
    return now - timedelta(days=settings.RETENTION_DAYS)


def delete(
    rows: QuerySet[Any],
    *,
    guard: Guard,
    by: Callable[[Sequence[Any]], object] | None = None,
    rows_each: int = 1,
) -> int:
    """Delete `rows` in order of their keys, in transactions of at most LARGEST_PORTION rows and about 50 ms each.

    `by` deletes the keys it is given (default: the rows, with what cascades from them); `rows_each` is about how many
    rows of all tables go with each. Returns how many of `rows` went; what is beyond the limit of a run stays for the
    next.
    """
    remove = by or (lambda keys: rows.model._base_manager.filter(pk__in=keys).delete())
    pace = _Pace(max(1, LARGEST_PORTION // rows_each))
    gone = 0
    for keys in _portions(rows, pace):
        guard()
        began = clock.monotonic()
        with transaction.atomic():
            remove(keys)
        gone += len(keys)
        pace.note(clock.monotonic() - began)
    return gone


class _Pace:
    """How many keys the next portion has, from how long the last one took."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(_FIRST_PORTION, most)

    def note(self, took_s: float) -> None:
        factor = min(2.0, _GOAL_S / took_s) if took_s > 0 else 2.0
        self.size = min(self._most, max(_SMALLEST_PORTION, int(self.size * factor)))


def _portions(rows: QuerySet[Any], pace: _Pace) -> Iterator[list[Any]]:
    # Without a ceiling the last look would go through all the rows that are kept.
    last = rows.aggregate(last=Max("pk"))["last"]
    if last is None:
        return
    after = None
    for _portion in range(_PORTIONS):
        part = rows.filter(pk__lte=last) if after is None else rows.filter(pk__lte=last, pk__gt=after)
        keys = list(part.order_by("pk").values_list("pk", flat=True)[: pace.size])
        if not keys:
            return
        yield keys
        after = keys[-1]


def unreferenced(rows: QuerySet[Any], *, apart_from: Sequence[type[Model]] = ()) -> QuerySet[Any]:
    """Of `rows` those that no row of another table refers to, whatever app it belongs to; `apart_from` goes with them."""
    # Hidden ones, too: `related_name="+"` hides the way back, not the reference.
    fields = rows.model._meta.get_fields(include_hidden=True)
    for relation in (field for field in fields if field.auto_created and not field.concrete):
        if relation.related_model not in apart_from:
            referring = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            rows = rows.filter(~Exists(referring))
    return rows


def _alerts(now: datetime, guard: Guard) -> dict[str, int]:
    old = Alert.objects.filter(status=Alert.Status.RESOLVED, resolved_at__lt=horizon(now))

    def remove(keys: Sequence[int]) -> None:
        AlertEvent.objects.filter(alert_id__in=keys).delete()
        Alert.objects.filter(pk__in=keys).delete()

    return {"alerts": delete(old, guard=guard, by=remove, rows_each=5)}


register("foundation", _alerts)
