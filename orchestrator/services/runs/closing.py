"""How a run ends: one transaction with its steps, its workflow's figures and exactly one terminal event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator import states
from orchestrator.models import Run, RunStep
from orchestrator.services import standing
from orchestrator.services.jsonsafe import clean
from tradingsite.foundation import audit, statements, transitions
from tradingsite.foundation.errors import ConcurrentChange, NotFound

_DETAIL_CHARACTERS = 8000


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """How a step ended. The last one is closed together with its run."""

    step_id: int
    changed: bool = False
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run did. `changed` is None when it cannot be known; `cpu_s` CPU seconds of the process."""

    changed: bool | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    cpu_s: float | None = None
    api_weight: int = 0
    error_code: str = ""
    error_detail: str = ""
    last_step: StepOutcome | None = None


def finish(run: Run, outcome: Outcome, now: datetime) -> Run:
    """Close a running run as succeeded. Raises ConcurrentChange when it is no longer the caller's (older epoch)."""
    return _close(run, "succeed", outcome, now, blame=True)


def fail(run: Run, outcome: Outcome, now: datetime) -> Run:
    """Close a running run as failed. Raises ConcurrentChange as `finish` does."""
    return _close(run, "fail", outcome, now, blame=True)


def time_out(run: Run, outcome: Outcome, now: datetime) -> Run:
    """Close a running run as timed out, by its own worker or by the sweeper; late writes of the worker are refused."""
    return _close(run, "time_out", outcome, now, blame=True)


def stop_running(run: Run, outcome: Outcome, now: datetime) -> Run:
    """Close a running run that was not allowed to go on (switch, halt): abandoned, and nobody's fault."""
    return _close(run, "abandon", outcome, now, blame=False)


def abandon(run: Run, outcome: Outcome, now: datetime, *, blame: bool) -> Run:
    """The sweeper's verdict on a run whose worker is silent. `blame`: it counts against the workflow."""
    return _close(run, "abandon", outcome, now, blame=blame)


def _close(run: Run, event: str, outcome: Outcome, now: datetime, *, blame: bool) -> Run:
    """The epoch is compared and, except after an orderly end, raised: whoever still works on the run is fenced off."""
    raise_epoch = {} if event in ("succeed", "fail") else {"epoch": run.epoch + 1}
    with transitions.together():
        closed = states.apply_run(
            run, event, now=now, epoch=run.epoch,
            updates={
                "finished_at": now, "lease_until": None, "changed": outcome.changed, "result": clean(outcome.result),
                "cpu_s": clean(outcome.cpu_s), "api_weight": max(0, outcome.api_weight),
                "error_code": outcome.error_code[:64],
                "error_detail": clean(outcome.error_detail[-_DETAIL_CHARACTERS:]),
                **raise_epoch,
            },
            detail={"error_code": outcome.error_code} if outcome.error_code else {},
        )  # fmt: skip
        _close_steps(closed, event, outcome, now)
        standing.record_end(closed, now, blame=blame)
    return closed


def _close_steps(run: Run, event: str, outcome: Outcome, now: datetime) -> None:
    if event == "succeed" and outcome.last_step is not None:
        close_step(run, outcome.last_step, now)
        return
    RunStep.objects.filter(run_id=run.pk, status=RunStep.Status.RUNNING).update(
        status=RunStep.Status.FAILED, finished_at=now, error=clean(outcome.error_detail[-_DETAIL_CHARACTERS:])
    )


def close_step(run: Run, done: StepOutcome, now: datetime) -> None:
    """Write how an open step of `run` ended, in the transaction of a caller who holds the run."""
    ended = {
        "status": RunStep.Status.SUCCEEDED, "finished_at": now, "changed": done.changed,
        "summary": clean(done.summary),
    }  # fmt: skip
    statements.update(
        RunStep, ended, {"pk": done.step_id, "run_id": run.pk, "status": RunStep.Status.RUNNING}
    )


def skip(run: Run, reason: str, now: datetime) -> None:
    """Close a run that never started. Losing the race against somebody else is fine."""
    try:
        states.apply_run(
            run,
            "skip",
            now=now,
            updates={"skip_reason": reason[:64], "finished_at": now},
            detail={"reason": reason},
        )
    except ConcurrentChange:
        return


def refuse(run: Run, code: str, now: datetime) -> None:
    """Fail a queued run that must never start (poison, no such type)."""
    try:
        with transaction.atomic():
            closed = states.apply_run(
                run,
                "refuse",
                now=now,
                updates={"error_code": code, "finished_at": now},
                detail={"error_code": code},
            )
            standing.record_end(closed, now, blame=True)
    except ConcurrentChange:
        return


def cancel(run_id: int, actor: audit.Actor, now: datetime, reason: str = "") -> Run:
    """A person takes a run back: waiting ones are cancelled, a running one is fenced off at its next step.

    Cancelling one that ended changes nothing. Raises NotFound, ConcurrentChange.
    """
    run = Run.objects.select_related("workflow").filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("There is no run %(pk)s.") % {"pk": run_id})
    if run.status in states.RUN.terminal:
        return run
    with transaction.atomic():
        if run.status == Run.Status.RUNNING:
            after = stop_running(run, Outcome(error_code="cancelled", error_detail=reason), now)
        else:
            updates = {"finished_at": now, "skip_reason": "cancelled"}
            after = states.apply_run(run, "cancel", now=now, updates=updates, detail={"actor": actor.name})
        audit.record(
            action="run.cancel", actor=actor, object_type="run", object_id=run_id, reason=reason,
            before={"status": run.status}, after={"status": after.status},
        )  # fmt: skip
    return after
