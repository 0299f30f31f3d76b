"""How the switch stood in the past, from the audit log, which nobody can change or purge."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.engine.types import Switch
from orchestrator.models import ControlSwitch
from tradingsite.foundation.models import AuditEvent

_ACTIONS = {f"control.{position.value}": position for position in Switch}


@dataclass(frozen=True, slots=True)
class History:
    """Changes, oldest first: when, and to which position. Before the first one nothing is known."""

    times: tuple[datetime, ...]
    positions: tuple[Switch, ...]

    def during(self, since: datetime, until: datetime) -> tuple[Switch, ...]:
        """The positions in force right before `since` and at any instant up to `until`; empty when the time before
        the first change is part of it."""
        first, last = bisect_left(self.times, since) - 1, bisect_right(self.times, until)
        return () if first < 0 else self.positions[first:last]

    def stopped_since(self, at: datetime, *, grace: timedelta, entry: bool) -> datetime | None:
        """Since when orders were forbidden at `at`, if they had been for longer than `grace` without a break; else None.

        `entry`: what opens risk; it needs RUNNING. What reduces risk is only forbidden by STOPPED.
        """
        window = self.during(at - grace, at)
        if not window or any(_allows(position, entry) for position in window):
            return None
        index = bisect_right(self.times, at) - 1
        while index > 0 and not _allows(self.positions[index - 1], entry):
            index -= 1
        return self.times[index]


def _allows(position: Switch, entry: bool) -> bool:
    return position is Switch.RUNNING or (not entry and position is not Switch.STOPPED)


def read() -> History:
    """All changes of the row. Halt files and variables leave no trace here."""
    rows = AuditEvent.objects.filter(object_type="control", action__in=_ACTIONS).order_by("sequence")
    changes = [(at, _ACTIONS[action]) for at, action in rows.values_list("at", "action")]
    now = ControlSwitch.objects.filter(pk=1).values_list("changed_at", "position").first()
    if now is not None and (not changes or changes[-1][1].value != now[1]):
        changes.append((now[0], Switch(now[1])))  # turned by something that leaves no audit row (SQL by hand)
    changes.sort(key=lambda change: change[0])
    return History(tuple(at for at, _position in changes), tuple(position for _at, position in changes))
