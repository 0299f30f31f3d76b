"""The only module that reads the time.

Every time is aware and in UTC. Pure packages receive `now` as an argument; services, loops and pages call `now()`.
Tests and replay swap the clock with `use(...)`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


class Clock(Protocol):
    """Something that knows the time: aware UTC for people, a monotonic float (seconds) for durations.

    `cpu_s` is the processor time this process has used; where time is made up, work costs nothing, or a replay would
    learn from the speed of the machine it happens to run on.
    """

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def cpu_s(self) -> float: ...


C = TypeVar("C", bound=Clock)


def as_utc(at: datetime) -> datetime:
    """`at` in UTC. Raises ValueError when it has no time zone (a guess would be wrong twice a year)."""
    if at.tzinfo is None or at.utcoffset() is None:
        raise ValueError(f"A time needs a time zone, was {at.isoformat()}.")
    return at.astimezone(UTC)


class RealClock:
    """The clock of this machine, corrected to that of the database once `agree` has heard what that says.

    Between two corrections it follows a counter that no change of the wall clock touches: a machine whose clock is off
    or jumps goes on with the time all others have.
    """

    _zero: datetime | None = None  # the database's time at counter 0; None: nobody to agree with

    def host_now(self) -> datetime:
        """What this machine's own clock says, right or wrong."""
        return datetime.now(UTC)

    def now(self) -> datetime:
        if self._zero is None:
            return self.host_now()
        return self._zero + timedelta(seconds=_counter())

    def agree(self, theirs: datetime, before: float, after: float) -> None:
        """The database said `theirs` between the counts `before` and `after`: move no further than that proves.

        So a slow answer, or a process stopped while it waited, corrects nothing that was right.
        """
        own = self._zero or self.host_now() - timedelta(seconds=_counter())
        self._zero = min(max(own, theirs - timedelta(seconds=after)), theirs - timedelta(seconds=before))

    def monotonic(self) -> float:
        return time.monotonic()

    def cpu_s(self) -> float:
        return time.process_time()


def _counter() -> float:
    """Seconds since the machine started, asleep or awake; `monotonic` stands still while a machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class FixedClock:
    """A clock that stands still at `at` (tests)."""

    def __init__(self, at: datetime) -> None:
        self._at = as_utc(at)

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return self._at.timestamp()

    def cpu_s(self) -> float:
        return 0.0


class VirtualClock:
    """A clock moved by its owner (replay, tests); it never goes back."""

    def __init__(self, start: datetime) -> None:
        self._at = as_utc(start)

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return self._at.timestamp()

    def cpu_s(self) -> float:
        return 0.0

    def advance_to(self, at: datetime) -> datetime:
        """Move to `at` and return it. Raises ValueError when that is in the past."""
        at = as_utc(at)
        if at < self._at:
            raise ValueError(
                f"The clock stands at {self._at.isoformat()} and cannot go back to {at.isoformat()}."
            )
        self._at = at
        return at

    def advance(self, by: timedelta) -> datetime:
        """Move forward by `by` (>= 0) and return the new time."""
        return self.advance_to(self._at + by)


_clock: Clock = RealClock()


def set_clock(clock: Clock) -> None:
    """Use `clock` in the whole process from now on."""
    global _clock
    _clock = clock


def current() -> Clock:
    """The clock in use."""
    return _clock


@contextmanager
def use(clock: C) -> Iterator[C]:
    """Use `clock` inside the block, then the one before. Process-wide, as worker threads must see the same time."""
    before = _clock
    set_clock(clock)
    try:
        yield clock
    finally:
        set_clock(before)


def now() -> datetime:
    """The current time, aware, UTC: on PostgreSQL the database's, as soon as this process has a connection."""
    return _clock.now()


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return _clock.monotonic()


def off_s() -> float:
    """Seconds this machine's own clock is ahead of the database's; 0 where there is nothing to compare."""
    return (_clock.host_now() - _clock.now()).total_seconds() if isinstance(_clock, RealClock) else 0.0


def host_now() -> datetime:
    """What this machine's own clock says, right or wrong; to watch it only."""
    return _clock.host_now() if isinstance(_clock, RealClock) else _clock.now()


def db_now(using: str = "default") -> datetime:
    """The time all hosts agree on: the clock of PostgreSQL, or `now()` on SQLite and when the clock is not real.

    Leases, deadlines and claims compare times written by several machines; their own clocks may differ by seconds. Asking
    corrects `now()` in this process; every new connection asks, and so does every claim, sweep and sign of life.
    """
    connection = connections[using]
    if connection.vendor != "postgresql" or not isinstance(_clock, RealClock):
        return now()
    return _agree(_clock, connection)


def _agree(clock: RealClock, connection: BaseDatabaseWrapper) -> datetime:
    before = _counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    theirs = as_utc(row[0])
    clock.agree(theirs, before, _counter())
    return theirs


def on_connection_created(sender: object, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    """Signal receiver: a process has the database's time before it writes its first."""
    if connection.vendor == "postgresql" and isinstance(_clock, RealClock):
        _agree(_clock, connection)
