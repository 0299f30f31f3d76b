"""Numbers as people read them, in the active language. Exact: works on decimals, never through float formatting.

Display uses the true minus sign (U+2212), a no-break space where the language wants one, and never an exponent.
`None`, NaN and infinity have no text: these functions return None and the caller shows a dash with a reason.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from django.utils.formats import get_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

MINUS: Final = "\u2212"
NBSP: Final = "\u00a0"
SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£"}
_SIGNIFICANT: Final = 5
_MAX_DECIMALS: Final = 12


def decimal_or_none(value: object) -> Decimal | None:
    """The value as a finite decimal, else None."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def is_french() -> bool:
    return (get_language() or "en").startswith("fr")


def grouped(number: Decimal, decimals: int, *, sign: bool = False) -> str:
    """Rounded half even to `decimals`, digits grouped by three; zero never has a sign."""
    rounded = number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN)
    whole, _dot, fraction = f"{abs(rounded):f}".partition(".")
    separator = NBSP if is_french() else ","
    groups = [whole[max(0, end - 3) : end] for end in range(len(whole), 0, -3)]
    text = separator.join(reversed(groups))
    if fraction:
        text += str(get_format("DECIMAL_SEPARATOR")) + fraction
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if sign and rounded > 0 else text


def step_decimals(step: object) -> int | None:
    """How many decimals a tick or lot step has: 0.010 -> 2, 5 -> 0. None when there is no positive step."""
    number = decimal_or_none(step)
    if number is None or number <= 0:
        return None
    exponent = number.normalize().as_tuple().exponent
    return min(_MAX_DECIMALS, max(0, -int(exponent)))


def adaptive_decimals(number: Decimal, significant: int = _SIGNIFICANT) -> int:
    """Decimals that keep `significant` digits of small numbers, without trailing zeros: 64000 -> 2, 0.00001234 -> 8."""
    if number == 0:
        return 2
    own = -int(number.normalize().as_tuple().exponent)
    return min(_MAX_DECIMALS, max(2, min(own, significant - 1 - number.adjusted())))


def money(value: object, currency: str, *, sign: bool = False, decimals: int = 2) -> str | None:
    """Amount with its currency: $1,234.50 in English, 1 234,50 $ in French, 12.00 USDT for the rest."""
    number = decimal_or_none(value)
    if number is None:
        return None
    text = grouped(number, decimals, sign=sign)
    symbol = SYMBOLS.get(currency)
    if symbol is None or is_french():
        return f"{text}{NBSP}{symbol or currency}" if currency else text
    head = text[0] if text[0] in f"+{MINUS}" else ""
    return f"{head}{symbol}{text[len(head) :]}"


def price(value: object, tick: object = None) -> str | None:
    """A price at its tick size, or with adaptive decimals when no tick is known."""
    number = decimal_or_none(value)
    if number is None:
        return None
    decimals = step_decimals(tick)
    return grouped(number, adaptive_decimals(number) if decimals is None else decimals)


def quantity(value: object, step: object = None, *, sign: bool = False) -> str | None:
    """A quantity with the lot step's decimals at most, trailing zeros dropped."""
    number = decimal_or_none(value)
    if number is None:
        return None
    limit = step_decimals(step)
    own = max(0, -int(number.normalize().as_tuple().exponent)) if number else 0
    return grouped(number, min(own, 8 if limit is None else max(limit, 0)) if own else 0, sign=sign)


def percent(ratio: object, decimals: int = 2, *, sign: bool = False) -> str | None:
    """A ratio as a percentage: 0.1234 -> 12.34% (English), 12,34 % (French)."""
    number = decimal_or_none(ratio)
    if number is None:
        return None
    return grouped(number * 100, decimals, sign=sign) + (f"{NBSP}%" if is_french() else "%")


def compact(value: object) -> str | None:
    """Large numbers in three digits: 1.2k, 3.45M, 6B. Small ones as they are."""
    number = decimal_or_none(value)
    if number is None:
        return None
    units = ((9, _("B")), (6, _("M")), (3, _("k")))
    for exponent, unit in units:
        if abs(number) >= Decimal(10) ** exponent:
            scaled = number.scaleb(-exponent)
            return grouped(scaled, 1 if abs(scaled) < 100 else 0) + (NBSP if is_french() else "") + unit
    return grouped(number, 0 if number == number.to_integral_value() else 2)


def duration(seconds: object) -> str | None:
    """Two units at most: 45 s, 2 min 30 s, 4 h, 1 d 3 h. Below ten seconds one decimal, below one milliseconds."""
    number = decimal_or_none(seconds)
    if number is None:
        return None
    if number < 0:
        return MINUS + (duration(-number) or "")
    if number < 1:
        return f"{grouped(number * 1000, 0)}{NBSP}ms" if number else f"0{NBSP}s"
    if number < 10:
        return f"{grouped(number, 0 if number == number.to_integral_value() else 1)}{NBSP}s"
    return _two_units(int(number.to_integral_value(rounding=ROUND_HALF_EVEN)))


def _two_units(total: int) -> str:
    sizes = ((86400, _("d")), (3600, _("h")), (60, _("min")), (1, _("s")))
    for index, (size, unit) in enumerate(sizes):
        if total >= size:
            count, rest = divmod(total, size)
            text = f"{count}{NBSP}{unit}"
            if index + 1 < len(sizes):
                small, small_unit = sizes[index + 1]
                if part := rest // small:
                    text += f" {part}{NBSP}{small_unit}"
            return text
    return f"0{NBSP}{_('s')}"
