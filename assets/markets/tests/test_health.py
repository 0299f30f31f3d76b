"""What the markets tell the health monitor: one finding per asset type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import translation

from assets.markets import health
from assets.markets.selectors import pages
from orchestrator.models import ProcessBeat
from tradingsite.foundation import alerts
from tradingsite.foundation.models import Alert

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


@pytest.mark.django_db
def test_fresh_late_and_closed_markets_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("A", "x", "fresh"), Row("B", "x", "late"), Row("C", "y", "closed")]
    assert found(monkeypatch, *rows) == []


@pytest.mark.django_db
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


STALE = [Row("A", "x", "stale"), Row("B", "y", "missing", None)]


def start(role: str, ago_s: float) -> None:
    ProcessBeat.objects.create(
        name=f"{role}@here:{ago_s}",
        role=role,
        host="here",
        pid=1,
        beat_at=NOW,
        started_at=NOW - timedelta(seconds=ago_s),
    )


@pytest.mark.django_db
def test_a_start_has_a_minute_to_fetch_what_happened_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    start("loop", 20)
    assert found(monkeypatch, *STALE) == []  # the feed has not even beaten yet
    start("feed", 5)
    assert found(monkeypatch, *STALE) == []


@pytest.mark.django_db
@pytest.mark.parametrize(("loop", "feed"), [(61, 61), (3600, 5)])
def test_the_grace_ends_and_a_feed_that_keeps_falling_has_none(
    monkeypatch: pytest.MonkeyPatch, loop: float, feed: float
) -> None:
    start("loop", loop)
    start("feed", feed)
    assert found(monkeypatch, *STALE) == [("x", "critical", 1), ("y", "critical", 1)]


@pytest.mark.django_db
def test_the_alert_names_the_asset_as_people_do() -> None:
    alert = Alert(
        code="health-market_data-stale", subject="meme_coins", params={"count": 1, "of": 3, "symbols": "A"}
    )
    with translation.override("en"):
        assert alerts.title(alert) == "Prices of Meme coins are too old"
