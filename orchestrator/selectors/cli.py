"""Reads of the commands: plain documents, the same figures as the API and the pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q

from orchestrator.models import Decision, Lease, ProcessBeat, Run, Workflow
from orchestrator.services import control
from orchestrator.services.performance import performance
from tradingsite.foundation.errors import NotFound, Unavailable

_SILENT_S = 15


def status(now: datetime) -> dict[str, Any]:
    """The switch, the leader, the processes, workflows by standing, open runs, the next due."""
    lease = Lease.objects.filter(pk="leader").first()
    leads = lease is not None and lease.holder != "" and lease.expires_at > now
    by_status = dict(Workflow.objects.order_by().values_list("status").annotate(n=Count("pk")))
    open_runs = dict(
        Run.objects.filter(status__in=Run.OPEN).order_by().values_list("status").annotate(n=Count("pk"))
    )
    due = Workflow.objects.filter(status=Workflow.Status.ACTIVE).aggregate(first=Min("next_run_at"))["first"]
    return {
        "at": now,
        "switch": _switch(),
        "leader": {"holder": lease.holder, "epoch": lease.epoch, "expires_at": lease.expires_at}
        if lease and leads
        else None,
        "processes": [
            {
                "name": beat.name,
                "role": beat.role,
                "beat_at": beat.beat_at,
                "alive": now - beat.beat_at < timedelta(seconds=_SILENT_S),
            }
            for beat in ProcessBeat.objects.exclude(role="canary").order_by("role", "name")
        ],
        "workflows": by_status,
        "quarantined": Workflow.objects.filter(quarantined_until__gt=now).count(),
        "open_runs": open_runs,
        "next_run_at": due,
    }


def _switch() -> dict[str, Any]:
    try:
        state = control.current()
    except Unavailable as e:
        return {"position": "unreadable", "reason": e.message}
    return {
        "position": state.position.value,
        "set_position": state.set_position.value,
        "epoch": state.epoch,
        "reason": state.reason,
        "changed_by": state.changed_by,
        "changed_at": state.changed_at,
        "halt_file": state.halt_file,
        "halt_env": state.halt_env,
    }


def workflows(status: str = "", asset_type: str = "") -> list[dict[str, Any]]:
    """All workflows, the archived ones only when asked for."""
    rows = (
        Workflow.objects.filter(status=status)
        if status
        else Workflow.objects.exclude(status=Workflow.Status.ARCHIVED)
    )
    if asset_type:
        rows = rows.filter(asset_type=asset_type)
    return [_workflow(row) for row in rows.order_by("asset_type", "slug")]


def is_loop_alive(now: datetime) -> bool:
    """Whether a decision loop was heard of lately."""
    since = now - timedelta(seconds=_SILENT_S)
    return ProcessBeat.objects.filter(role="loop", beat_at__gte=since).exists()


def slug_of(name: str) -> str:
    """The slug of a workflow told by slug or number. Raises NotFound."""
    found = (
        Q(slug=name) | Q(pk=int(name))
        if name.isascii() and name.isdigit() and len(name) < 18
        else Q(slug=name)
    )
    # One that is called by a number wins over the one that has it.
    slugs = list(Workflow.objects.filter(found).values_list("slug", flat=True))
    if not slugs:
        raise NotFound(f"There is no workflow {name}. `manage.py workflow list` shows all.")
    return name if name in slugs else slugs[0]


def workflow(slug: str, now: datetime) -> dict[str, Any]:
    """One workflow with its last runs and its figures of the last seven days. Raises NotFound."""
    row = Workflow.objects.get(slug=slug_of(slug))
    runs = Run.objects.filter(workflow=row).order_by("-slot_at", "-pk")[:10]
    return {
        **_workflow(row),
        "params": row.params,
        "decision_id": row.current_decision_id,
        "performance_7d": performance([row.pk], now - timedelta(days=7), now)[row.pk],
        "runs": [
            {
                "id": run.pk,
                "slot_at": run.slot_at,
                "status": run.status,
                "cause": run.cause,
                "started_at": run.started_at,
                "finished_at": run.finished_at,
                "changed": run.changed,
                "error": run.error_code,
                "skipped": run.skip_reason,
            }
            for run in runs
        ],
    }


def _workflow(row: Workflow) -> dict[str, Any]:
    return {
        "id": row.pk,
        "slug": row.slug,
        "name": row.name,
        "type": row.type_key,
        "asset_type": row.asset_type,
        "status": row.status,
        "status_reason": row.status_reason,
        "entries_paused": row.entries_paused,
        "version": row.version,
        "min_interval_s": row.min_interval_s,
        "base_interval_s": row.base_interval_s,
        "max_interval_s": row.max_interval_s,
        "interval_s": row.interval_s,
        "next_run_at": row.next_run_at,
        "last_run_at": row.last_run_at,
        "last_result": row.last_result,
        "consecutive_failures": row.consecutive_failures,
        "quarantined_until": row.quarantined_until,
        "run_value": row.run_value,
    }


def decision(pk: int) -> Decision:
    """Raises NotFound."""
    row = Decision.objects.select_related("workflow").filter(pk=pk).first()
    if row is None:
        raise NotFound(f"There is no decision {pk}.")
    return row


def latest_decision(slug: str) -> Decision:
    """The newest decision of a workflow. Raises NotFound."""
    if not Workflow.objects.filter(slug=slug).exists():
        raise NotFound(f"There is no workflow {slug}. `workflow list` shows all.")
    row = (
        Decision.objects.select_related("workflow")
        .filter(workflow__slug=slug)
        .order_by("-decided_at", "-pk")
        .first()
    )
    if row is None:
        raise NotFound(f"Nothing has been decided about {slug} yet.")
    return row
