"""Pure: from facts to findings. No database, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that is not as it should be. `component`, `subject` and `code` identify the episode."""

    component: str
    code: str
    severity: str  # info, warning, critical
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""  # what may be done about it without a person; "" = nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessFact:
    """One heartbeat: which role, how old, how big (MB)."""

    name: str
    role: str
    age_s: float
    host: str = ""
    unanswered_s: float = 0.0  # workers: how long a canary is out and nothing moves
    rss_mb: float = 0.0
    code_version: str = ""
    clock_off_s: float = 0.0  # how far its host's clock is ahead of the database's


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowFact:
    """One active workflow. `overdue_s` is how long ago it should have run; None when nothing is due."""

    slug: str
    consecutive_failures: int = 0
    quarantined_until: datetime | None = None
    overdue_s: float | None = None
    max_interval_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the checks measured. None means it could not be measured."""

    now: datetime
    watched_s: float = math.inf  # how long the watchman has been looking
    database_ms: float | None = None
    processes: Sequence[ProcessFact] = ()
    queue_oldest_s: Mapping[str, float] = field(default_factory=dict)  # lane -> age of the oldest waiting run
    queue_depth: Mapping[str, int] = field(default_factory=dict)
    clock_jump_s: float = 0.0  # wall clock against monotonic since the last check
    disk_free_mb: float | None = None
    ram_ratio: float | None = None
    workflows: Sequence[WorkflowFact] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """When a fact becomes a finding. Seconds, MB, ratios."""

    database_slow_ms: float = 500.0
    beat_late_s: float = 20.0
    start_grace_s: float = 45.0  # of watching: so long, processes that start with the watchman may take
    canary_late_s: float = 45.0
    queue_late_s: float = 45.0
    clock_jump_s: float = 1.0
    clock_off_s: float = 1.0
    disk_warning_mb: float = 1000.0
    disk_critical_mb: float = 200.0
    ram_warning: float = 0.92
    failures_warning: int = 3
    overdue_s: float = 60.0


REQUIRED_ROLES = ("loop", "feed", "workers:trading", "workers:maintenance")


def draw(facts: Facts, limits: Limits = Limits()) -> tuple[Finding, ...]:
    """All findings these facts support, worst first."""
    found = [
        *_database(facts, limits),
        *_processes(facts, limits),
        *_lanes(facts, limits),
        *_clocks(facts, limits),
        *_machine(facts, limits),
        *_workflows(facts, limits),
    ]
    order = {"critical": 0, "warning": 1, "info": 2}
    return tuple(sorted(found, key=lambda f: (order[f.severity], f.component, f.subject, f.code)))


def _database(facts: Facts, limits: Limits) -> Iterable[Finding]:
    if facts.database_ms is not None and facts.database_ms > limits.database_slow_ms:
        detail = {"ms": round(facts.database_ms, 1), "limit_ms": limits.database_slow_ms}
        yield Finding(component="database", code="slow", severity="warning", detail=detail)


def _processes(facts: Facts, limits: Limits) -> Iterable[Finding]:
    is_starting = facts.watched_s < limits.start_grace_s
    for role in REQUIRED_ROLES if not is_starting else ():
        ages = [p.age_s for p in facts.processes if p.role == role]
        component, _, subject = role.partition(":")
        if not ages or min(ages) > limits.beat_late_s:
            detail = {"age_s": round(min(ages), 1) if ages else None, "limit_s": limits.beat_late_s}
            yield Finding(
                component=component, subject=subject, code="missing", severity="critical", detail=detail
            )
        elif component == "workers":
            yield from _silent_hosts(facts, role, limits)
    versions = {p.code_version for p in facts.processes if p.code_version and p.age_s <= limits.beat_late_s}
    if len(versions) > 1:
        yield Finding(
            component="code", code="differs", severity="warning", detail={"versions": len(versions)}
        )


def _silent_hosts(facts: Facts, role: str, limits: Limits) -> Iterable[Finding]:
    """Hosts whose workers of a lane died without a word while those of others go on."""
    newest: dict[str, float] = {}
    for process in facts.processes:
        if process.role == role:
            newest[process.host] = min(process.age_s, newest.get(process.host, math.inf))
    for host, age_s in newest.items():
        if age_s > limits.beat_late_s:
            detail = {"age_s": round(age_s, 1), "limit_s": limits.beat_late_s}
            subject = f"{role.partition(':')[2]}@{host}"
            yield Finding(
                component="workers", subject=subject, code="missing", severity="warning", detail=detail
            )


def _lanes(facts: Facts, limits: Limits) -> Iterable[Finding]:
    for process in facts.processes:
        component, _, lane = process.role.partition(":")
        late = process.unanswered_s > limits.canary_late_s
        if component == "workers" and late and process.age_s <= limits.beat_late_s:
            hosts = {other.host for other in facts.processes if other.role == process.role}
            yield Finding(
                component="workers", subject=lane if len(hosts) == 1 else f"{lane}@{process.host}",
                code="canary_late", severity="critical",
                detail={"age_s": round(process.unanswered_s, 1), "limit_s": limits.canary_late_s},
                remedy="restart_cluster",
            )  # fmt: skip
    for lane, age in facts.queue_oldest_s.items():
        if age > limits.queue_late_s:
            yield Finding(
                component="queue", subject=lane, code="backlog", severity="warning",
                detail={"oldest_s": round(age, 1), "limit_s": limits.queue_late_s,
                        "depth": facts.queue_depth.get(lane, 0)}, remedy="requeue",
            )  # fmt: skip


def _clocks(facts: Facts, limits: Limits) -> Iterable[Finding]:
    """Hosts whose clock disagrees with the database's. All go by the database's; what the host does by itself does not."""
    off: dict[str, float] = {}
    for process in facts.processes:
        if process.age_s <= limits.beat_late_s and abs(process.clock_off_s) > limits.clock_off_s:
            off[process.host] = max(off.get(process.host, 0.0), process.clock_off_s, key=abs)
    for host, seconds in off.items():
        detail = {"off_s": round(seconds, 2), "limit_s": limits.clock_off_s}
        yield Finding(component="clock", subject=host, code="differs", severity="warning", detail=detail)


def _machine(facts: Facts, limits: Limits) -> Iterable[Finding]:
    if abs(facts.clock_jump_s) > limits.clock_jump_s:
        detail = {"jump_s": round(facts.clock_jump_s, 2), "limit_s": limits.clock_jump_s}
        yield Finding(component="clock", code="jumped", severity="warning", detail=detail)
    free = facts.disk_free_mb
    if free is not None and free < limits.disk_warning_mb:
        severity = "critical" if free < limits.disk_critical_mb else "warning"
        detail = {"free_mb": round(free), "limit_mb": limits.disk_warning_mb}
        yield Finding(component="disk", code="low", severity=severity, detail=detail)
    if facts.ram_ratio is not None and facts.ram_ratio > limits.ram_warning:
        detail = {"used": round(facts.ram_ratio, 3), "limit": limits.ram_warning}
        yield Finding(component="memory", code="high", severity="warning", detail=detail)


def _workflows(facts: Facts, limits: Limits) -> Iterable[Finding]:
    for workflow in facts.workflows:
        if workflow.quarantined_until is not None and workflow.quarantined_until > facts.now:
            detail = {
                "until": workflow.quarantined_until.isoformat(),
                "failures": workflow.consecutive_failures,
            }
            yield Finding(
                component="workflow",
                subject=workflow.slug,
                code="quarantined",
                severity="warning",
                detail=detail,
            )
        elif workflow.consecutive_failures >= limits.failures_warning:
            yield Finding(
                component="workflow", subject=workflow.slug, code="failing", severity="warning",
                detail={"failures": workflow.consecutive_failures},
            )  # fmt: skip
        if workflow.overdue_s is not None and workflow.overdue_s > limits.overdue_s + workflow.max_interval_s:
            detail = {"overdue_s": round(workflow.overdue_s)}
            yield Finding(
                component="workflow", subject=workflow.slug, code="overdue", severity="warning", detail=detail
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class HealingBudget:
    """At most `limit` remedies per episode and window, `pause` apart; more is flapping, and a person is asked."""

    limit: int = 3
    window: timedelta = timedelta(minutes=10)
    pause: timedelta = timedelta(seconds=30)

    def allows(self, recent: Sequence[datetime], now: datetime) -> bool:
        return sum(1 for at in recent if now - at <= self.window) < self.limit
