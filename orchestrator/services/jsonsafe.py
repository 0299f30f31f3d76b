"""Values on their way into a JSON column: one NaN would roll back the whole transaction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

_LONGEST = 4000  # characters of one string


def clean(value: Any) -> Any:
    """`value` with numbers that are none turned into None, decimals and times into strings, long strings cut."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Enum):
        return clean(value.value)
    if isinstance(value, str):
        return value.replace("\x00", "")[:_LONGEST]
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if hasattr(value, "item"):
        return clean(value.item())  # a numpy scalar
    return str(value)[:_LONGEST]
