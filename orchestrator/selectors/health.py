"""Health as the API shows it: components, findings, processes, queue, and what was done by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from orchestrator.health.findings import REQUIRED_ROLES
from orchestrator.models import HealthEvent
from orchestrator.selectors import pages_health
from orchestrator.selectors.pages import Beat, beats
from orchestrator.selectors.status import LeaderState, leader
from tradingsite.foundation.api.shapes import OneOf

HISTORY: Final = 50
_WORSE: Final = {"ok": 0, "off": 0, "info": 0, "warning": 1, "critical": 2, "missing": 3}
Severity = Annotated[str, OneOf(*HealthEvent.Severity.values)]
State = Annotated[str, OneOf("ok", "warning", "critical", "missing", "off")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentItem:
    """One part of the system and the worst that is known of it. `missing`: required and silent; `off`: never seen."""

    name: str
    state: State
    findings: Annotated[list[str], "codes of its open findings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FindingItem:
    """A finding from its opening to its closing, with what was done about it."""

    id: int
    component: str
    subject: str
    code: str
    severity: Severity
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    detail: dict[str, Any]
    remedy: Annotated[str, "what was tried by itself; empty when nothing"]
    remedy_at: datetime | None
    remedy_result: str
    remedy_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessItem:
    """One process and its vital figures at its last sign of life."""

    name: str
    role: str
    host: str
    pid: int
    started_at: datetime
    beat_at: datetime
    is_alive: bool
    info: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """Runs waiting or with a worker, and how the last day's ended."""

    waiting: int
    running: int
    oldest_queued_at: datetime | None
    succeeded_24h: int
    failed_24h: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OrchestratorHealth:
    """How the system is, worst first."""

    state: State
    components: list[ComponentItem]
    findings: Annotated[list[FindingItem], "open ones, critical first"]
    processes: list[ProcessItem]
    leader: LeaderState | None
    queue: QueueState
    healing: Annotated[list[FindingItem], "what was tried by itself, newest first"]


def health(now: datetime) -> OrchestratorHealth:
    """Five queries."""
    rank = {"critical": 0, "warning": 1, "info": 2}
    opened = sorted(
        HealthEvent.objects.filter(closed_at=None), key=lambda row: (rank.get(row.severity, 3), row.pk)
    )
    healed = HealthEvent.objects.exclude(remedy="").order_by("-remedy_at", "-pk")[:HISTORY]
    alive = beats(now)
    parts = _components(alive, opened)
    queue = pages_health.queue(now)
    return OrchestratorHealth(
        state=max((part.state for part in parts), key=_WORSE.__getitem__, default="off") if alive else "off",
        components=parts,
        findings=[_finding(row) for row in opened],
        processes=[_process(beat) for beat in alive],
        leader=leader(now),
        queue=QueueState(
            waiting=queue.waiting, running=queue.running, oldest_queued_at=queue.oldest_at,
            succeeded_24h=queue.done_day, failed_24h=queue.failed_day,
        ),
        healing=[_finding(row) for row in healed],
    )  # fmt: skip


def _components(alive: Iterable[Beat], opened: Iterable[HealthEvent]) -> list[ComponentItem]:
    """Required roles first, then everything else that has a beat or a finding."""
    living: dict[str, bool] = {}
    for beat in alive:
        living[beat.role] = living.get(beat.role, False) or beat.is_alive
    states = {
        role: "off" if role not in living else "ok" if living[role] else "missing" for role in REQUIRED_ROLES
    }
    states |= {role: "ok" if is_alive else "missing" for role, is_alive in living.items()}
    codes: dict[str, list[str]] = {}
    for row in opened:
        name = _component_of(row, states)
        codes.setdefault(name, []).append(row.code)
        severity = "ok" if row.severity == "info" else row.severity
        states[name] = max(states.get(name, "ok"), severity, key=_WORSE.__getitem__)
    return [
        ComponentItem(name=name, state=state, findings=codes.get(name, [])) for name, state in states.items()
    ]


def _component_of(row: HealthEvent, known: Iterable[str]) -> str:
    """The process role a finding is about ("workers:trading"), else its component."""
    role = f"{row.component}:{row.subject.partition('@')[0]}"
    return role if role in known else row.component


def _finding(row: HealthEvent) -> FindingItem:
    return FindingItem(
        id=row.pk, component=row.component, subject=row.subject, code=row.code, severity=row.severity,
        opened_at=row.opened_at, last_seen_at=row.last_seen_at, closed_at=row.closed_at, detail=row.detail,
        remedy=row.remedy, remedy_at=row.remedy_at, remedy_result=row.remedy_result, remedy_count=row.remedy_count,
    )  # fmt: skip


def _process(beat: Beat) -> ProcessItem:
    return ProcessItem(
        name=beat.name, role=beat.role, host=beat.host, pid=beat.pid, started_at=beat.started_at, beat_at=beat.beat_at,
        is_alive=beat.is_alive, info=dict(beat.info),
    )  # fmt: skip
