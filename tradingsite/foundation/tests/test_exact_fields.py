from __future__ import annotations

import sqlite3
from decimal import Decimal

import pytest
from django.core.exceptions import FieldError, ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Max, Min, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tradingsite.foundation.errors import InvalidNumber
from tradingsite.foundation.fields import ExactAdd, ExactMultiply, ExactSubtract, ExactSum, register_sqlite
from tradingsite.foundation.money import EXACT, canonical

from .rows import Amount

largest = Decimal("9" * 30 + "." + "9" * 18)
amounts = st.decimals(
    min_value=-largest, max_value=largest, places=18, allow_nan=False, allow_infinity=False
) | st.integers(-(10**30) + 1, 10**30 - 1).map(Decimal)


def save(*values: str | Decimal | None) -> None:
    Amount.objects.bulk_create([Amount(value=value) for value in values])


class StoredEqualsRead(TestCase):
    """30 integer and 18 fraction digits survive the database (a float keeps 15)."""

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(amounts)
    def test_a_stored_number_is_read_back_exactly(self, value: Decimal) -> None:
        pk = Amount.objects.create(value=value).pk
        read = Amount.objects.values_list("value", flat=True).get(pk=pk)
        self.assertEqual(read, value)
        self.assertEqual(canonical(read), canonical(value))
        self.assertEqual(read.as_tuple(), Decimal(canonical(value)).as_tuple())
        self.assertTrue(Amount.objects.filter(pk=pk, value=value).exists())

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(amounts, min_size=1, max_size=12))
    def test_sum_order_and_range_agree_with_decimals(self, values: list[Decimal]) -> None:
        Amount.objects.all().delete()
        save(*values)
        total = Decimal(0)
        for value in values:
            total = EXACT.add(total, value)
        self.assertEqual(Amount.objects.aggregate(t=ExactSum("value"))["t"], total)
        self.assertEqual(
            list(Amount.objects.order_by("value").values_list("value", flat=True)), sorted(values)
        )
        self.assertEqual(
            Amount.objects.filter(value__gt=values[0]).count(), sum(v > values[0] for v in values)
        )
        ends = Amount.objects.aggregate(low=Min("value"), high=Max("value"))
        self.assertEqual((ends["low"], ends["high"]), (min(values), max(values)))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("1.500", "1.5"),
        ("-0", "0"),
        ("1E+5", "100000"),
        ("-0.10", "-0.1"),
        (7, "7"),
        ("0.000000000000000001", "0.000000000000000001"),
    ],
)
def test_the_stored_text_is_canonical(given_: object, text: str) -> None:
    row = Amount.objects.create(value=given_)
    assert canonical(Amount.objects.get(pk=row.pk).value) == text
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT typeof(value), value FROM foundation_tests_amount WHERE id = %s", [row.pk])
            assert cursor.fetchone() == ("text", text)


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [float("nan"), 1.5, "NaN", "Infinity", Decimal("-Infinity"), True, "ten"])
def test_floats_and_non_numbers_are_refused_before_the_database(wrong: object) -> None:
    with pytest.raises(InvalidNumber), transaction.atomic():
        Amount.objects.create(value=wrong)
    with pytest.raises(ValidationError):
        Amount(value=wrong).full_clean()
    assert not Amount.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["10000", "-10000.5", "1.001"])
def test_more_digits_than_declared_are_refused_not_rounded(wrong: str) -> None:
    with pytest.raises(InvalidNumber, match="digits"), transaction.atomic():
        Amount.objects.create(small=wrong)
    Amount.objects.create(small="9999.99")


@pytest.mark.django_db
def test_a_check_constraint_compares_by_value() -> None:
    Amount.objects.create(small="0")
    with pytest.raises(IntegrityError), transaction.atomic():
        Amount.objects.create(small="-0.01")
    assert Amount.objects.count() == 1


@pytest.mark.django_db
def test_the_database_refuses_text_that_is_no_number() -> None:
    wrong = "'NaN'" if connection.vendor == "postgresql" else "'1e5'"
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO foundation_tests_amount (name, value, other, small) VALUES ('', {wrong}, '0', '0')"
        )


@pytest.mark.django_db
def test_ranges_compare_by_value_not_by_text() -> None:
    save("9", "10", "-2", "-10", "100.5", None)
    found = Amount.objects.order_by("value").filter
    assert [str(a.value) for a in found(value__gt=9)] == ["10", "100.5"]
    assert [str(a.value) for a in found(value__lte="-2")] == ["-10", "-2"]
    assert [str(a.value) for a in found(value__range=("-2", "10"))] == ["-2", "9", "10"]
    assert [str(a.value) for a in found(value__in=["9.0", 10])] == ["9", "10"]
    assert found(value__isnull=True).count() == 1
    assert found(value__gt=F("other")).count() == 3


