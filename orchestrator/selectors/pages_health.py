"""Reads for the health page: processes, queue, findings and what was done about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Min, Q

from orchestrator.models import HealthEvent, Lease, Run
from orchestrator.selectors.pages import FAILED, RUN_PULSE, Beat, beats
from tradingsite.foundation import alerts
from tradingsite.foundation.models import Alert
from tradingsite.foundation.web import pulse, version_of


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of the health checks, open or closed."""

    pk: int
    component: str
    subject: str
    code: str
    severity: str
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    remedy: str
    remedy_at: datetime | None
    remedy_result: str
    remedy_count: int
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Runs waiting or running now, and failures of the last day."""

    waiting: int
    running: int
    oldest_at: datetime | None
    failed_day: int
    done_day: int


@dataclass(frozen=True, slots=True)
class Leader:
    """Who holds a lease, and until when."""

    name: str
    holder: str
    expires_at: datetime
    is_held: bool


@dataclass(frozen=True, slots=True)
class Health:
    """The page."""

    beats: tuple[Beat, ...]
    findings: tuple[Finding, ...]
    history: tuple[Finding, ...]
    queue: Queue
    leaders: tuple[Leader, ...]

    @property
    def worst(self) -> str:
        severities = {finding.severity for finding in self.findings}
        if "critical" in severities:
            return "critical"
        if "warning" in severities or any(not beat.is_alive for beat in self.beats):
            return "warning"
        return "ok" if self.beats else "off"


def health(now: datetime) -> Health:
    """Five queries."""
    history = HealthEvent.objects.filter(closed_at__isnull=False).order_by("-closed_at")[:15]
    leaders = tuple(
        Leader(lease.name, lease.holder, lease.expires_at, bool(lease.holder) and lease.expires_at > now)
        for lease in Lease.objects.order_by("name")
    )
    return Health(beats(now), open_findings(), tuple(_finding(row) for row in history), queue(now), leaders)


def open_findings() -> tuple[Finding, ...]:
    """Critical ones first."""
    rank = {"critical": 0, "warning": 1, "info": 2}
    rows = sorted(HealthEvent.objects.filter(closed_at=None), key=lambda row: rank.get(row.severity, 3))
    return tuple(_finding(row) for row in rows)


def _finding(row: HealthEvent) -> Finding:
    # The words are those of the alert the finding raises; the alert itself is not stored for small findings.
    code = f"health-{row.component}-{row.code}"
    said = Alert(code=code, subject=row.subject or row.component, params=row.detail or {}, count=1)
    return Finding(
        row.pk, row.component, row.subject, row.code, row.severity, row.opened_at, row.last_seen_at, row.closed_at,
        row.remedy, row.remedy_at, row.remedy_result, row.remedy_count, alerts.title(said), alerts.body(said),
    )  # fmt: skip


def queue(now: datetime) -> Queue:
    """One query."""
    day = now - timedelta(days=1)
    facts = Run.objects.filter(Q(status__in=Run.OPEN) | Q(finished_at__gte=day)).aggregate(
        waiting=Count("pk", filter=Q(status__in=(Run.Status.PLANNED, Run.Status.QUEUED))),
        running=Count("pk", filter=Q(status=Run.Status.RUNNING)),
        oldest=Min("queued_at", filter=Q(status=Run.Status.QUEUED)),
        failed=Count("pk", filter=Q(status__in=FAILED)),
        done=Count("pk", filter=Q(status=Run.Status.SUCCEEDED)),
    )
    return Queue(facts["waiting"], facts["running"], facts["oldest"], facts["failed"], facts["done"])


def version() -> str:
    """Changes with every finding, run and heartbeat. One query."""
    return version_of(*pulse(*HEALTH_PULSE, *RUN_PULSE))


HEALTH_PULSE: Final = (
    "SELECT MAX(id) FROM orchestrator_healthevent",
    "SELECT MAX(last_seen_at) FROM orchestrator_healthevent",
    "SELECT MAX(closed_at) FROM orchestrator_healthevent",
    "SELECT COUNT(*) FROM orchestrator_processbeat",
    "SELECT MAX(beat_at) FROM orchestrator_processbeat",
    "SELECT MIN(beat_at) FROM orchestrator_processbeat",
)
