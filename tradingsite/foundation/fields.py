"""Exact decimals in both databases.

SQLite has no decimal type; Django's own field goes through a 15-digit float there. ExactDecimalField stores
canonical TEXT on SQLite (ordered by a registered collation, compared and summed by registered functions) and
NUMERIC on PostgreSQL. A SQLite connection without these functions fails instead of computing something wrong.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import FieldError, ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups
from django.db.models.aggregates import Aggregate
from django.db.models.expressions import CombinedExpression, Func
from django.utils.translation import gettext_lazy as _

from .errors import InvalidNumber
from .money import EXACT, canonical, normalized, to_decimal

COLLATION = "exact_decimal"


def _exact(value: object) -> Decimal:
    # A float reaching SQL means somebody computed with floats before: fail, do not launder it.
    if isinstance(value, float):
        raise InvalidNumber(f"A float is not exact; give a Decimal or a decimal string, was {value!r}.")
    return to_decimal(value)


class ExactDecimalField(models.Field[Any, Any]):
    """A Decimal with at most `max_digits - decimal_places` integer and `decimal_places` fraction digits,
    stored exactly.

    Refuses NaN, infinity, floats and more digits than declared with InvalidNumber (nothing is rounded silently).
    Reads give Decimals without trailing zeros; `money.canonical` is their text.
    """

    description = _("Exact decimal number")
    empty_strings_allowed = False

    def __init__(self, *args: Any, max_digits: int = 48, decimal_places: int = 18, **kwargs: Any) -> None:
        self.max_digits, self.decimal_places = max_digits, decimal_places
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        if self.max_digits != 48:
            kwargs["max_digits"] = self.max_digits
        if self.decimal_places != 18:
            kwargs["decimal_places"] = self.decimal_places
        return name, path, args, kwargs

    def get_internal_type(self) -> str:
        return "ExactDecimalField"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        # No precision on PostgreSQL: numeric(48, 18) would round silently what we refuse loudly.
        return "text" if connection.vendor == "sqlite" else "numeric"

    def cast_db_type(self, connection: BaseDatabaseWrapper) -> str:
        return self.db_type(connection)

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = cast(dict[str, Any], super().db_parameters(connection))
        if connection.vendor == "sqlite":
            parameters["collation"] = COLLATION
        return parameters

    def db_check(self, connection: BaseDatabaseWrapper) -> str:
        column = connection.ops.quote_name(cast(str, self.column))
        if connection.vendor == "sqlite":
            return f"{column} NOT GLOB '*[^-0-9.]*'"
        return f"{column} NOT IN ('NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric)"

    def get_placeholder(self, value: Any, compiler: Any, connection: BaseDatabaseWrapper) -> str:
        # F("balance") + 1 would be float arithmetic on SQLite: ExactAdd does it exactly on both.
        if connection.vendor == "sqlite" and isinstance(value, CombinedExpression):
            raise FieldError(
                "Use ExactAdd, ExactSubtract or ExactMultiply instead of an operator on exact decimals."
            )
        return "%s"

    def to_python(self, value: Any) -> Decimal | None:
        if value is None:
            return None
        try:
            return self._checked(_exact(value))
        except InvalidNumber as e:
            raise ValidationError(e.message, code=e.code) from e

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if value is None or hasattr(value, "resolve_expression"):
            return value
        return self._checked(_exact(value))

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = value if prepared else self.get_prep_value(value)
        if isinstance(value, Decimal) and connection.vendor == "sqlite":
            return canonical(value)
        return value

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Decimal | None:
        return None if value is None else normalized(_exact(value))

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else canonical(_exact(value))

    def formfield(self, *args: Any, **kwargs: Any) -> Any:
        defaults = {
            "form_class": forms.DecimalField,
            "max_digits": self.max_digits,
            "decimal_places": self.decimal_places,
        }
        return super().formfield(**{**defaults, **kwargs})

    def _checked(self, value: Decimal) -> Decimal:
        whole, _dot, fraction = canonical(value).lstrip("-").partition(".")
        if len(fraction) > self.decimal_places:
            raise InvalidNumber(f"At most {self.decimal_places} fraction digits are kept, was {value}.")
        if len(whole) > self.max_digits - self.decimal_places:
            raise InvalidNumber(
                f"At most {self.max_digits - self.decimal_places} integer digits fit, was {value}."
            )
        return normalized(value)


class _ExactComparison(lookups.FieldGetDbPrepValueMixin, lookups.BuiltinLookup[Any]):
    """Compares by value: text order would put "10" before "9"."""

    operator = ""

    def get_rhs_op(self, connection: BaseDatabaseWrapper, rhs: str) -> str:
        return f"{self.operator} {rhs}"

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        rhs, rhs_params = self.process_rhs(compiler, connection)
        return f"decimal_cmp({lhs}, {rhs}) {self.operator} 0", [*lhs_params, *rhs_params]


@ExactDecimalField.register_lookup
class ExactGreater(_ExactComparison):
    lookup_name = "gt"
    operator = ">"


@ExactDecimalField.register_lookup
class ExactGreaterOrEqual(_ExactComparison):
    lookup_name = "gte"
    operator = ">="


@ExactDecimalField.register_lookup
class ExactLess(_ExactComparison):
    lookup_name = "lt"
    operator = "<"


@ExactDecimalField.register_lookup
class ExactLessOrEqual(_ExactComparison):
    lookup_name = "lte"
    operator = "<="


@ExactDecimalField.register_lookup
class ExactRange(lookups.Range[Any]):
    """BETWEEN by value, both ends included."""

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        lhs, lhs_params = self.process_lhs(compiler, connection)
        bounds, rhs_params = self.process_rhs(compiler, connection)
        low, high = cast(tuple[str, str], bounds)
        sql = f"decimal_cmp({lhs}, {low}) >= 0 AND decimal_cmp({lhs}, {high}) <= 0"
        return f"({sql})", [*lhs_params, rhs_params[0], *lhs_params, rhs_params[1]]


class ExactSum(Aggregate):
    """The exact sum of an ExactDecimalField; NULL over no rows unless `default` is given."""

    function = "SUM"
    name = "ExactSum"
    allow_distinct = True
    window_compatible = True

    def __init__(self, expression: Any, **extra: Any) -> None:
        extra.setdefault("output_field", ExactDecimalField(max_digits=78))
        super().__init__(expression, **extra)

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="decimal_sum", **context)


class _ExactOperation(Func):
    """Exact arithmetic of two amounts in SQL; the operands are field names, expressions or Decimals."""

    arity = 2
    sqlite_function = ""

    def __init__(self, left: Any, right: Any, **extra: Any) -> None:
        # Products may carry twice the fraction digits: the field that stores them says what it accepts.
        extra.setdefault("output_field", ExactDecimalField(max_digits=96, decimal_places=36))
        super().__init__(*(self._operand(side) for side in (left, right)), **extra)

    @staticmethod
    def _operand(value: Any) -> Any:
        if isinstance(value, Decimal | int):
            return models.Value(value, output_field=ExactDecimalField(max_digits=96, decimal_places=36))
        return value

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        return super().as_sql(
            compiler, connection, function=self.sqlite_function, template="%(function)s(%(expressions)s)",
            arg_joiner=", ", **context,
        )  # fmt: skip


class ExactAdd(_ExactOperation):
    sqlite_function = "decimal_add"
    template = "(%(expressions)s)"
    arg_joiner = " + "


class ExactSubtract(_ExactOperation):
    sqlite_function = "decimal_sub"
    template = "(%(expressions)s)"
    arg_joiner = " - "


class ExactMultiply(_ExactOperation):
    sqlite_function = "decimal_mul"
    template = "(%(expressions)s)"
    arg_joiner = " * "


class _DecimalSum:
    """The aggregate (and window function) decimal_sum of one SQLite connection."""

    def __init__(self) -> None:
        self.total = Decimal(0)
        self.count = 0

    def step(self, value: object) -> None:
        if value is not None:
            self.total = EXACT.add(self.total, _exact(value))
            self.count += 1

    def inverse(self, value: object) -> None:
        if value is not None:
            self.total = EXACT.subtract(self.total, _exact(value))
            self.count -= 1

    def value(self) -> str | None:
        return canonical(self.total) if self.count else None

    finalize = value


def _decimal_cmp(a: object, b: object) -> int | None:
    if a is None or b is None:
        return None
    left, right = _exact(a), _exact(b)
    return (left > right) - (left < right)


def _collate(a: str, b: str) -> int:
    left, right = Decimal(a), Decimal(b)
    return (left > right) - (left < right)


def _operation(compute: Any) -> Any:
    def apply(a: object, b: object) -> str | None:
        return None if a is None or b is None else canonical(compute(_exact(a), _exact(b)))

    return apply


def register_sqlite(raw: sqlite3.Connection) -> None:
    """Teach one raw SQLite connection our exact functions (also needed to check a backup outside Django)."""
    raw.create_collation(COLLATION, _collate)
    # Deterministic functions may be used in CHECK constraints, indexes and triggers.
    raw.create_function("decimal_cmp", 2, _decimal_cmp, deterministic=True)
    raw.create_function("decimal_add", 2, _operation(EXACT.add), deterministic=True)
    raw.create_function("decimal_sub", 2, _operation(EXACT.subtract), deterministic=True)
    raw.create_function("decimal_mul", 2, _operation(EXACT.multiply), deterministic=True)
    raw.create_window_function("decimal_sum", 1, cast(Any, _DecimalSum))


def on_connection_created(sender: object, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    """Signal receiver: every SQLite connection gets the functions, and triggers also fire for REPLACE."""
    if connection.vendor == "sqlite":
        register_sqlite(cast(sqlite3.Connection, connection.connection))
        # Without this INSERT OR REPLACE deletes audit rows without firing the delete trigger.
        cast(sqlite3.Connection, connection.connection).execute("PRAGMA recursive_triggers = ON")
