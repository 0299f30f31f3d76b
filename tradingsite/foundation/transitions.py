"""State machines as tables, and the one helper that writes a status column.

MACHINE = Machine("run", {("planned", "enqueue"): "queued", ...}, terminal={"succeeded"})

class RunEvent(StatusEvent):
    run = models.ForeignKey(Run, models.CASCADE, related_name="events")

run = transitions.apply(run, "enqueue", machine=MACHINE, now=now, event_model=RunEvent)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS, connections, models, router, transaction
from django.db.models import Q

from . import statements
from .errors import ConcurrentChange, Conflict
from .statements import Sql

Row = TypeVar("Row", bound=models.Model)


class IllegalTransition(Conflict):
    """The event is not allowed in this state. Read the row again and decide from its state."""

    default_code = "illegal-transition"


@dataclass(frozen=True)
class Machine:
    """`table` maps (state, event) to the next state; a missing pair raises. Terminal states have no way out."""

    name: str
    table: Mapping[tuple[str, str], str]
    terminal: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", {(str(s), str(e)): str(t) for (s, e), t in self.table.items()})
        object.__setattr__(self, "terminal", frozenset(str(s) for s in self.terminal))
        left = sorted({state for state, _event in self.table if state in self.terminal})
        if left:
            raise ValueError(f"Machine {self.name}: terminal states with a way out: {', '.join(left)}.")

    @property
    def states(self) -> frozenset[str]:
        """All states named anywhere."""
        return frozenset({s for s, _e in self.table} | set(self.table.values()) | self.terminal)

    @property
    def events(self) -> frozenset[str]:
        """All events."""
        return frozenset(event for _state, event in self.table)

    def next(self, state: str, event: str) -> str:
        """The state after `event`. Raises IllegalTransition for a pair that is not in the table."""
        try:
            return self.table[(str(state), str(event))]
        except KeyError as e:
            raise IllegalTransition(
                f"A {self.name} that is {state} cannot {event}.",
                machine=self.name,
                state=str(state),
                event=str(event),
            ) from e

    def allows(self, state: str, event: str) -> bool:
        """Whether `event` is possible in `state`."""
        return (str(state), str(event)) in self.table


class StatusEvent(models.Model):
    """Abstract event row written with every change of status. The subclass adds one ForeignKey to its row's model."""

    event = models.CharField(max_length=40)
    from_status = models.CharField(max_length=24)
    to_status = models.CharField(max_length=24)
    at = models.DateTimeField()
    detail = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.from_status} -> {self.to_status} ({self.event})"


def apply(
    row: Row,
    event: str,
    *,
    machine: Machine,
    now: datetime,
    event_model: type[models.Model] | None = None,
    updates: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
    where: Q | None = None,
    match: Mapping[str, Any] | None = None,
    also: Sql | None = None,
    reread: bool = True,
    on_commit: Callable[[], None] | None = None,
) -> Row:
    """Move `row` by `event` and return a freshly read row; the one passed in stays as it was (the transaction
    may roll back).

    The UPDATE matches only while the status is still the one read, the columns in `match` have these values and
    `where` (or `also`, its plain form) holds, so of two racing callers one wins. `updates` are columns written in
    the same UPDATE. With `reread=False` the answer is the row as the caller read it with the changes made here: for
    callers whose `match` pins all they go on to use. Raises IllegalTransition, or ConcurrentChange when nothing
    matched (nothing was written then: a caller inside a transaction may go on).
    """
    before = str(row.status)  # type: ignore[attr-defined]
    after = machine.next(before, event)
    model, using = type(row), row._state.db or router.db_for_write(type(row))
    written = {**(updates or {}), "status": after}
    pinned = {"pk": row.pk, "status": before, **(match or {})}
    with together(using):
        if _update(model, written, pinned, where, also, using) != 1:
            raise ConcurrentChange(
                f"This {machine.name} is no longer {before}; somebody else changed it first.",
                machine=machine.name, state=before, event=str(event), pk=str(row.pk),
            )  # fmt: skip
        if event_model is not None:
            statements.insert(
                event_model(
                    **{_foreign_key(event_model, model): row},
                    event=str(event), from_status=before, to_status=after, at=now, detail=dict(detail or {}),
                ),
                using=using,
            )  # fmt: skip
        if on_commit is not None:
            transaction.on_commit(on_commit, using=using)
        if reread or not statements.is_plain(written):
            return model._base_manager.using(using).get(pk=row.pk)
    moved = copy(row)
    for name, value in written.items():
        setattr(moved, name, value)
    return moved


def _update(
    model: type[models.Model], written: Mapping[str, Any], pinned: Mapping[str, Any], where: Q | None,
    also: Sql | None, using: str,
) -> int:  # fmt: skip
    if where is None and statements.is_plain(written):
        return statements.update(model, written, pinned, also=also, using=using)
    if also is not None:
        raise TypeError("`also` goes with plain values only; use `where`.")
    rows = model._base_manager.using(using)
    return rows.filter(Q(**pinned) & (where or Q())).update(**written)


@contextmanager
def together(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """One transaction: the caller's, or one of our own. Without a savepoint in the caller's: when nothing matched
    nothing was written, and anything else that goes wrong takes the whole transaction with it."""
    if not connections[using].in_atomic_block:
        with transaction.atomic(using=using):
            yield
        return
    try:
        yield
    except ConcurrentChange:
        raise
    except BaseException:
        transaction.set_rollback(True, using=using)
        raise


@lru_cache(maxsize=64)
def _foreign_key(event_model: type[models.Model], model: type[models.Model]) -> str:
    names = [
        field.name
        for field in event_model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and issubclass(model, cast(type, field.related_model))
    ]
    if len(names) != 1:
        raise TypeError(
            f"{event_model.__name__} needs exactly one ForeignKey to {model.__name__}, has {len(names)}."
        )
    return names[0]
