"""Instants and days as people type them on a command line or in a query string."""

from __future__ import annotations

from datetime import UTC, datetime

from tradingsite.foundation.errors import Invalid


def parse_instant(text: str, *, field: str) -> datetime:
    """ISO 8601 day or instant; without a zone it is UTC. Raises Invalid naming the field and the value."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        detail = (
            f"{field} must be an ISO 8601 date or time such as 2021-04-12 or 2021-04-12T14:30Z, was {text!r}."
        )
        raise Invalid(
            detail, errors=[{"pointer": f"#/{field}", "code": "not_a_time", "detail": detail}]
        ) from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
