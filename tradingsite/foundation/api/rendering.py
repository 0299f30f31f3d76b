"""Strict JSON in and out.

Out: decimals as canonical strings, times as UTC text ending in "Z", durations in seconds; NaN raises
ValueError instead of producing something that is not JSON. In: no NaN, no NUL characters, no lone surrogates,
no absurd nesting: such text cannot be stored and would fail deep inside.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from tradingsite.foundation.jsonable import iso
from tradingsite.foundation.money import canonical

_DEEPEST = 50


class ApiEncoder(JSONEncoder):
    """Values that JSON does not know."""

    def default(self, obj: Any) -> Any:
        if isinstance(obj, Decimal):
            return canonical(obj)
        if isinstance(obj, datetime):
            return iso(obj)
        if isinstance(obj, timedelta):
            return obj.total_seconds()
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}
        return super().default(obj)


class ApiRenderer(JSONRenderer):
    """application/json, strict."""

    encoder_class = ApiEncoder
    strict = True
    charset = None


class ProblemRenderer(ApiRenderer):
    """application/problem+json."""

    media_type = "application/problem+json"
    format = "problem"


class ApiParser(JSONParser):
    """application/json, strict."""

    renderer_class = ApiRenderer
    strict = True

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            data = super().parse(stream, media_type, parser_context)
            _check(data, _DEEPEST)
        except RecursionError as e:
            raise ParseError("The JSON is nested too deeply.") from e
        return data


def storable(text: str) -> bool:
    """Whether both databases can store `text`."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise ParseError("The JSON is nested too deeply.")
    if isinstance(value, str):
        if not storable(value):
            raise ParseError("Text must not contain NUL characters or lone surrogates.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth - 1)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
