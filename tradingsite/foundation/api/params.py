"""Readers of query parameters: text in, value out, Invalid with a sentence when it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.http import QueryDict
from django.utils.translation import gettext as _

from tradingsite.foundation.clock import as_utc
from tradingsite.foundation.errors import FieldProblem, Invalid, InvalidNumber
from tradingsite.foundation.money import to_decimal

from .rendering import storable

Reader = Callable[[str], Any]
Checked = TypeVar("Checked", bound=Reader)

_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def documented(**schema: Any) -> Callable[[Checked], Checked]:
    """Say in JSON Schema what a reader accepts, for the API's description: `@documented(type="string")`."""

    def mark(reader: Checked) -> Checked:
        reader.__dict__["schema"] = schema
        return reader

    return mark


def schema_of(reader: Reader) -> dict[str, Any]:
    """What `reader` accepts as JSON Schema; any text when it does not say."""
    return dict(getattr(reader, "schema", None) or {"type": "string"})


def choice(*allowed: str) -> Reader:
    """One of `allowed`."""

    @documented(type="string", enum=list(allowed))
    def read(value: str) -> str:
        if value not in allowed:
            raise Invalid(_("One of: %(allowed)s.") % {"allowed": ", ".join(allowed)})
        return value

    return read


def choices(*allowed: str) -> Reader:
    """A comma separated list out of `allowed`, as a list."""
    one = choice(*allowed)

    @documented(type="string", pattern="^({0})(,({0}))*$".format("|".join(allowed)))
    def read(value: str) -> list[str]:
        return [one(part) for part in value.split(",")]

    return read


def integer(least: int = 0, most: int = 2**31 - 1) -> Reader:
    """A whole number from `least` to `most`."""

    @documented(type="integer", minimum=least, maximum=most)
    def read(value: str) -> int:
        digits = value.removeprefix("-")
        number = int(value) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
        if number is None or not least <= number <= most:
            raise Invalid(_("A whole number from %(least)s to %(most)s.") % {"least": least, "most": most})
        return number

    return read


def text(longest: int = 100) -> Reader:
    """Text of 1 to `longest` characters."""

    @documented(type="string", minLength=1, maxLength=longest)
    def read(value: str) -> str:
        if not 1 <= len(value) <= longest:
            raise Invalid(_("1 to %(longest)s characters.") % {"longest": longest})
        return value

    return read


@documented(type="boolean")
def boolean(value: str) -> bool:
    """true or false."""
    if value not in ("true", "false"):
        raise Invalid(_("true or false."))
    return value == "true"


@documented(type="string", format="decimal")
def decimal(value: str) -> Decimal:
    """A finite decimal number."""
    try:
        return to_decimal(value)
    except InvalidNumber as e:
        raise Invalid(_("A decimal number such as 12.5.")) from e


@documented(type="string", format="date-time")
def instant(value: str) -> datetime:
    """A time with a time zone, ISO 8601, between 1900 and 2200; as UTC."""
    try:
        # An unescaped "+" of the offset arrives as a space.
        at = as_utc(datetime.fromisoformat(value.replace(" ", "+") if "T" in value else value))
    except (ValueError, OverflowError) as e:
        raise Invalid(_("A time with time zone such as 2024-01-31T12:00:00Z.")) from e
    if not _FIRST <= at < _LAST:
        raise Invalid(_("A time between the years 1900 and 2200."))
    return at


@documented(type="string", format="date")
def day(value: str) -> date:
    """A date, ISO 8601, between 1900 and 2200."""
    try:
        on = date.fromisoformat(value)
    except ValueError as e:
        raise Invalid(_("A date such as 2024-01-31.")) from e
    if not _FIRST.date() <= on < _LAST.date():
        raise Invalid(_("A date between the years 1900 and 2200."))
    return on


def seconds(least: int = 1, most: int = 366 * 86400) -> Reader:
    """A duration in whole seconds, as timedelta."""
    whole = integer(least, most)

    @documented(type="integer", minimum=least, maximum=most, description="seconds")
    def read(value: str) -> timedelta:
        return timedelta(seconds=whole(value))

    return read


def read(query: QueryDict, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The values given, parsed. Raises Invalid naming every unknown, repeated or wrong parameter."""
    problems: list[FieldProblem] = []
    values: dict[str, Any] = {}
    for name, given in query.lists():
        try:
            values[name] = _one(name, given, readers)
        except Invalid as e:
            problems.append({"pointer": f"?{name}", "code": e.code, "detail": e.message})
    if problems:
        unknown = all(problem["code"] == "unknown-parameter" for problem in problems)
        message = " ".join(f"{problem['pointer'][1:]}: {problem['detail']}" for problem in problems)
        raise Invalid(message, code="unknown-parameter" if unknown else "invalid", errors=problems)
    return values


def _one(name: str, given: list[str], readers: Mapping[str, Reader]) -> Any:
    if name not in readers:
        known = ", ".join(sorted(readers)) or _("none")
        raise Invalid(_("Unknown. Known are: %(known)s.") % {"known": known}, code="unknown-parameter")
    if len(given) != 1:
        raise Invalid(_("Given more than once."))
    if not storable(given[0]):
        raise Invalid(_("This text cannot be stored."))
    return readers[name](given[0])
