"""What a worker does with a run it was rung for: claim it, show signs of life, ask whether it may still act."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from orchestrator import plugins, states
from orchestrator.conf import code_version, conf
from orchestrator.models import ControlSwitch, Run, RunStep, Workflow
from orchestrator.services import control, dbtime
from orchestrator.services.runs.closing import StepOutcome, close_step, refuse, skip
from tradingsite.foundation import alerts, clock, statements, transitions
from tradingsite.foundation.errors import ConcurrentChange, Locked
from tradingsite.foundation.statements import Sql

log = logging.getLogger(__name__)

_OTHER_CODE = "code-version"
_QUEUED = (
    "FROM orchestrator_run a JOIN orchestrator_workflow b ON b.id = a.workflow_id "
    "WHERE a.id = %s AND a.status = %s"
)
# Late is judged by the clock that set the deadline.
_STANDING = (
    "SELECT CASE WHEN r.deadline_at < {now} THEN 1 ELSE 0 END, w.status "
    "FROM orchestrator_run r JOIN orchestrator_workflow w ON w.id = r.workflow_id "
    "WHERE r.id = %s AND r.epoch = %s AND r.status = %s"
)
# The switch lets runs start, in the very statement that starts one.
_PERMITTED = Sql(
    "EXISTS (SELECT 1 FROM orchestrator_controlswitch s WHERE s.id = 1 AND s.position IN (%s, %s))",
    (ControlSwitch.Position.RUNNING.value, ControlSwitch.Position.PAUSED.value),
)


def claim(run_id: int, worker: str) -> Run | None:
    """Make a queued run ours: exactly one of any number of callers gets it, the others None.

    The start is counted here, so that a run that kills its worker is counted too. A run that may not start (too late,
    switch, workflow not active) is skipped and None returned; one of other code is left for a worker that has it.
    """
    run = _queued(run_id)
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


def _queued(run_id: int) -> Run | None:
    found = statements.pairs(Run, Workflow, _QUEUED, (run_id, Run.Status.QUEUED))
    if not found:
        return None
    run, workflow = found[0]
    run.workflow = workflow
    return run


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
    try:
        with transitions.together():
            taken = states.apply_run(
                run, "claim", now=now, also=_PERMITTED,
                updates={
                    # Nobody else counts while status and epoch are as read.
                    "epoch": run.epoch + 1, "attempts": run.attempts + 1, "worker": worker[:120],
                    "started_at": now, "heartbeat_at": now, "deadline_at": now + deadline,
                    "lease_until": now + timedelta(seconds=conf().run_lease_s),
                },
            )  # fmt: skip
            statements.update(Workflow, {"last_run_at": now}, {"pk": run.workflow_id})
    except ConcurrentChange:
        return None
    return taken


def _say_other_code(run: Run, now: datetime) -> None:
    log.warning("run %s was planned by code %s, this worker has %s", run.pk, run.code_version, code_version())
    alerts.raise_alert(
        key=_OTHER_CODE, code="code-version", severity="warning", now=now,
        params={"planned_by": run.code_version, "worker": code_version()},
    )  # fmt: skip


def forget_other_code(now: datetime) -> None:
    """Resolve the alert about other code: all living processes run the same again. Runs that were planned by other code
    and still wait keep it open, the next worker would only raise it anew.
    """
    waiting = Run.objects.filter(status__in=(Run.Status.PLANNED, Run.Status.QUEUED))
    if not waiting.exclude(code_version__in=("", code_version())).exists():
        alerts.resolve_alert(_OTHER_CODE, now)


def heartbeat(run_id: int, epoch: int) -> bool:
    """Keep the claim for another `run_lease_s`. False: the run is no longer ours, or it is past its deadline."""
    c = conf()
    limit = dbtime.in_seconds_sql(-c.deadline_grace_s)
    beaten = statements.update(
        Run,
        {"heartbeat_at": dbtime.in_seconds_sql(0), "lease_until": dbtime.in_seconds_sql(c.run_lease_s)},
        {"pk": run_id, "epoch": epoch, "status": Run.Status.RUNNING},
        also=Sql(f"deadline_at > {limit.text}", limit.params),
    )
    return bool(beaten)


def may_act(run_id: int, epoch: int) -> str:
    """ "" while the holder of `epoch` may act, else why not: superseded, deadline, stopped, halted. One read each.

    Raises Locked when the switch cannot be read: nothing may be done then.
    """
    now = dbtime.in_seconds_sql(0)
    found = statements.rows(
        _STANDING.format(now=now.text), (*now.params, run_id, epoch, Run.Status.RUNNING.value)
    )
    if not found:
        return "superseded"
    is_late, status = found[0]
    if is_late:
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
    with transitions.together():
        _require_ours(run)
        return _begin(run, position, name, now)


def step_done(run: Run, done: StepOutcome, now: datetime) -> None:
    """Record how a step ended. Raises ConcurrentChange when the run is no longer ours."""
    with transitions.together():
        _require_ours(run)
        close_step(run, done, now)


def next_step(run: Run, done: StepOutcome, position: int, name: str, now: datetime) -> RunStep:
    """`step_done` and `begin_step` in one transaction."""
    with transitions.together():
        _require_ours(run)
        close_step(run, done, now)
        return _begin(run, position, name, now)


def _begin(run: Run, position: int, name: str, now: datetime) -> RunStep:
    step = RunStep(run_id=run.pk, position=position, name=name, status=RunStep.Status.RUNNING, started_at=now)
    statements.insert(step)
    return step


def _require_ours(run: Run) -> None:
    """Lock our run until commit, or find out that it is not ours any more."""
    if not heartbeat(run.pk, run.epoch):
        raise ConcurrentChange(_("Run %(pk)s is no longer ours.") % {"pk": run.pk}, code="superseded")
