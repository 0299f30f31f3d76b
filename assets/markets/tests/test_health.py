"""What the markets tell the health monitor: one finding per asset type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from assets.markets import health
from assets.markets.selectors import pages

NOW = datetime(2024, 5, 14, 12, 0, tzinfo=UTC)


@dataclass
class Row:
    symbol: str
    asset_type: str
    freshness: str
    age_s: float | None = 300.0


def found(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> list[tuple[str, str, object]]:
    monkeypatch.setattr(pages, "instruments", lambda now: rows)
    return [(f.subject, f.severity, f.detail["count"]) for f in health.data_is_fresh(NOW)]


def test_fresh_late_and_closed_markets_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("A", "x", "fresh"), Row("B", "x", "late"), Row("C", "y", "closed")]
    assert found(monkeypatch, *rows) == []


def test_some_stale_instruments_are_a_warning_and_all_of_them_critical(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        Row("A", "x", "stale"),
        Row("B", "x", "fresh"),
        Row("C", "y", "missing", None),
        Row("D", "y", "stale"),
    ]
    assert found(monkeypatch, *rows) == [("x", "warning", 1), ("y", "critical", 2)]
