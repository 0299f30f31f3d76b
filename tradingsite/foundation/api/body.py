"""Fields of request bodies that take a value only in its own JSON type: 5 is not a name and "5" is not a number."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tradingsite.foundation.errors import Invalid

from . import params


class Text(serializers.CharField):
    """A JSON string."""

    default_error_messages = {"invalid": "Not a valid string."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """A JSON string out of a list."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Whole(serializers.IntegerField):
    """A JSON number without fraction."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float) or int(data) != data:
            self.fail("invalid")
        return super().to_internal_value(int(data))


@extend_schema_field({"type": "string", "format": "date-time"})
class Instant(serializers.Field[Any, Any, Any, Any]):
    """A JSON string with a time and its zone."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return params.instant(data if isinstance(data, str) else "")
        except Invalid as e:
            raise serializers.ValidationError(e.message) from e

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "object", "additionalProperties": {}})
class JsonObject(serializers.Field[Any, Any, Any, Any]):
    """A JSON object with any values; who uses it checks them."""

    default_error_messages = {"invalid": "Not a JSON object."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value
