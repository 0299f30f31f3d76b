"""Facts: measured here, judged in findings.py. Other apps add checks of their own with `register`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import datetime

import psutil
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min

from orchestrator.health.findings import Facts, Finding, ProcessFact, WorkflowFact
from orchestrator.models import ProcessBeat, Run, Workflow
from orchestrator.plugins import Lane
from tradingsite.foundation import clock

Check = Callable[[datetime], Iterable[Finding]]

_more: dict[str, Check] = {}
_WAITING = (Run.Status.PLANNED, Run.Status.QUEUED)


def register(name: str, check: Check) -> None:
    """Add an app's own check, which answers with findings. Idempotent by name."""
    _more[name] = check


def registered() -> dict[str, Check]:
    return dict(_more)


class ClockWatch:
    """Notices a wall clock that jumps: it is compared with the monotonic clock between two calls."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def jump_s(self, now: datetime) -> float:
        monotonic = clock.monotonic()
        last, self._last = self._last, (now, monotonic)
        return 0.0 if last is None else (now - last[0]).total_seconds() - (monotonic - last[1])


def measure(now: datetime, clock_watch: ClockWatch) -> Facts:
    """Everything the system knows about itself, in about six short queries."""
    began = clock.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    database_ms = (clock.monotonic() - began) * 1000
    beats = list(ProcessBeat.objects.all())
    oldest, depth = _waiting(now)
    return Facts(
        now=now,
        database_ms=database_ms,
        processes=[_process(beat, now) for beat in beats if beat.role != "canary"],
        canary_age_s=_canaries(beats, now),
        queue_oldest_s=oldest,
        queue_depth=depth,
        clock_jump_s=clock_watch.jump_s(now),
        disk_free_mb=shutil.disk_usage(settings.VAR_DIR).free / 1e6,
        ram_ratio=psutil.virtual_memory().percent / 100,
        workflows=_workflows(now),
    )


def _process(beat: ProcessBeat, now: datetime) -> ProcessFact:
    return ProcessFact(
        name=beat.name,
        role=beat.role,
        age_s=(now - beat.beat_at).total_seconds(),
        rss_mb=float(beat.info.get("rss_mb") or 0.0),
        generation=beat.generation,
    )


def _canaries(beats: list[ProcessBeat], now: datetime) -> dict[str, float | None]:
    ages: dict[str, float | None] = {lane.value: None for lane in Lane}
    for beat in beats:
        if beat.role == "canary":
            ages[beat.name.removeprefix("canary:")] = (now - beat.beat_at).total_seconds()
    return ages


def _waiting(now: datetime) -> tuple[dict[str, float], dict[str, int]]:
    rows = Run.objects.filter(status__in=_WAITING).order_by().values_list("lane").annotate(Min("planned_at"), Count("pk"))
    oldest, depth = {}, {}
    for lane, planned_at, count in rows:
        oldest[lane] = (now - planned_at).total_seconds()
        depth[lane] = count
    return oldest, depth


def _workflows(now: datetime) -> list[WorkflowFact]:
    rows = Workflow.objects.filter(status=Workflow.Status.ACTIVE)
    return [
        WorkflowFact(
            slug=row.slug,
            consecutive_failures=row.consecutive_failures,
            quarantined_until=row.quarantined_until,
            overdue_s=(now - row.next_run_at).total_seconds() if row.next_run_at else None,
            max_interval_s=row.max_interval_s,
        )
        for row in rows.only("slug", "consecutive_failures", "quarantined_until", "next_run_at", "max_interval_s")
    ]
