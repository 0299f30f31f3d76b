"""Plain JSON values that read back exactly as written from both databases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .clock import as_utc
from .money import canonical

_SECRET_WORDS = (
    "password",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "passphrase",
    "authorization",
)
HIDDEN = "***"


def plain(value: Any) -> Any:
    """`value` as str, int, bool, None, list and dict only.

    Decimals and floats become strings (PostgreSQL rewrites 1e5 as 100000, which would break a hash), times
    UTC text, NUL characters are shown as "\\0", and values under keys that name a secret are hidden.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode().replace("\x00", "\\0")
    if isinstance(value, Mapping):
        return {plain(str(key)): HIDDEN if _secret(str(key)) else plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, Decimal):
        return canonical(value) if value.is_finite() else str(value)
    if isinstance(value, datetime):
        return iso(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + " s"
    return plain(str(value))  # type: ignore[no-any-return]


def iso(at: datetime) -> str:
    """`at` as ISO 8601 in UTC ending in "Z"."""
    return as_utc(at).isoformat().replace("+00:00", "Z")


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces, ASCII. Raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _secret(key: str) -> bool:
    lowered = key.lower()
    return any(word in lowered for word in _SECRET_WORDS)
