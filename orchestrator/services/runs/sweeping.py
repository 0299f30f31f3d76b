"""The one rescuer: finds runs that nobody will finish and gives each its one end. Only the leader sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Coalesce

from orchestrator import states
from orchestrator.conf import conf
from orchestrator.models import Run
from orchestrator.services import control
from orchestrator.services.runs import closing, planning
from orchestrator.services.runs.closing import Outcome
from tradingsite.foundation.errors import ConcurrentChange

_BATCH = 500
# A lease further away than this many terms was written by a clock that has since been set back.
_PLAUSIBLE_TERMS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepReport:
    """How many runs were given which treatment."""

    queued: int = 0  # planned ones whose planner died before queueing them
    requeued: int = 0  # rung again
    skipped: int = 0  # too late, or the switch lets nothing start
    abandoned: int = 0
    timed_out: int = 0

    @property
    def total(self) -> int:
        return self.queued + self.requeued + self.skipped + self.abandoned + self.timed_out


def sweep(
    now: datetime, *, ring: planning.Ring = planning.ring, in_office_since: datetime | None = None
) -> SweepReport:
    """Treat everything that is overdue at `now` (the database's clock).

    A run that started before `in_office_since` (when this leader took over) and lost its worker is not held against its
    workflow: what killed the leader before us may have killed the worker too.
    """
    skipped = _skip_waiting(now)
    timed_out = _time_out(now)
    abandoned = _abandon(now, in_office_since)
    queued = _queue_planned(now, ring)
    requeued = _ring_again(now, ring)
    return SweepReport(
        queued=queued, requeued=requeued, skipped=skipped, abandoned=abandoned, timed_out=timed_out
    )


def _skip_waiting(now: datetime) -> int:
    state = control.current()
    waiting = Run.objects.filter(status__in=(Run.Status.PLANNED, Run.Status.QUEUED))
    if state.starts_allowed:
        waiting = waiting.filter(expires_at__lte=now)
        reason = "too_late"
    else:
        reason = state.position.value
    rows = list(waiting.order_by("pk").values_list("pk", "status")[:_BATCH])
    count = 0
    for status in (Run.Status.PLANNED, Run.Status.QUEUED):
        ids = [pk for pk, found in rows if found == status]
        count += len(
            states.apply_runs(
                ids, state=status, event="skip", now=now, updates={"skip_reason": reason, "finished_at": now},
                detail={"reason": reason},
            )
        )  # fmt: skip
    return count


def _time_out(now: datetime) -> int:
    grace = timedelta(seconds=conf().deadline_grace_s)
    late = Run.objects.filter(status=Run.Status.RUNNING, deadline_at__lte=now - grace).order_by("pk")[:_BATCH]
    outcome = Outcome(error_code="deadline", error_detail="It ran past its deadline and did not stop.")
    return sum(_closed(closing.time_out, run, outcome, now) for run in late)


def _abandon(now: datetime, in_office_since: datetime | None) -> int:
    lease = timedelta(seconds=conf().run_lease_s)
    # A run that never showed a sign of life counts from its start: NULL would escape any comparison.
    silent = (
        Run.objects.filter(status=Run.Status.RUNNING)
        .annotate(alive_at=Coalesce("heartbeat_at", "started_at", "planned_at"))
        .filter(
            Q(lease_until__lte=now)
            | Q(lease_until=None, alive_at__lte=now - lease)
            | Q(lease_until__gt=now + lease * _PLAUSIBLE_TERMS)
        )
    )
    outcome = Outcome(error_code="worker-lost", error_detail="Its worker fell silent.")
    count = 0
    for run in silent.order_by("pk")[:_BATCH]:
        blame = in_office_since is None or (run.started_at is not None and run.started_at >= in_office_since)
        past_deadline = run.deadline_at is not None and run.deadline_at <= now
        if past_deadline:
            count += _closed(closing.time_out, run, Outcome(error_code="deadline"), now)
        else:
            count += _abandoned(run, outcome, now, blame)
    return count


def _abandoned(run: Run, outcome: Outcome, now: datetime, blame: bool) -> int:
    try:
        closing.abandon(run, outcome, now, blame=blame)
    except ConcurrentChange:
        return 0  # it finished at the last moment
    return 1


def _closed(close: Callable[[Run, Outcome, datetime], Run], run: Run, outcome: Outcome, now: datetime) -> int:
    try:
        close(run, outcome, now)
    except ConcurrentChange:
        return 0  # it finished at the last moment
    return 1


def _queue_planned(now: datetime, ring: planning.Ring) -> int:
    before = now - timedelta(seconds=conf().planned_grace_s)
    orphans = Run.objects.filter(status=Run.Status.PLANNED, planned_at__lte=before)
    return len(
        planning.enqueue(list(orphans.order_by("pk").values_list("pk", flat=True)[:_BATCH]), now, ring=ring)
    )


def _ring_again(now: datetime, ring: planning.Ring) -> int:
    """Queued and not claimed: the bell was lost, or the queue is long. Each further bell waits twice as long."""
    c = conf()
    waiting = Run.objects.filter(
        status=Run.Status.QUEUED,
        enqueued_at__lte=now - timedelta(seconds=c.requeue_s),
        enqueued_count__lt=c.requeue_limit,
    )
    rows = waiting.order_by("priority", "pk").values_list("pk", "enqueued_at", "enqueued_count")[:_BATCH]
    due = [
        pk
        for pk, at, count in rows
        if at is not None and now - at >= timedelta(seconds=c.requeue_s * 2 ** max(0, count - 1))
    ]
    return _rung(due, now, ring)


def _rung(run_ids: Sequence[int], now: datetime, ring: planning.Ring) -> int:
    if run_ids:
        planning.ring_again(run_ids, now, ring=ring)
    return len(run_ids)