@pytest.mark.django_db
def test_sums_group_filter_and_default() -> None:
    Amount.objects.create(name="a", value="0.1")
    Amount.objects.create(name="a", value="0.2")
    Amount.objects.create(name="b", value="99999999999999999999.000000000000000001")
    Amount.objects.create(name="b", value="-99999999999999999999.000000000000000001")
    groups = Amount.objects.values("name").annotate(total=ExactSum("value")).order_by("name")
    assert [(g["name"], str(g["total"])) for g in groups] == [("a", "0.3"), ("b", "0")]
    assert [g["name"] for g in groups.filter(total__gt=Decimal("0.2"))] == ["a"]
    Amount.objects.create(name="d", value="10")
    # As text "10" is below "9".
    assert [g["name"] for g in groups.filter(total__gt=Decimal(9))] == ["d"]
    assert [g["name"] for g in groups.filter(total__range=(Decimal(9), Decimal(11)))] == ["d"]
    none = Amount.objects.filter(name="c")
    assert none.aggregate(t=ExactSum("value"))["t"] is None
    assert none.aggregate(t=ExactSum("value", default=Decimal(0)))["t"] == 0


@pytest.mark.django_db
def test_arithmetic_in_an_update_is_exact() -> None:
    row = Amount.objects.create(value="0.1", other="123456789012345678901234567890.1")
    Amount.objects.filter(pk=row.pk).update(
        value=ExactAdd("value", Decimal("0.2")), other=ExactSubtract("other", "value")
    )
    row.refresh_from_db()
    # Both sides of an UPDATE read the old values.
    assert (str(row.value), str(row.other)) == ("0.3", "123456789012345678901234567890")
    product = Amount.objects.annotate(p=ExactMultiply("value", Decimal("1.5"))).get(pk=row.pk).p
    assert str(product) == "0.45"


@pytest.mark.django_db
def test_float_arithmetic_on_sqlite_is_refused() -> None:
    row = Amount.objects.create(value="0.1")
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL adds numerics exactly")
    with pytest.raises(FieldError, match="ExactAdd"), transaction.atomic():
        Amount.objects.filter(pk=row.pk).update(value=F("value") + Decimal("0.2"))
    with pytest.raises(Exception, match="float"):
        list(Amount.objects.aggregate(t=Sum("value")).values())


def test_a_sqlite_connection_without_the_functions_fails_closed() -> None:
    raw = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="decimal_sum"):
        raw.execute("SELECT decimal_sum('1')")
    register_sqlite(raw)
    assert raw.execute("SELECT decimal_sum(v) FROM (SELECT '0.1' v UNION ALL SELECT '0.2')").fetchone() == (
        "0.3",
    )
    with pytest.raises(sqlite3.OperationalError):
        raw.execute("SELECT decimal_sum(0.1)").fetchone()


def test_the_sum_works_inside_a_trigger() -> None:
    raw = sqlite3.connect(":memory:")
    register_sqlite(raw)
    raw.executescript(
        """CREATE TABLE line (journal int, amount text);
        CREATE TABLE journal (id int, posted int);
        CREATE TRIGGER balanced BEFORE UPDATE OF posted ON journal
        WHEN (SELECT decimal_cmp(decimal_sum(amount), '0') <> 0 FROM line WHERE journal = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'unbalanced'); END;
        INSERT INTO journal VALUES (1, 0), (2, 0);
        INSERT INTO line VALUES (1, '0.1'), (1, '0.2'), (1, '-0.3'), (2, '0.1'), (2, '-0.099999999999999999');"""
    )
    raw.execute("UPDATE journal SET posted = 1 WHERE id = 1")
    with pytest.raises(sqlite3.IntegrityError, match="unbalanced"):
        raw.execute("UPDATE journal SET posted = 1 WHERE id = 2")


def test_a_running_total_over_a_window_is_exact() -> None:
    raw = sqlite3.connect(":memory:")
    register_sqlite(raw)
    rows = raw.execute(
        "WITH t(i, v) AS (VALUES (1, '0.1'), (2, '0.2'), (3, '-0.3')) "
        "SELECT decimal_sum(v) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t"
    )
    assert [value for (value,) in rows] == ["0.1", "0.3", "-0.1"]
