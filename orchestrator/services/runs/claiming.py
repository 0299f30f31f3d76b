"""What a worker does with a run it was rung for: claim it, show signs of life, ask whether it may still act."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, Q
from django.utils.translation import gettext as _

from orchestrator import plugins, states
from orchestrator.conf import code_version, conf
from orchestrator.models import ControlSwitch, Run, RunStep, Workflow
from orchestrator.services import control, dbtime
from orchestrator.services.jsonsafe import clean
from orchestrator.services.runs.closing import refuse, skip
from tradingsite.foundation import alerts, clock
from tradingsite.foundation.errors import ConcurrentChange, Locked

log = logging.getLogger(__name__)

_STARTS = (ControlSwitch.Position.RUNNING, ControlSwitch.Position.PAUSED)


def claim(run_id: int, worker: str) -> Run | None:
    """Make a queued run ours: exactly one of any number of callers gets it, the others None.

    The start is counted here, so that a run that kills its worker is counted too. A run that may not start (too late,
    switch, workflow not active) is skipped and None returned; one of other code is left for a worker that has it.
    """
    run = Run.objects.select_related("workflow").filter(pk=run_id, status=Run.Status.QUEUED).first()
    if run is None:
        return None
    now = clock.db_now()
    try:
        deadline = plugins.get(run.workflow.type_key).deadline
    except plugins.UnknownWorkflowType:
        refuse(run, "unknown-type", now)
        return None
    if run.code_version and run.code_version != code_version():
        _say_other_code(run, now)
        return None
    if run.attempts >= conf().max_attempts:
        refuse(run, "poison", now)
        return None
    reason = _hindrance(run, now)
    if reason:
        skip(run, reason, now)
        return None
    return _take(run, worker, now, deadline)


def _hindrance(run: Run, now: datetime) -> str:
    """Why the run may not start, or "". Raises Locked when the switch cannot be read: nothing is decided then."""
    if run.expires_at <= now:
        return "too_late"
    if run.workflow.status != Workflow.Status.ACTIVE:
        return f"workflow_{run.workflow.status}"
    try:
        control.require_start_allowed()
    except Locked as e:
        if e.code == "switch-unreadable":
            raise
        return str(e.detail.get("position", "stopped"))
    return ""


def _take(run: Run, worker: str, now: datetime, deadline: timedelta) -> Run | None:
    permitted = Exists(ControlSwitch.objects.filter(pk=1, position__in=_STARTS))
    try:
        with transaction.atomic():
            taken = states.apply_run(
                run, "claim", now=now, where=Q(permitted, epoch=run.epoch),
                updates={
                    "epoch": F("epoch") + 1, "attempts": F("attempts") + 1, "worker": worker[:120],
                    "started_at": now, "heartbeat_at": now, "deadline_at": now + deadline,
                    "lease_until": now + timedelta(seconds=conf().run_lease_s),
                },
            )  # fmt: skip
            Workflow.objects.filter(pk=run.workflow_id).update(last_run_at=now)
    except ConcurrentChange:
        return None
    taken.workflow = run.workflow
    return taken


def _say_other_code(run: Run, now: datetime) -> None:
    log.warning("run %s was planned by code %s, this worker has %s", run.pk, run.code_version, code_version())
    alerts.raise_alert(
        key="code-version", code="code-version", severity="warning", now=now,
        params={"planned_by": run.code_version, "worker": code_version()},
    )  # fmt: skip


def heartbeat(run_id: int, epoch: int) -> bool:
    """Keep the claim for another `run_lease_s`. False: the run is no longer ours, or it is past its deadline."""
    c = conf()
    return bool(
        Run.objects.filter(
            pk=run_id,
            epoch=epoch,
            status=Run.Status.RUNNING,
            deadline_at__gt=dbtime.in_seconds(-c.deadline_grace_s),
        ).update(heartbeat_at=dbtime.now_expression(), lease_until=dbtime.in_seconds(c.run_lease_s))
    )


def may_act(run_id: int, epoch: int) -> str:
    """ "" while the holder of `epoch` may act, else why not: superseded, deadline, stopped, halted. One read each.

    Raises Locked when the switch cannot be read: nothing may be done then.
    """
    row = Run.objects.filter(pk=run_id, epoch=epoch, status=Run.Status.RUNNING)
    found = row.values_list("deadline_at", "workflow__status").first()
    if found is None:
        return "superseded"
    deadline_at, status = found
    if deadline_at is not None and clock.now() > deadline_at:
        return "deadline"
    if status in (Workflow.Status.HALTED, Workflow.Status.ARCHIVED):
        return "halted"
    try:
        control.require_orders_allowed()
    except Locked as e:
        if e.code == "switch-unreadable":
            raise
        return "stopped"
    return ""


def begin_step(run: Run, position: int, name: str, now: datetime) -> RunStep:
    """Record that a step starts. Raises ConcurrentChange when the run is no longer ours."""
    with transaction.atomic():
        _require_ours(run)
        return RunStep.objects.create(
            run_id=run.pk, position=position, name=name, status=RunStep.Status.RUNNING, started_at=now
        )


def step_done(run: Run, step: RunStep, *, changed: bool, summary: Mapping[str, Any], now: datetime) -> None:
    """Record how a step ended. Raises ConcurrentChange when the run is no longer ours."""
    with transaction.atomic():
        _require_ours(run)
        RunStep.objects.filter(pk=step.pk).update(
            status=RunStep.Status.SUCCEEDED, finished_at=now, changed=changed, summary=clean(summary)
        )


def _require_ours(run: Run) -> None:
    """Lock our run until commit, or find out that it is not ours any more."""
    if not heartbeat(run.pk, run.epoch):
        raise ConcurrentChange(_("Run %(pk)s is no longer ours.") % {"pk": run.pk}, code="superseded")
