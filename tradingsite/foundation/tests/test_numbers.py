from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradingsite.foundation.errors import Invalid, InvalidNumber
from tradingsite.foundation.money import (
    Money,
    canonical,
    round_down,
    round_half_even,
    round_up,
    to_decimal,
)

numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=18)
steps = st.sampled_from([Decimal(s) for s in ("1", "0.001", "0.25", "5", "0.000000000000000001", "3")])


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("1.50", "1.5"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("1E+3", "1000"),
        ("1e-8", "0.00000001"),
        (" 7 ", "7"),
        (0.1, "0.1"),
        (12, "12"),
        ("-3.10", "-3.1"),
    ],
)
def test_a_number_has_one_text(given_: object, expected: str) -> None:
    assert canonical(to_decimal(given_)) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "",
        "1,5",
        "abc",
        None,
        True,
        [],
        float("nan"),
        Decimal("sNaN"),
        "1e999999",
    ],
)
def test_what_is_no_finite_number_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidNumber):
        to_decimal(wrong)


def test_a_refused_number_is_an_invalid_input_and_a_value_error() -> None:
    with pytest.raises(InvalidNumber) as caught:
        to_decimal("many")
    assert isinstance(caught.value, Invalid) and isinstance(caught.value, ValueError)
    assert "'many'" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "step", "down", "up", "even"),
    [
        ("0.0015", "0.001", "0.001", "0.002", "0.002"),
        ("0.0025", "0.001", "0.002", "0.003", "0.002"),
        ("-0.0015", "0.001", "-0.002", "-0.001", "-0.002"),
        ("7", "5", "5", "10", "5"),
        ("10", "5", "10", "10", "10"),
        ("0.3", "0.1", "0.3", "0.3", "0.3"),
    ],
)
def test_rounding_to_a_step(value: str, step: str, down: str, up: str, even: str) -> None:
    v, s = Decimal(value), Decimal(step)
    assert (str(round_down(v, s)), str(round_up(v, s)), str(round_half_even(v, s))) == (down, up, even)


@given(numbers, steps)
def test_rounding_gives_the_nearest_multiples_on_both_sides(value: Decimal, step: Decimal) -> None:
    low, high, near = round_down(value, step), round_up(value, step), round_half_even(value, step)
    v, s = Fraction(value), Fraction(step)
    assert Fraction(low) <= v <= Fraction(high)
    assert v - Fraction(low) < s and Fraction(high) - v < s
    assert (Fraction(low) / s).denominator == 1 and (Fraction(high) / s).denominator == 1
    assert near in (low, high) and abs(Fraction(near) - v) <= s / 2


def test_a_step_must_be_above_zero() -> None:
    with pytest.raises(InvalidNumber, match="above 0"):
        round_down(Decimal(1), Decimal(0))


@given(numbers, numbers)
def test_money_adds_exactly(a: Decimal, b: Decimal) -> None:
    total = Money(a, "USD") + Money(b, "USD")
    assert Fraction(total.amount) == Fraction(a) + Fraction(b)
    assert (total - Money(b, "USD")).amount == a


def test_two_currencies_do_not_add() -> None:
    with pytest.raises(InvalidNumber, match="convert"):
        Money(Decimal(1), "USD") + Money(Decimal(1), "EUR")
    assert str(-Money(Decimal("1.50"), "USD")) == "-1.5 USD"


def test_plain_products_of_large_amounts_keep_all_digits() -> None:
    # apps.ready() widened the context; the default of 28 digits would round here.
    assert Decimal("123456789012345678901234567890.123456789012345678") * 3 == Decimal(
        "370370367037037036703703703670.370370367037037034"
    )
