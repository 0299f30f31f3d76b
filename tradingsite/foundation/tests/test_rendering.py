from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.utils.translation import gettext_lazy

from tradingsite.foundation import errors, jsonable
from tradingsite.foundation.api import problem
from tradingsite.foundation.api.etag import etag_of
from tradingsite.foundation.api.rendering import ApiRenderer
from tradingsite.foundation.money import Money

NAIVE = datetime.fromisoformat("2024-01-01")


@dataclass(frozen=True, slots=True)
class Row:
    price: Decimal
    note: Any


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), b'"1000"'),
        (Decimal("0.000000000000000001"), b'"0.000000000000000001"'),
        (Decimal("-0.0"), b'"0"'),
        (
            datetime(2024, 1, 1, 2, 30, 0, 5, tzinfo=timezone(timedelta(hours=2))),
            b'"2024-01-01T00:30:00.000005Z"',
        ),
        (timedelta(minutes=1.5), b"90.0"),
        (date(2024, 1, 1), b'"2024-01-01"'),
        (Money(Decimal("1.50"), "USD"), b'{"amount":"1.5","currency":"USD"}'),
        (Row(Decimal(1), gettext_lazy("Not found")), b'{"price":"1","note":"Not found"}'),
    ],
)
def test_values_have_one_json_form(value: Any, text: bytes) -> None:
    assert ApiRenderer().render(value) == text


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        {"a": [Decimal("Infinity")]},
        NAIVE,
        object(),
    ],
)
def test_what_json_cannot_say_raises(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        ApiRenderer().render(value)


def test_an_etag_depends_on_the_content_only() -> None:
    assert etag_of({"a": Decimal("1.0")}) == etag_of({"a": Decimal("1")}) != etag_of({"a": Decimal("2")})


def test_plain_values_survive_both_databases() -> None:
    value = {"f": 1e5, "d": timedelta(seconds=1.5), "s": {2, 1}, 3: (None, True), "Authorization": "Token x"}
    assert jsonable.plain(value) == {
        "f": "100000.0",
        "d": "1.5 s",
        "s": [1, 2],
        "3": [None, True],
        "Authorization": "***",
    }
    with pytest.raises(ValueError, match="JSON"):
        jsonable.canonical_json(float("nan"))


def all_errors() -> list[type[errors.DomainError]]:
    found, todo = [], [errors.DomainError]
    while todo:
        todo += (subclasses := todo.pop().__subclasses__())
        found += subclasses
    return [cls for cls in found if cls.__module__.startswith("tradingsite.foundation")]


@pytest.mark.parametrize("cls", all_errors(), ids=lambda cls: cls.__name__)
def test_every_domain_error_has_a_code_a_status_a_title_and_advice(cls: type[errors.DomainError]) -> None:
    values = {"retry_after_s": 5} if issubclass(cls, errors.RateLimited) else {}
    error = cls("A sentence.", **values, limit="3")
    assert (error.message, str(error), error.detail) == ("A sentence.", "A sentence.", {"limit": "3"})
    assert 400 <= error.status < 600 and error.exit_code in {1, 2, 4, 5, 6, 75}
    described = problem.describe(error)
    assert (described.status, described.code) == (error.status, cls.default_code)
    assert error.code in problem.TITLES and cls.__doc__


def test_a_code_of_another_app_gets_its_own_title() -> None:
    problem.register_title("too-funny", "Too funny")
    assert (
        problem.document(problem.describe(errors.Conflict("x", code="too-funny")), "/")["title"]
        == "Too funny"
    )
    assert (
        problem.document(problem.describe(errors.Conflict("x", code="unheard-of")), "/")["title"]
        == "Conflict with the current state"
    )
    del problem.TITLES["too-funny"]
