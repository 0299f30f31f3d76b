"""From facts to findings: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.health.findings import (
    REQUIRED_ROLES,
    Facts,
    HealingBudget,
    ProcessFact,
    WorkflowFact,
    draw,
)

NOW = datetime(2024, 5, 14, 12, 0, tzinfo=UTC)
HEALTHY = tuple(ProcessFact(name=role, role=role, age_s=2.0, code_version="a") for role in REQUIRED_ROLES)


def facts(**values: Any) -> Facts:
    healthy: dict[str, Any] = {
        "now": NOW, "database_ms": 1.0, "processes": HEALTHY,
        "disk_free_mb": 50_000.0, "ram_ratio": 0.4, "workflows": (WorkflowFact(slug="a", max_interval_s=60.0),),
    }  # fmt: skip
    return Facts(**(healthy | values))


def codes(**values: Any) -> set[tuple[str, str, str, str]]:
    return {(f.component, f.subject, f.code, f.severity) for f in draw(facts(**values))}


def without(role: str) -> tuple[ProcessFact, ...]:
    return tuple(p for p in HEALTHY if p.role != role)


def on_two_hosts(age_s: float) -> tuple[ProcessFact, ...]:
    """Workers of both lanes on a and on b; those of b were last heard `age_s` ago."""
    mine = tuple(replace(p, host="a") for p in HEALTHY)
    others = (replace(p, host="b", age_s=age_s) for p in mine if p.role.startswith("workers"))
    return (*mine, *others)


def test_a_second_host_whose_workers_died_is_found_although_the_first_works() -> None:
    assert draw(facts(processes=on_two_hosts(2.0))) == ()
    assert codes(processes=on_two_hosts(21.0)) == {
        ("workers", "trading@b", "missing", "warning"),
        ("workers", "maintenance@b", "missing", "warning"),
    }


def test_an_old_process_of_a_host_that_has_a_newer_one_is_no_finding() -> None:
    restarted = tuple(replace(p, age_s=60.0) for p in on_two_hosts(2.0) if p.host == "b")
    assert draw(facts(processes=(*on_two_hosts(2.0), *restarted))) == ()


def test_a_late_canary_names_its_host_when_there_are_several() -> None:
    processes = tuple(
        replace(p, unanswered_s=46.0) if (p.role, p.host) == ("workers:trading", "b") else p
        for p in on_two_hosts(2.0)
    )
    assert codes(processes=processes) == {("workers", "trading@b", "canary_late", "critical")}


def test_a_healthy_system_has_no_findings() -> None:
    assert draw(facts()) == ()


def unanswered(seconds: float) -> tuple[ProcessFact, ...]:
    return tuple(replace(p, unanswered_s=seconds) if p.role == "workers:trading" else p for p in HEALTHY)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"database_ms": 501.0}, ("database", "", "slow", "warning")),
        ({"processes": without("loop")}, ("loop", "", "missing", "critical")),
        ({"processes": without("feed")}, ("feed", "", "missing", "critical")),
        ({"processes": without("workers:trading")}, ("workers", "trading", "missing", "critical")),
        ({"processes": unanswered(45.1)}, ("workers", "trading", "canary_late", "critical")),
        ({"queue_oldest_s": {"trading": 46.0}}, ("queue", "trading", "backlog", "warning")),
        ({"clock_jump_s": -3600.0}, ("clock", "", "jumped", "warning")),
        (
            {"processes": (*HEALTHY, ProcessFact(name="w", role="loop", age_s=1.0, host="b", clock_off_s=-1.1))},
            ("clock", "b", "differs", "warning"),
        ),
        ({"disk_free_mb": 999.0}, ("disk", "", "low", "warning")),
        ({"disk_free_mb": 199.0}, ("disk", "", "low", "critical")),
        ({"ram_ratio": 0.93}, ("memory", "", "high", "warning")),
        ({"workflows": (WorkflowFact(slug="a", consecutive_failures=3),)}, ("workflow", "a", "failing", "warning")),
        (
            {"workflows": (WorkflowFact(slug="a", consecutive_failures=3, quarantined_until=NOW + timedelta(seconds=1)),)},
            ("workflow", "a", "quarantined", "warning"),
        ),
        ({"workflows": (WorkflowFact(slug="a", overdue_s=121.0, max_interval_s=60.0),)}, ("workflow", "a", "overdue", "warning")),
        (
            {"processes": (*HEALTHY, ProcessFact(name="old", role="loop", age_s=1.0, code_version="b"))},
            ("code", "", "differs", "warning"),
        ),
    ],
    ids=lambda value: "-".join(part for part in value if part) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_fact_beyond_its_limit_is_a_finding(
    change: dict[str, Any], found: tuple[str, str, str, str]
) -> None:
    assert codes(**change) == {found}


@pytest.mark.parametrize(
    "change",
    [
        {"database_ms": 500.0},
        {"database_ms": None},
        {"processes": unanswered(45.0)},
        {"queue_oldest_s": {"trading": 45.0}},
        {"clock_jump_s": 1.0},
        {"processes": (*HEALTHY, ProcessFact(name="w", role="loop", age_s=1.0, host="b", clock_off_s=1.0))},
        {"disk_free_mb": 1000.0},
        {"disk_free_mb": None},
        {"ram_ratio": 0.92},
        {"workflows": (WorkflowFact(slug="a", consecutive_failures=2),)},
        {"workflows": (WorkflowFact(slug="a", overdue_s=120.0, max_interval_s=60.0),)},
        {"workflows": (WorkflowFact(slug="a", quarantined_until=NOW),)},
    ],
    ids=str,
)
def test_a_fact_at_its_limit_is_none(change: dict[str, Any]) -> None:
    assert codes(**change) == set()


def test_a_host_whose_clock_differs_is_one_finding_with_the_worst_that_was_seen() -> None:
    off = [(1.5, 1.0), (-7.25, 2.0), (90.0, 400.0)]  # the last beat long ago: history
    processes = [
        ProcessFact(name=f"w{i}", role="web", age_s=age, host="b", clock_off_s=seconds)
        for i, (seconds, age) in enumerate(off)
    ]
    (found,) = draw(facts(processes=(*HEALTHY, *processes)))
    assert (found.subject, found.detail["off_s"]) == ("b", -7.25)


def test_what_a_silent_cluster_said_last_is_not_said_again() -> None:
    silent = tuple(replace(p, age_s=21.0) if p.unanswered_s else p for p in unanswered(100.0))
    assert codes(processes=silent) == {("workers", "trading", "missing", "critical")}


def test_a_silent_process_does_not_hide_a_living_one_of_the_same_role() -> None:
    silent = ProcessFact(name="loop@old", role="loop", age_s=400.0, code_version="old")
    assert codes(processes=(*HEALTHY, silent)) == set()


def test_the_worst_comes_first_and_only_two_remedies_exist() -> None:
    processes = tuple(p for p in unanswered(99.0) if p.role != "loop")
    found = draw(facts(ram_ratio=0.99, processes=processes, queue_oldest_s={"trading": 99.0}))
    assert [f.severity for f in found] == ["critical", "critical", "warning", "warning"]
    assert {f.remedy for f in found} == {"", "restart_cluster", "requeue"}


def test_a_budget_allows_three_in_ten_minutes() -> None:
    budget = HealingBudget()
    times = [NOW - timedelta(minutes=m) for m in (9, 5, 1)]
    assert not budget.allows(times, NOW)
    assert budget.allows(times[1:], NOW)
    assert budget.allows([NOW - timedelta(minutes=10, seconds=1), *times[1:]], NOW)


def test_processes_that_start_with_the_watchman_get_a_moment() -> None:
    assert codes(processes=(), watched_s=44.0) == set()
    assert len(codes(processes=(), watched_s=45.0)) == len(REQUIRED_ROLES)
    assert codes(processes=(), watched_s=0.0, disk_free_mb=1.0) == {("disk", "", "low", "critical")}
