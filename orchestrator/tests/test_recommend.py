"""Advice appears with enough evidence, disappears when one fact differs, and names its numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.engine.types import Bounds
from orchestrator.recommend import Recommendation, Subject, gather, recommend, wilson
from tradingsite.foundation.numbers_text import NBSP

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SUBJECT = Subject(
    slug="toy",
    name="Toy",
    asset_type="toys",
    bounds=Bounds(min_s=120, base_s=300, max_s=900),
    type_bounds=Bounds(min_s=60, base_s=300, max_s=1800),
)


def decision(age_h: float, volatility: float | None = 0.4, gate: str = "", **terms: float) -> dict[str, Any]:
    factors = [{"code": "volatility", "value": volatility, "threshold": 0.8, "contribution": 0.0}]
    factors += [
        {"code": code, "value": 1.0, "threshold": None, "contribution": size} for code, size in terms.items()
    ]
    return {
        "decided_at": NOW - timedelta(hours=age_h),
        "factors": factors,
        "gates": [{"code": gate, "value": None, "limit": None}] if gate else [],
    }


def week(**extra: Any) -> list[dict[str, Any]]:
    """A decision every four hours for eight days."""
    return [decision(4.0 * index, **extra) for index in range(49)]


def runs(count: int, *, changed: int = 0, failed: int = 0, seconds: float = 5.0) -> list[dict[str, Any]]:
    return [
        {
            "status": "failed" if index < failed else "succeeded",
            "changed": index < changed,
            "error_code": "venue_timeout" if index < failed else "",
            "started_at": NOW - timedelta(hours=index),
            "finished_at": NOW - timedelta(hours=index) + timedelta(seconds=seconds),
        }
        for index in range(count)
    ]


def codes(found: tuple[Recommendation, ...]) -> list[str]:
    return [item.code for item in found]


def advise(decisions: list[Any], done: list[Any], subject: Subject = SUBJECT) -> tuple[Recommendation, ...]:
    return recommend(subject, decisions=decisions, runs=done, now=NOW)


def test_a_week_under_the_threshold_suggests_a_longer_base_interval() -> None:
    (item,) = advise(week(), runs(30, changed=2))
    assert item.code == "calm_market"
    assert item.change is not None
    assert (item.change.setting, item.change.before, item.change.after) == ("base_interval_s", 300, 450)
    assert item.evidence_n == 49
    assert item.text == (
        "Volatility stayed under 0.80 for 8 days (highest 0.40, n = 49 decisions). "
        f"Consider a base interval of 7{NBSP}min 30{NBSP}s (now 5{NBSP}min)."
    )


@pytest.mark.parametrize(
    ("decisions", "done", "subject"),
    [
        (week()[:40], runs(30), SUBJECT),  # less than a week
        ([*week(), decision(30.0, 0.9)], runs(30, changed=10), SUBJECT),  # it was hot once
        (week(), runs(30, changed=10), SUBJECT),  # calm, but runs find something to do
        (week(volatility=None), runs(30, changed=10), SUBJECT),  # nothing known
        (week(), runs(5), replace(SUBJECT, bounds=Bounds(min_s=120, base_s=900, max_s=900))),  # no room
    ],
)
def test_a_calm_market_is_not_claimed_when_one_fact_differs(
    decisions: list[Any], done: list[Any], subject: Any
) -> None:
    assert "calm_market" not in codes(advise(decisions, done, subject))


def test_runs_that_change_nothing_suggest_a_longer_base_interval() -> None:
    assert codes(advise([], runs(60, changed=1))) == ["runs_change_nothing"]
    assert codes(advise([], runs(60, changed=8))) == []
    assert codes(advise([], runs(15, changed=0))) == []  # too few


def test_a_low_success_rate_names_the_most_frequent_error_and_comes_first() -> None:
    found = advise(week(), runs(50, failed=10))
    assert codes(found) == ["low_success", "calm_market"]
    assert found[0].severity == "warning"
    assert found[0].text == (
        "80 % of the runs succeeded (n = 50); the most frequent error is venue_timeout. Look at the failed runs first."
    )
    assert "low_success" not in codes(advise([], runs(19, failed=10)))
    assert "low_success" not in codes(advise([], runs(50, failed=2)))


def test_shares_are_of_time_and_not_of_decisions() -> None:
    # Two decisions, one of which was in force for nine of ten hours.
    facts = gather(decisions=[decision(10.0, gate="data_stale"), decision(1.0)], runs=[], now=NOW)
    assert facts.stale_share == pytest.approx(0.9)
    assert facts.span == timedelta(hours=10)


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ({"gate": "data_stale"}, "stale_data"),
        ({"gate": "quota"}, "request_budget"),
        ({"load": 0.3}, "busy_machine"),
        ({"bounds": 0.3}, "held_at_minimum"),
    ],
)
def test_what_holds_a_workflow_back_is_named(extra: dict[str, Any], code: str) -> None:
    assert code in codes(advise(week(**extra), runs(30, changed=20)))
    assert code not in codes(advise(week(), runs(30, changed=20)))


def test_the_minimum_is_never_suggested_below_what_the_type_allows() -> None:
    tight = replace(SUBJECT, bounds=Bounds(min_s=60, base_s=300, max_s=900))
    assert "held_at_minimum" not in codes(advise(week(bounds=0.5), [], tight))
    (item,) = [i for i in advise(week(bounds=0.5), runs(30, changed=20)) if i.code == "held_at_minimum"]
    assert item.change is not None
    assert item.change.after == 60


def test_slow_runs_and_late_runs_are_named() -> None:
    assert "slow_runs" in codes(advise([], runs(30, changed=20, seconds=61)))
    assert "slow_runs" not in codes(advise([], runs(30, changed=20, seconds=59)))
    late = [{"status": "skipped", "skip_reason": "too_late"}] * 3
    assert "started_too_late" in codes(advise([], runs(30, changed=20) + late))
    assert "started_too_late" not in codes(advise([], runs(30, changed=20) + late[:2]))


def test_nothing_is_said_without_history() -> None:
    assert advise([], []) == ()


def test_every_advice_reads_without_holes() -> None:
    late = [{"status": "skipped", "skip_reason": "too_late"}] * 9
    found = [
        *advise(week(gate="data_stale", load=0.5, bounds=0.5), runs(50, failed=20, seconds=100) + late),
        *advise(week(gate="quota"), runs(50)),
        *advise([], runs(60)),
    ]
    assert len({item.code for item in found}) == 9
    for item in found:
        assert item.title != item.code
        assert "%" not in item.text.replace(" %", "")
        assert "None" not in item.text


def test_wilson_by_hand() -> None:
    # 10 of 20, z = 1.645: middle 0.5, half 1.645 * sqrt(0.0125 + 0.00169125) / 1.1353 = 0.17261
    low, high = wilson(10, 20)
    assert (low, high) == pytest.approx((0.3274, 0.6726), abs=2e-4)
    assert wilson(0, 0) == (0.0, 1.0)
