"""Facts: measured here, judged in findings.py. Other apps add checks of their own with `register`."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime

import psutil
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min

from orchestrator.health.findings import Facts, Finding, ProcessFact, WorkflowFact
from orchestrator.models import ProcessBeat, Run, Workflow
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
    """Notices a wall clock that jumps: it is compared with the monotonic clock between two calls.

    A jump is over in an instant; it is reported for `hold_s` seconds, so that a person sees it.
    """

    def __init__(self, *, least_s: float = 0.5, hold_s: float = 300.0) -> None:
        self._least_s, self._hold_s = least_s, hold_s
        self._last: tuple[datetime, float] | None = None
        self._jump: tuple[float, float] = (0.0, 0.0)  # seconds, when (monotonic)

    def jump_s(self, now: datetime) -> float:
        """The newest jump of at least `least_s` within the last `hold_s` seconds; 0 when there was none."""
        monotonic = clock.monotonic()
        last, self._last = self._last, (now, monotonic)
        if last is not None:
            jump = (now - last[0]).total_seconds() - (monotonic - last[1])
            if abs(jump) >= self._least_s:
                self._jump = (jump, monotonic)
        jump, at = self._jump
        return jump if jump and monotonic - at <= self._hold_s else 0.0


def measure(now: datetime, clock_watch: ClockWatch, watched_s: float = math.inf) -> Facts:
    """Everything the system knows about itself, in about six short queries."""
    jump_s = clock_watch.jump_s(
        clock.host_now()
    )  # both clocks in one breath: `now` may be seconds old by now
    began = clock.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    database_ms = (clock.monotonic() - began) * 1000
    beats = list(ProcessBeat.objects.all())
    oldest, depth = _waiting(now)
    return Facts(
        now=now,
        watched_s=watched_s,
        database_ms=database_ms,
        processes=[_process(beat, now) for beat in beats if beat.role != "canary"],
        queue_oldest_s=oldest,
        queue_depth=depth,
        clock_jump_s=jump_s,
        disk_free_mb=shutil.disk_usage(settings.VAR_DIR).free / 1e6,
        ram_ratio=psutil.virtual_memory().percent / 100,
        workflows=_workflows(now),
    )


def _process(beat: ProcessBeat, now: datetime) -> ProcessFact:
    return ProcessFact(
        name=beat.name,
        role=beat.role,
        host=beat.host,
        age_s=(now - beat.beat_at).total_seconds(),
        unanswered_s=float(beat.info.get("unanswered_s") or 0.0),
        rss_mb=float(beat.info.get("rss_mb") or 0.0),
        code_version=str(beat.info.get("code_version") or ""),
        clock_off_s=float(beat.info.get("clock_off_s") or 0.0),
    )


def _waiting(now: datetime) -> tuple[dict[str, float], dict[str, int]]:
    rows = (
        Run.objects.filter(status__in=_WAITING)
        .order_by()
        .values_list("lane")
        .annotate(Min("planned_at"), Count("pk"))
    )
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
        for row in rows.only(
            "slug", "consecutive_failures", "quarantined_until", "next_run_at", "max_interval_s"
        )
    ]
