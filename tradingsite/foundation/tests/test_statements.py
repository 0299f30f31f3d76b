from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from tradingsite.foundation import statements
from tradingsite.foundation.errors import InvalidNumber
from tradingsite.foundation.statements import Sql

from .rows import Amount, Parcel, ParcelEvent

pytestmark = pytest.mark.django_db


def test_what_is_inserted_is_what_the_orm_reads(at: datetime) -> None:
    parcel = Parcel(weight=3, created_at=at, note="50 % of it")
    statements.insert(parcel)
    event = ParcelEvent(
        parcel=parcel, event="send", from_status="new", to_status="sent", at=at, detail={"a": [1, None]}
    )
    statements.insert(event)
    stored = ParcelEvent.objects.select_related("parcel").get(pk=event.pk)
    assert (stored.parcel.weight, stored.parcel.created_at, stored.parcel.note) == (3, at, "50 % of it")
    assert (stored.at, stored.detail) == (at, {"a": [1, None]})


def test_what_the_orm_wrote_is_read_as_the_orm_reads_it(at: datetime) -> None:
    amount = Amount.objects.create(name="x", value=Decimal("0.100000000000000001"), small=Decimal("1.50"))
    parcel = Parcel.objects.create(created_at=at)
    made = ParcelEvent.objects.create(
        parcel=parcel, event="e", from_status="a", to_status="b", at=at, detail={"k": 1}
    )
    (read,) = statements.instances(Amount, "WHERE id = %s", (amount.pk,))
    assert (read, read.value, read.small) == (amount, Decimal("0.100000000000000001"), Decimal("1.5"))
    tail = "FROM foundation_tests_parcelevent a JOIN foundation_tests_parcel b ON b.id = a.parcel_id"
    ((event, joined),) = statements.pairs(ParcelEvent, Parcel, tail)
    assert (event, event.at, event.detail) == (made, at, {"k": 1}) and (joined, joined.created_at) == (
        parcel,
        at,
    )
    names = ("pk", "created_at", "note")
    before = statements.time_param(datetime(2100, 1, 1, tzinfo=UTC))
    assert statements.values(Parcel, names, "WHERE created_at < %s", (before,)) == [(parcel.pk, at, "")]


def test_a_time_the_driver_gives_has_a_zone(at: datetime) -> None:
    Parcel.objects.create(created_at=at)
    ((plain,),) = statements.rows("SELECT created_at FROM foundation_tests_parcel")
    ((computed,),) = statements.rows("SELECT MAX(created_at) FROM foundation_tests_parcel")
    assert statements.as_time(plain) == at == statements.as_time(computed)
    assert statements.as_time(None) is None


def test_an_update_changes_only_the_rows_that_match(at: datetime) -> None:
    first, second = Parcel.objects.create(weight=1), Parcel.objects.create(weight=2)
    assert statements.update(Parcel, {"note": "a", "created_at": at}, {"weight": 1}) == 1
    assert statements.update(Parcel, {"note": "b"}, {"pk": second.pk, "weight": 1}) == 0
    light = Sql("weight < %s", (2,))
    assert (
        statements.update(Parcel, {"weight": Sql("weight + %s", (10,))}, {"status": "new"}, also=light) == 1
    )
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.weight, first.note, first.created_at, second.weight, second.note) == (11, "a", at, 2, "")
    changed = statements.update_returning(Parcel, {"status": "sent"}, {"weight": 11}, "id, weight")
    assert [tuple(row) for row in changed] == [(first.pk, 11)]


def test_keys_come_in_the_order_of_the_rows_also_over_several_statements() -> None:
    keys = statements.insert_many(Parcel, [Parcel(weight=n) for n in range(500)])
    assert [Parcel.objects.in_bulk()[key].weight for key in keys] == list(range(500))


def test_a_broken_constraint_is_an_integrity_error() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        statements.insert(Amount(small=Decimal(-1)))


def test_an_exact_decimal_refuses_a_float_here_too() -> None:
    with pytest.raises(InvalidNumber):
        statements.update(Amount, {"value": 0.1}, {"pk": 1})
    with pytest.raises(InvalidNumber):
        statements.insert(Amount(value=0.1))
