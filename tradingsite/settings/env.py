"""Typed readers of environment variables.

Every reader promises: unset gives the default; a wrong value raises ImproperlyConfigured with the
variable, the value (never a secret one) and what is allowed. Nothing is guessed: `yes` is not True.
"""

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from .catalogue import PREFIX, SECRET, VARIABLES
from .forms import FORMS


def _raw(name: str) -> str | None:
    if name not in VARIABLES:
        raise ImproperlyConfigured(f"{name} is read but not listed in tradingsite/settings/catalogue.py.")
    value = os.environ.get(name, "").strip()
    return value or None


def wrong(name: str, value: str, allowed: str) -> ImproperlyConfigured:
    """The error for a wrong value; the caller raises it."""
    shown = "(hidden)" if name in SECRET else repr(value)
    return ImproperlyConfigured(f"{name} must be {allowed}; it is {shown}.")


def env_str(name: str, default: str = "") -> str:
    value = _raw(name)
    return default if value is None else value


def env_bool(name: str, default: bool) -> bool:
    value = _raw(name)
    if value is None:
        return default
    if value not in ("True", "False"):
        raise wrong(name, value, "True or False")
    return value == "True"


def env_int(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """A whole number between minimum and maximum, both included."""
    value = _raw(name)
    if value is None:
        return default
    allowed = f"a whole number from {minimum} to {maximum}"
    try:
        number = int(value)
    except ValueError as e:
        raise wrong(name, value, allowed) from e
    if not minimum <= number <= maximum:
        raise wrong(name, value, allowed)
    return number


def env_decimal(name: str, default: Decimal, *, minimum: Decimal, maximum: Decimal) -> Decimal:
    """A decimal number between minimum and maximum, both included. NaN and infinity are refused."""
    value = _raw(name)
    if value is None:
        return default
    allowed = f"a number from {minimum} to {maximum}"
    try:
        number = Decimal(value)
    except InvalidOperation as e:
        raise wrong(name, value, allowed) from e
    if not number.is_finite() or not minimum <= number <= maximum:
        raise wrong(name, value, allowed)
    return number


def env_choice(name: str, default: str, choices: Iterable[str]) -> str:
    value = _raw(name)
    if value is None:
        return default
    known = tuple(choices)
    if value not in known:
        raise wrong(name, value, "one of " + ", ".join(known))
    return value


def env_list(name: str, default: Iterable[str] = ()) -> list[str]:
    """Comma separated; spaces around items are dropped, empty items refused."""
    value = _raw(name)
    if value is None:
        return list(default)
    items = [item.strip() for item in value.split(",")]
    if not all(items):
        raise wrong(name, value, "a comma separated list without empty items")
    return items


def env_path(name: str, default: Path) -> Path:
    """An absolute path (`~` is understood)."""
    value = _raw(name)
    if value is None:
        return default
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise wrong(name, value, "an absolute path")
    return path


def refuse_wrong(environ: Mapping[str, str] | None = None) -> None:
    """Stop when a variable is set to nothing, or a text does not have its form - whoever would have read it, and when."""
    source = os.environ if environ is None else environ
    for name in sorted(VARIABLES.keys() & source.keys()):
        value = source[name].strip()
        if not value:
            raise ImproperlyConfigured(f"{name} is set but empty. Unset it, or set: {VARIABLES[name]}")
        if name in FORMS and not FORMS[name][1](value):
            raise wrong(name, value, FORMS[name][0])


def refuse_unknown(environ: Mapping[str, str] | None = None) -> None:
    """Stop when a TRADING_* variable is set that nothing reads: most likely it is misspelt."""
    source = os.environ if environ is None else environ
    unknown = sorted(name for name in source if name.startswith(PREFIX) and name not in VARIABLES)
    if not unknown:
        return
    hints = []
    for name in unknown:
        close = get_close_matches(name, VARIABLES, n=1)
        hints.append(f"{name} (did you mean {close[0]}?)" if close else name)
    raise ImproperlyConfigured("Unknown environment variable: " + ", ".join(hints) + ". README.md lists all.")
