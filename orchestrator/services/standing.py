"""What the end of a run does to its workflow: figures, failures in a row, quarantine, halt, alerts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from orchestrator import plugins, states
from orchestrator.conf import conf
from orchestrator.models import Run, RunStep, Workflow, WorkflowEvent
from tradingsite.foundation import alerts, audit, statements, transitions

_SMOOTHING = 0.2  # weight of the newest duration
_BAD = (Run.Status.FAILED, Run.Status.TIMED_OUT, Run.Status.ABANDONED)
CUT_OFF = ("worker-lost", "deadline")  # error codes of runs that ended at an unknown point of a step
_POISON_FACTOR = 5  # a workflow that kills workers waits five times as long as one that fails in order


def register_texts() -> None:
    """How these alerts read. Called while apps load."""
    alerts.register_text(
        "workflow-quarantined",
        _("%(name)s is quarantined"),
        _("%(failures)s runs in a row failed (last: %(error)s). It is tried again at %(until)s."),
    )
    alerts.register_text(
        "workflow-poison",
        _("%(name)s kills its workers"),
        _("%(failures)s runs in a row lost their worker. It is tried again at %(until)s."),
    )
    alerts.register_text(
        "workflow-halted",
        _("%(name)s was halted"),
        _(
            "It was quarantined %(count)s times in a row (last error: %(error)s). "
            "Find the cause, then resume it by hand."
        ),
    )
    alerts.register_text(
        "run-interrupted",
        _("A run of %(name)s was cut off"),
        _("Step %(step)s of run %(run)s may have acted and is not repeated by itself. Check what it did."),
    )
    alerts.register_text(
        "code-version",
        _("Processes run different code"),
        _(
            "Runs planned by code %(planned_by)s are refused by workers with code %(worker)s. Restart all processes."
        ),
    )


def record_end(run: Run, now: datetime, *, blame: bool) -> None:
    """Bring the workflow's standing up to date, in the caller's transaction.

    `blame=False`: the run ended for a reason outside the workflow (switch, power cut); no failure is counted.
    """
    workflow = _locked(run.workflow_id)
    updates: dict[str, Any] = {"last_result": run.status, "last_finished_at": now}
    if run.status == Run.Status.SUCCEEDED:
        updates |= _good(workflow, run, now)
    elif run.status in _BAD and blame:
        updates |= _bad(workflow, run, now)
    interrupted = _interrupted_step(run)
    if interrupted and "quarantined_until" not in updates:
        updates |= _interrupted(workflow, run, interrupted, now)
    statements.update(Workflow, updates, {"pk": workflow.pk})
    if updates.get("quarantine_count", 0) > conf().quarantines_before_halt:
        _halt(workflow, updates["quarantine_count"], run, now)


def _locked(pk: int) -> Workflow:
    # SQLite knows no row locks: there the transaction is IMMEDIATE and alone.
    lock = "FOR UPDATE" if connection.vendor == "postgresql" else ""
    (workflow,) = statements.instances(Workflow, f"WHERE id = %s {lock}", (pk,))
    return workflow


def _good(workflow: Workflow, run: Run, now: datetime) -> dict[str, Any]:
    if workflow.consecutive_failures or workflow.quarantine_count:
        alerts.resolve_alert(f"workflow:{workflow.pk}", now)
    seconds = max(0.0, (now - run.started_at).total_seconds()) if run.started_at else 0.0
    mean = workflow.mean_duration_s
    return {
        "consecutive_failures": 0,
        "consecutive_abandoned": 0,
        "quarantined_until": None,
        "quarantine_count": 0,
        "mean_duration_s": seconds if mean is None else mean + _SMOOTHING * (seconds - mean),
    }


def _bad(workflow: Workflow, run: Run, now: datetime) -> dict[str, Any]:
    c = conf()
    failures = workflow.consecutive_failures + 1
    abandoned = workflow.consecutive_abandoned + 1 if run.status == Run.Status.ABANDONED else 0
    updates: dict[str, Any] = {"consecutive_failures": failures, "consecutive_abandoned": abandoned}
    poison = abandoned >= c.abandoned_before_halt or run.error_code == "poison"
    if not poison and failures < c.failures_before_quarantine:
        return updates
    count = workflow.quarantine_count + 1
    wait_s = min(
        c.quarantine_base_s * 2.0 ** min(count - 1, 30) * (_POISON_FACTOR if poison else 1),
        c.quarantine_max_s,
    )
    until = now + timedelta(seconds=wait_s)
    alerts.raise_alert(
        key=f"workflow:{workflow.pk}", code="workflow-poison" if poison else "workflow-quarantined",
        severity="critical" if poison else "warning", subject=workflow.slug, now=now,
        params={
            "name": workflow.name, "failures": abandoned if poison else failures, "error": run.error_code or run.status,
            "until": until.isoformat(timespec="seconds"),
        },
    )  # fmt: skip
    return updates | {"quarantine_count": count, "quarantined_until": until}


def _interrupted_step(run: Run) -> str:
    """The name of a step that may have acted, was cut off and must not be repeated without a look; "" when none."""
    if run.error_code not in CUT_OFF:
        return ""
    try:
        kind = plugins.get(Workflow.objects.values_list("type_key", flat=True).get(pk=run.workflow_id))
    except plugins.UnknownWorkflowType:
        return ""
    risky = {step.name for step in kind.steps if not step.idempotent}
    cut_off = RunStep.objects.filter(run_id=run.pk, status=RunStep.Status.FAILED, name__in=risky)
    return cut_off.values_list("name", flat=True).first() or ""


def _interrupted(workflow: Workflow, run: Run, step: str, now: datetime) -> dict[str, Any]:
    alerts.raise_alert(
        key=f"run-interrupted:{workflow.pk}", code="run-interrupted", severity="warning",
        subject=workflow.slug, now=now,
        params={"name": workflow.name, "run": run.pk, "step": step},
    )  # fmt: skip
    return {"quarantined_until": now + timedelta(seconds=workflow.base_interval_s)}


def _halt(workflow: Workflow, count: int, run: Run, now: datetime) -> None:
    """Only a person makes it active again."""
    if workflow.status not in (Workflow.Status.ACTIVE, Workflow.Status.PAUSED):
        return
    actor = audit.system("runs")
    halted = transitions.apply(
        workflow, "halt", machine=states.WORKFLOW, now=now, event_model=WorkflowEvent,
        updates={"status_reason": "repeated_failure", "next_run_at": None, "updated_at": now},
        detail={"actor": actor.name, "error": run.error_code},
    )  # fmt: skip
    audit.record(
        action="workflow.halt", actor=actor, object_type="workflow", object_id=workflow.pk, reason="repeated failure",
        before={"status": workflow.status}, after={"status": halted.status},
    )  # fmt: skip
    alerts.raise_alert(
        key=f"workflow:{workflow.pk}", code="workflow-halted", severity="critical", subject=workflow.slug, now=now,
        params={"name": workflow.name, "count": count, "error": run.error_code or run.status},
    )  # fmt: skip
