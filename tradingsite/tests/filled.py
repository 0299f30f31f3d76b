"""What the fixture `filled` fills a database with, and addresses of rows that exist in it."""

from __future__ import annotations

import re
from typing import Any, Final

CANDLES, TRADES, DECISIONS = 2_000, 120, 400

_CONVERTER: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_OWNERS: Final = {
    "workflows": "workflow",
    "runs": "run",
    "decisions": "decision",
    "orders": "order",
    "instruments": "instrument",
}


def address(route: str, made: Any) -> str:
    """The route with keys of rows that exist."""
    owner = next((name for word, name in _OWNERS.items() if f"{word}/<" in route), "workflow")
    values = {"pk": getattr(made, owner), "asset_type": made.asset_type, "slug": made.asset_type}
    return "/" + _CONVERTER.sub(lambda match: str(values.get(match[1], "x")), route)
