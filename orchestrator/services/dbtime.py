"""The database's clock inside a statement: hosts disagree by seconds, the database only agrees with itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connections, models
from django.db.models import ExpressionWrapper, Func, Value
from django.db.models.expressions import Combinable

from tradingsite.foundation import clock, statements
from tradingsite.foundation.statements import Sql


class ClockTimestamp(Func):
    """The instant the statement runs (not the transaction's start)."""

    template = "clock_timestamp()"
    output_field = models.DateTimeField()


def uses_database_clock(using: str = "default") -> bool:
    """Only on PostgreSQL under the real clock: SQLite lives on this host, and replay and tests bring their own time."""
    return connections[using].vendor == "postgresql" and isinstance(clock.current(), clock.RealClock)


def now_expression(using: str = "default") -> Combinable:
    """`now` for a WHERE or SET clause."""
    if uses_database_clock(using):
        return ClockTimestamp()
    return Value(clock.now(), output_field=models.DateTimeField())


def in_seconds(seconds: float, using: str = "default") -> Any:
    """`now` plus `seconds` for a WHERE or SET clause."""
    if uses_database_clock(using):
        return ExpressionWrapper(
            ClockTimestamp() + Value(timedelta(seconds=seconds), output_field=models.DurationField()),
            output_field=models.DateTimeField(),
        )
    return Value(clock.now() + timedelta(seconds=seconds), output_field=models.DateTimeField())


def in_seconds_sql(seconds: float, using: str = "default") -> Sql:
    """`in_seconds` for `foundation.statements`."""
    if uses_database_clock(using):
        return Sql("clock_timestamp() + %s", (timedelta(seconds=seconds),))
    at = clock.now() + timedelta(seconds=seconds)
    return Sql("%s", (statements.time_param(at, using=using),))


def truncated_to_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
