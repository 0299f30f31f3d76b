"""What must hold for runs, decisions and leaders whatever happened."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Count, F, Q

from orchestrator import states
from orchestrator.conf import conf
from orchestrator.models import Decision, HealthEvent, Lease, Run, RunEvent, RunStep, Workflow
from tradingsite.foundation import audit
from tradingsite.foundation.invariants import register
from tradingsite.foundation.models import Alert

_MAX_SHOWN = 20
_AUDIT_ROWS = 10_000
_TERMINAL = tuple(sorted(states.RUN.terminal))


def runs_end_once(now: datetime) -> list[str]:
    """I9: every run ends once, within its deadline + 60 s; history has exactly one terminal event."""
    late = now - timedelta(seconds=60)
    found = [
        f"Run {pk} is still {status}; it should have ended at {due}."
        for pk, status, due in Run.objects.filter(
            status=Run.Status.RUNNING, deadline_at__lt=late
        ).values_list("pk", "status", "deadline_at")[:_MAX_SHOWN]
    ]
    waiting = Run.objects.filter(status__in=(Run.Status.PLANNED, Run.Status.QUEUED), expires_at__lt=late)
    found += [
        f"Run {pk} is still {status} long after it expired."
        for pk, status in waiting.values_list("pk", "status")[:_MAX_SHOWN]
    ]
    counted = Run.objects.filter(status__in=_TERMINAL).annotate(
        ends=Count("events", filter=Q(events__to_status__in=_TERMINAL))
    )
    found += [
        f"Run {pk} has {ends} terminal events."
        for pk, ends in counted.exclude(ends=1).values_list("pk", "ends")[:_MAX_SHOWN]
    ]
    wrong = RunEvent.objects.filter(to_status__in=_TERMINAL).exclude(row__status=F("to_status"))
    return found + [
        f"Run {pk} ended {event} and is now {status}."
        for pk, event, status in wrong.values_list("row_id", "to_status", "row__status")[:_MAX_SHOWN]
    ]


def one_holder_per_run(now: datetime) -> list[str]:
    """I10: one claimed run per workflow at a time, each claim with a higher epoch, no write with an old one."""
    doubled = (
        Run.objects.filter(status=Run.Status.RUNNING)
        .order_by()
        .values("workflow_id")
        .annotate(n=Count("pk"))
        .filter(n__gt=1)
    )
    found = [f"Workflow {row['workflow_id']} has {row['n']} running runs." for row in doubled[:_MAX_SHOWN]]
    ahead = RunEvent.objects.filter(epoch__gt=F("row__epoch"))
    found += [
        f"Run {pk} has an event of an epoch it never had."
        for pk in ahead.values_list("row_id", flat=True)[:_MAX_SHOWN]
    ]
    claims = (
        RunEvent.objects.filter(event="claim")
        .order_by()
        .values("row_id", "epoch")
        .annotate(n=Count("pk"))
        .filter(n__gt=1)
    )
    found += [
        f"Run {row['row_id']} was claimed twice in epoch {row['epoch']}." for row in claims[:_MAX_SHOWN]
    ]
    found += _overlaps(now - timedelta(days=1))
    late_steps = RunStep.objects.filter(started_at__gt=F("run__finished_at"))
    return found + [
        f"Run {pk} began a step after it had ended."
        for pk in late_steps.values_list("run_id", flat=True)[:_MAX_SHOWN]
    ]


def _overlaps(since: datetime) -> list[str]:
    """Runs of one workflow that started before the one before had ended."""
    rows = Run.objects.filter(started_at__gt=since).order_by("workflow_id", "started_at", "pk")
    found: list[str] = []
    before: tuple[int, int, datetime | None] | None = None
    for pk, workflow_id, started_at, finished_at in rows.values_list(
        "pk", "workflow_id", "started_at", "finished_at"
    ).iterator():
        if started_at is None:
            continue
        if before is not None and before[1] == workflow_id and (before[2] is None or started_at < before[2]):
            found.append(f"Run {pk} started before run {before[0]} of the same workflow had ended.")
        before = (pk, workflow_id, finished_at)
    return found[:_MAX_SHOWN]


def one_run_per_slot(now: datetime) -> list[str]:
    """I11: each slot (workflow, instant) has at most one run."""
    doubled = Run.objects.order_by().values("workflow_id", "slot_at").annotate(n=Count("pk")).filter(n__gt=1)
    return [
        f"Workflow {row['workflow_id']} has {row['n']} runs for {row['slot_at']}."
        for row in doubled[:_MAX_SHOWN]
    ]


def decisions_are_fresh(now: datetime) -> list[str]:
    """I18: no decision to run was made from data older than its limit, and the age is stored with it."""
    stale = Decision.objects.filter(action=Decision.Action.RUN).exclude(data_age_limit_s=None)
    stale = stale.filter(Q(data_age_s=None) | Q(data_age_s__gt=F("data_age_limit_s")))
    return [
        f"Decision {pk} ran on data {age} s old (limit {limit} s)."
        for pk, age, limit in stale.values_list("pk", "data_age_s", "data_age_limit_s")[:_MAX_SHOWN]
    ]


def audit_log_is_whole(now: datetime) -> list[str]:
    """I14 (part): the newest audit rows follow from each other without a gap."""
    report = audit.verify(limit=_AUDIT_ROWS)
    return [] if report.ok else [f"Audit row {report.first_bad}: {report.problem}."]


def trouble_is_reported(now: datetime) -> list[str]:
    """I22 (part): a dead leader or a workflow in quarantine is reported as an open finding or alert within 45 s."""
    late = now - timedelta(seconds=45)
    found = []
    lease = Lease.objects.filter(pk="leader").first()
    if lease is not None and lease.holder and lease.expires_at < late and not _is_reported("loop"):
        found.append("The leader's lease ran out and no finding says so.")
    failing = Workflow.objects.filter(
        consecutive_failures__gte=conf().failures_before_quarantine,
        last_finished_at__lt=late,
        quarantined_until__gt=now,
    )
    for pk, slug in failing.values_list("pk", "slug")[:_MAX_SHOWN]:
        if not Alert.objects.filter(key=f"workflow:{pk}").exclude(status="resolved").exists():
            found.append(f"Workflow {slug} is in quarantine and no alert says so.")
    return found


def _is_reported(component: str) -> bool:
    return HealthEvent.objects.filter(component=component, closed_at=None).exists()


def register_all() -> None:
    """Called while apps load."""
    register("I9", runs_end_once)
    register("I10", one_holder_per_run)
    register("I11", one_run_per_slot)
    register("I14", audit_log_is_whole)
    register("I18", decisions_are_fresh)
    register("I22", trouble_is_reported)
