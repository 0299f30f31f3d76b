"""The one gate for exact numbers: prices, quantities, cash, fees, limits.

Python's default decimal context keeps 28 digits and rounds silently; amounts here have up to 30 integer and 18 fraction
digits, so `install_context()` widens it for the whole process and every function below uses its own exact context.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from .errors import InvalidNumber

PRECISION = 100
"""Digits kept by every calculation: a product of two 48-digit amounts fits without rounding."""

EXACT = Context(
    prec=1000, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow, decimal.DivisionByZero]
)
"""Context for additions and products: raises instead of rounding."""

_MAX_EXPONENT = 400


def install_context() -> None:
    """Widen the decimal context of this thread and of all threads started later."""
    decimal.DefaultContext.prec = PRECISION
    decimal.getcontext().prec = PRECISION


def to_decimal(value: object) -> Decimal:
    """`value` (Decimal, int, decimal string; a float through its shortest text) as finite Decimal, "-0" becoming 0.

    Raises InvalidNumber for None, bool, NaN, infinity and anything that is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str | float):
        raise InvalidNumber(f"A number is needed, was {type(value).__name__}.")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except decimal.InvalidOperation as e:
        raise InvalidNumber(f"A decimal number is needed, was {str(value)[:40]!r}.") from e
    if not number.is_finite():
        raise InvalidNumber(f"A finite number is needed, was {number}.")
    if number and abs(number.adjusted()) > _MAX_EXPONENT:
        raise InvalidNumber("The number is too large or too small to be written out.")
    return number if number else Decimal(0)


def canonical(value: Decimal) -> str:
    """The one text of a number: no exponent, no trailing zeros, no "-0"."""
    text = format(to_decimal(value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def normalized(value: Decimal) -> Decimal:
    """The same number without trailing zeros. Show numbers with `canonical`: str(Decimal("0.0000001")) is "1E-7"."""
    return Decimal(canonical(value))


def round_down(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` (> 0) not above `value`: quantities round down to the lot step."""
    return _round(value, step, ROUND_FLOOR)


def round_up(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` (> 0) not below `value`: fees round up."""
    return _round(value, step, ROUND_CEILING)


def round_half_even(value: Decimal, step: Decimal) -> Decimal:
    """The nearest multiple of `step` (> 0), ties to the even multiple: cash."""
    return _round(value, step, ROUND_HALF_EVEN)


def _round(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    value, step = to_decimal(value), to_decimal(step)
    if step <= 0:
        raise InvalidNumber(f"A rounding step must be above 0, was {step}.")
    # Work on integers: a quotient of decimals would round before we do.
    scale = max(_places(value), _places(step))
    n, d = int(value.scaleb(scale, EXACT)), int(step.scaleb(scale, EXACT))
    count, rest = divmod(n, d)
    up = rounding == ROUND_CEILING and rest > 0
    if rounding == ROUND_HALF_EVEN:
        up = 2 * rest > d or (2 * rest == d and count % 2 == 1)
    return normalized(EXACT.multiply(Decimal(count + up), step))


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)  # finite numbers only, see to_decimal
    return max(0, -exponent)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency (ISO code or coin symbol). Adding two currencies raises InvalidNumber."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", to_decimal(self.amount))
        if not self.currency:
            raise InvalidNumber("Money needs a currency.")

    def __add__(self, other: Money) -> Money:
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> Money:
        return Money(EXACT.minus(self.amount), self.currency)

    def __str__(self) -> str:
        return f"{canonical(self.amount)} {self.currency}"

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise InvalidNumber(f"Cannot add {other.currency} to {self.currency}; convert first.")
        return other.amount
